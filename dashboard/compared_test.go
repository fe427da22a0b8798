package dashboard

import (
	"context"
	"errors"
	"math"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"telltale/aggregate"
)

const day = 24 * 3600_000

// diary is a history whose values tell their window: the seconds of its end. What is asked of it is remembered.
type diary struct {
	mu      sync.Mutex
	step    aggregate.Step // the shortest that it has
	failure error
	asks    []HistoryQuery
}

func secondsOf(end int64) float64 { return float64(end / 1000) }

func (r *diary) Query(_ context.Context, ask HistoryQuery) (HistoryAnswer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asks = append(r.asks, ask)
	step := max(ask.Step, r.step)
	answer := HistoryAnswer{Step: step, Results: map[string]aggregate.Columns{}}
	var values []float64
	for end := ask.From/int64(step)*int64(step) + int64(step); end <= ask.To; end += int64(step) {
		answer.Ends = append(answer.Ends, end)
		values = append(values, secondsOf(end))
	}
	for name := range ask.Queries {
		answer.Results[name] = aggregate.Columns{Groups: []aggregate.Group{{}}, Values: [][]float64{slices.Clone(values)}}
	}
	return answer, r.failure
}

func (r *diary) Agents(context.Context) ([]KnownAgent, error) { return nil, nil }

func (r *diary) Gaps(context.Context, string, time.Time, time.Time) ([]Gap, error) { return nil, nil }

func (r *diary) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// asked is what was asked to compare with. To fill a stream from history all of a dashboard's queries are asked.
func (r *diary) asked() []HistoryQuery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.asks), func(ask HistoryQuery) bool { _, all := ask.Queries["cpu_by_host"]; return all })
}

func withHistory(r *diary) option { return func(_ *Config, p *Parts) { p.History = r } }

// settle waits for what history was asked.
func (s *site) settle() { s.topics.comparer.running.Wait() }

func wantPast(t *testing.T, c compareData, query string, since, until int64) {
	t.Helper()
	row := c.Shifts["1d"][query]
	if c.Since != since || since+int64(len(row)-1)*1000 != until {
		t.Fatalf("%s: %d windows since %d, want %d until %d", query, len(row), c.Since, since, until)
	}
	for i, v := range row {
		if want := secondsOf(since + int64(i)*1000 - day); v == nil || *v != want {
			t.Fatalf("%s: window %d is compared with %v, want %v", query, i, v, want)
		}
	}
}

// TestStreamComparesWithYesterday has two viewers of one topic for two minutes: history is asked once a minute, for what is new.
func TestStreamComparesWithYesterday(t *testing.T) {
	r := &diary{}
	s := open(t, withHistory(r))
	s.clock.ms.Store(1_763_800_000_500) // the clock is this test's alone: history is no real one
	s.Live.Advance(s.now())
	c := s.signedIn()
	v := c.view("dashboard=overview")
	v.want("hello", &helloData{})
	begin := s.now().Truncate(time.Second).UnixMilli()
	s.tick()
	s.settle()
	s.tick()
	var first snapshotData
	v.want("snapshot", &first)
	compared := first.Compare
	if compared.Since == 0 {
		var tick tickData
		v.want("tick", &tick)
		compared = tick.Compare
	}
	asked := begin + 1000 // the window that closed when history was asked
	ahead := asked + compareAhead.Milliseconds() + 1000
	wantPast(t, compared, "cpu", asked-59_000, ahead)
	wantPast(t, compared, "hosts", asked-59_000, ahead)
	if len(compared.Shifts) != 1 || len(compared.Shifts["1d"]) != 6 {
		t.Errorf("compared %v: want the six tiles' queries by a day", compared.Shifts)
	}
	if asks := r.asked(); len(asks) != 1 || len(asks[0].Queries) != 6 || asks[0].Step != aggregate.Second {
		t.Fatalf("history was asked %v", asks)
	}

	second := c.view("dashboard=overview")
	second.want("hello", &helloData{})
	var joined snapshotData
	s.send("web-1", "system.cpu.utilization", aggregate.Gauge, 1)
	s.tick()
	second.want("snapshot", &joined)
	wantPast(t, joined.Compare, "cpu", asked-59_000, ahead)
	for len(r.asked()) == 1 {
		s.tick()
		s.settle()
	}
	if now := s.now().Truncate(time.Second).UnixMilli(); now != asked+60_000 {
		t.Errorf("history was asked again after %d ms", now-asked)
	}
	s.tick()
	var tick tickData
	for tick.Compare.Since <= ahead { // what a snapshot had comes with a tick, too
		tick = tickData{}
		v.want("tick", &tick)
	}
	wantPast(t, tick.Compare, "memory", ahead+1000, ahead+60_000)
	third := c.view("dashboard=overview")
	third.want("hello", &helloData{})
	var late snapshotData
	third.want("snapshot", &late)
	wantPast(t, late.Compare, "memory", asked+1000, ahead+60_000)
	if asks := r.asked(); len(asks) != 2 || asks[1].To-asks[1].From != 60_000 {
		t.Errorf("history was asked %v", asks)
	}
}

func TestComparisonKeepsWhatItKnowsWhenHistoryFails(t *testing.T) {
	r := &diary{failure: errors.New("away")}
	s := open(t, withHistory(r))
	c := definition{
		StepMS: 1000, RangeMS: 60_000, Timezone: "Europe/Berlin",
		Queries: map[string]aggregate.Query{"q": {Metric: "m", Over: aggregate.Last, Agg: aggregate.AggSum, Step: aggregate.Second}},
		Tiles:   []tile{{Compare: "1w", measure: measure{Query: "q"}}},
	}.comparison()
	at := time.UnixMilli(1_763_800_000_500)
	if !c.begin(at) || c.begin(at) {
		t.Fatal("a topic must be asked for once at a time")
	}
	if err := c.update(t.Context(), s.History, at); err == nil || len(c.news().rows) != 0 {
		t.Fatalf("a failure gave %v, %v", err, c.all())
	}
	if c.begin(at.Add(59*time.Second)) || !c.begin(at.Add(time.Minute)) {
		t.Fatal("want another try after a minute")
	}
	r.set(func() { r.failure = nil })
	must(t, c.update(t.Context(), s.History, at.Add(time.Minute)))
	kept := c.all()
	r.set(func() { r.failure = errors.New("away again") })
	if err := c.update(t.Context(), s.History, at.Add(2*time.Minute)); err == nil || !reflect.DeepEqual(c.all(), kept) {
		t.Fatalf("a failure changed %v to %v", kept, c.all())
	}
	// After an hour without history nothing of what is known is of use any more.
	r.set(func() { r.failure = nil })
	later := at.Add(time.Hour)
	must(t, c.update(t.Context(), s.History, later))
	newest := later.Truncate(time.Second).UnixMilli()
	got := c.all()
	if got.since != newest-59_000 || len(got.rows["1w"]["q"]) != got.count(c.step) || got.rows["1w"]["q"][0] != secondsOf(got.since-7*day) {
		t.Errorf("known since %d: %v", got.since, got.rows)
	}
	if news := c.news(); !reflect.DeepEqual(news, got) { // what no tick carried before is still to be told
		t.Errorf("news %+v, want %+v", news, got)
	}
	// The clock is set back.
	must(t, c.update(t.Context(), s.History, at))
	if got := c.all(); got.since != at.Truncate(time.Second).UnixMilli()-59_000 {
		t.Errorf("known since %d", got.since)
	}
}

// TestComparisonWithALongerStep: history has ten seconds at the least. A level is compared with that of the ten seconds, an
// increase with nothing.
func TestComparisonWithALongerStep(t *testing.T) {
	r := &diary{step: aggregate.TenSeconds}
	d := definition{StepMS: 1000, RangeMS: 300_000, Queries: map[string]aggregate.Query{
		"level": {Metric: "m", Over: aggregate.Avg, Agg: aggregate.AggSum, Step: aggregate.Second},
		"total": {Metric: "m", Over: aggregate.Sum, Agg: aggregate.AggSum, Step: aggregate.Second},
		"half":  {Expr: "level / 2", Step: aggregate.Second},
	}}
	d.Tiles = []tile{{Compare: "1d", measure: measure{Query: "half"}}, {Compare: "1d", measure: measure{Query: "total"}}}
	d.Trends = []trend{{Compare: "1d", Lines: []line{{Query: "level"}}}}
	c := d.comparison()
	at := time.UnixMilli(1_763_800_007_500)
	must(t, c.update(t.Context(), r, at))
	got := c.all()
	if rows := got.rows["1d"]; len(rows) != 2 || rows["half"] == nil || rows["level"] == nil {
		t.Fatalf("compared %v, want half and level", rows)
	}
	if want := at.Truncate(time.Second).UnixMilli() - 299_000; got.since != want { // a trend's whole range
		t.Errorf("since %d, want %d", got.since, want)
	}
	for i, end := range got.ends(c.step) {
		if want := secondsOf((end - day + 9_999) / 10_000 * 10_000); got.rows["1d"]["level"][i] != want {
			t.Fatalf("window %d is compared with %v, want %v", end, got.rows["1d"]["level"][i], want)
		}
	}
}

func TestQueryCompares(t *testing.T) {
	r := &diary{step: aggregate.Minute}
	s := open(t, withHistory(r))
	c := s.signedIn()
	// 2026-03-29 in Berlin: 00:00 to 05:00 is four hours. The clock skipped 02:00 to 03:00.
	const midnight = 1_774_738_800_000
	s.clock.ms.Store(midnight + 3*3600_000 + 1)
	ask := func(step string) (answer struct {
		Ends    []int64
		StepMS  int64 `json:"step_ms"`
		Queries map[string]columns
		Compare struct {
			Shift, Timezone string
			Ends            []int64
			Queries         map[string]columns
		}
	}) {
		t.Helper()
		c.post("/api/v1/query", `{"queries":{"a":{"metric":"m","over":"avg","agg":"avg"}},"from":1774738800000,"to":1774753200000,
			"step":"`+step+`","compare":"1d","timezone":"Europe/Berlin"}`).decode(&answer)
		return answer
	}
	got := ask("1h")
	hours := func(n ...int64) (ends []int64) {
		for _, h := range n {
			ends = append(ends, midnight+h*3600_000)
		}
		return ends
	}
	if !slices.Equal(got.Ends, hours(1, 2, 3, 4)) || !slices.Equal(got.Compare.Ends, hours(-23, -21, -20, -19)) {
		t.Errorf("%v is compared with %v", got.Ends, got.Compare.Ends)
	}
	if got.Compare.Shift != "1d" || got.Compare.Timezone != "Europe/Berlin" {
		t.Errorf("compared by %q in %q", got.Compare.Shift, got.Compare.Timezone)
	}
	seconds := func(hour int64) any { return secondsOf(midnight + hour*3600_000) }
	wantRow(t, "values", got.Queries["a"].Values[0], seconds(1), seconds(2), seconds(3), seconds(4))
	// The last window is open: what it has so far is not compared with a whole hour.
	wantRow(t, "compared", got.Compare.Queries["a"].Values[0], seconds(-23), seconds(-21), seconds(-20), nil)

	// At a step that is too short for history both sides are at the same longer one.
	if fine := ask("10s"); fine.StepMS != 60_000 || len(fine.Ends) != 240 || len(fine.Compare.Queries["a"].Values[0]) != 240 {
		t.Errorf("step %d, %d windows", fine.StepMS, len(fine.Ends))
	}
	f := func(more, message string) {
		t.Helper()
		c.post("/api/v1/query", `{"queries":{"a":{"metric":"m","over":"avg","agg":"avg"}},"from":0,"to":1000,"step":"1s",`+more+`}`).
			want(http.StatusBadRequest, "bad_request")
	}
	f(`"compare":"1h"`, "compare")
	f(`"compare":"1d","timezone":"Atlantis"`, "timezone")
	f(`"timezone":"Europe/Berlin"`, "compare") // compared with what?
}

// The past before the epoch is no time: nothing is there to compare with.
func TestCompareBeforeTheEpoch(t *testing.T) {
	c, err := aggregate.NewComparison("1d", "")
	must(t, err)
	results, _, err := askBefore(t.Context(), &diary{}, map[string]aggregate.Query{"q": {}}, aggregate.Second, c, []int64{1000, day, day + 1000})
	must(t, err)
	if got := results["q"].Values[0]; !math.IsNaN(got[0]) || !math.IsNaN(got[1]) || got[2] != 1 {
		t.Errorf("compared with %v", got)
	}
}
