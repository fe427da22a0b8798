package aggregate_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	. "telltale/aggregate"
	"telltale/aggregate/aggregatetest"
)

// TestLiveEqualsReference feeds a Live with series that are irregular, late, early, silent for a while, equal in time and
// restarted, and holds what it gives, both as snapshots and as a viewer of its ticks has it, to the plain definition. It tries
// 300 generated cases, or as many as PROPERTY_CASES says.
func TestLiveEqualsReference(t *testing.T) {
	n, err := strconv.ParseUint(os.Getenv("PROPERTY_CASES"), 10, 64)
	if err != nil {
		n = 300
	}
	runCases(t, 0, n)
}

// runCases runs those with seeds from..to-1.
func runCases(t *testing.T, from, to uint64) {
	for seed := from; seed < to; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			runCase(t, rand.New(rand.NewPCG(seed, 1)))
		})
	}
}

// world is one generated case.
type world struct {
	*bench
	rng     *rand.Rand
	sources []*source
	sent    []aggregatetest.Sample
	pending []aggregatetest.Sample // on their way: due in the order of due
	due     []int64
	viewers []*viewer
}

// source is one series and how it behaves.
type source struct {
	series   *Series
	interval int64 // ms
	silent   [2]int64
}

func runCase(t *testing.T, rng *rand.Rand) {
	w := &world{bench: newBench(t), rng: rng}
	for i := range 1 + rng.IntN(7) {
		w.addSources(i)
	}
	duration := int64(60_000 * (2 + rng.IntN(2)))
	w.live.Advance(at(-10_000))
	joins := map[int64]Step{0: pick(rng, Second, Second, TenSeconds, Minute), duration - 60_000 - 1000*rng.Int64N(10) - 5000: Second}
	for second := int64(0); second < duration; second += 1000 {
		if step, joins := joins[second]; joins {
			w.join(second+200, step)
		}
		if rng.IntN(20) == 0 {
			w.addSources(rng.IntN(9))
		}
		w.emit(second)
		switch {
		case second == duration-1000:
			w.deliver(math.MaxInt64) // all that is on its way, just before the last window is computed
		case rng.IntN(8) == 0: // this second passes without an Advance
			w.deliver(second + 1000)
			continue
		default:
			w.deliver(second + 1000)
		}
		w.live.Advance(at(second + 1500))
		w.follow()
	}
	w.check(at(duration))
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// addSources makes the series of an agent; those it has already are interned again, as after a restart.
func (w *world) addSources(agent int) {
	name := fmt.Sprint("agent-", agent)
	region := Label{Name: "region", Value: []string{"eu", "us", ""}[agent%3]}
	for metric, kind := range map[string]Kind{"gauge": Gauge, "counter": Counter, "latency": Distribution} {
		for shard := range 1 + agent%2 {
			interval := []int64{1000, 2000, 5000, 15_000}[(agent+shard)%4]
			labels := []Label{}
			if region.Value != "" {
				labels = append(labels, region)
			}
			labels = append(labels, Label{Name: "shard", Value: fmt.Sprint(shard)})
			id := w.series(metric, name, kind, time.Duration(interval)*time.Millisecond, labels...)
			if slices.ContainsFunc(w.sources, func(s *source) bool { return s.series.ID == id }) {
				continue
			}
			s, _ := w.reg.Series(id)
			from := w.rng.Int64N(100_000)
			w.sources = append(w.sources, &source{s, interval, [2]int64{from, from + w.rng.Int64N(80_000)}})
		}
	}
}

// emit makes the samples that sources take within a second.
func (w *world) emit(second int64) {
	for _, s := range w.sources {
		if second >= s.silent[0] && second < s.silent[1] || w.rng.Int64N(s.interval) >= 1000 {
			continue
		}
		ts := second + w.rng.Int64N(1000)
		if w.rng.IntN(10) == 0 {
			ts = second // on a window's edge
		}
		if w.rng.IntN(30) == 0 {
			ts += w.rng.Int64N(3000) // the agent's clock is ahead
		}
		for range pick(w.rng, 1, 1, 1, 2, 5) {
			w.sendLater(s, ts, second)
			if w.rng.IntN(2) == 0 {
				ts += w.rng.Int64N(400) // else a tie
			}
		}
	}
}

func (w *world) sendLater(s *source, ts, second int64) {
	sample := aggregatetest.Sample{Series: s.series, TS: start + ts, Value: math.Round(w.rng.NormFloat64()*1000) / 100, N: 1}
	switch s.series.Kind {
	case Counter:
		sample.Value = math.Abs(sample.Value)
	case Distribution:
		sample.Value, sample.N = math.Ceil(sample.Value), uint32(1+w.rng.IntN(5))
	}
	delay := w.rng.Int64N(300)
	switch w.rng.IntN(25) {
	case 0:
		delay = w.rng.Int64N(3000)
	case 1:
		delay = w.rng.Int64N(40_000)
	}
	w.pending, w.due = append(w.pending, sample), append(w.due, max(ts, second)+delay)
}

// deliver applies what is due by then, in any order.
func (w *world) deliver(until int64) {
	var kept []aggregatetest.Sample
	var keptDue []int64
	for i, s := range w.pending {
		if w.due[i] > until {
			kept, keptDue = append(kept, s), append(keptDue, w.due[i])
			continue
		}
		w.sent = append(w.sent, s)
		w.live.Apply(&Batch{Agent: s.Series.Label(AgentLabel), Series: []SeriesID{s.Series.ID}, TS: []int64{s.TS}, Value: []float64{s.Value}, N: []uint32{s.N}})
	}
	w.pending, w.due = kept, keptDue
}

// join begins to watch some random queries.
func (w *world) join(now int64, step Step) {
	queries := map[string]Query{}
	for i := range 6 {
		queries[fmt.Sprint("q", i)] = randomQuery(w.rng, step)
	}
	by := pick(w.rng, nil, []string{"agent"}, []string{"region", "shard"})
	queries["errors"] = Query{Metric: "counter", Over: Increase, Agg: AggSum, By: pick(w.rng, by, nil), Step: step}
	queries["requests"] = Query{Metric: "gauge", Over: pick(w.rng, Last, Max), Agg: AggMax, By: by, Step: step}
	ratio := Query{Expr: pick(w.rng, "errors / requests * 100", "errors + requests - 1", "-(errors - 2) / 4"), Step: step}
	if by != nil && ratio.Expr != "-(errors - 2) / 4" {
		ratio.Top = w.rng.IntN(4)
	}
	queries["ratio"] = ratio
	w.viewers = append(w.viewers, &viewer{
		watch: w.watch(now, queries), queries: queries, values: map[point]float64{}, groups: map[string][]string{}})
}

func randomQuery(rng *rand.Rand, step Step) Query {
	q := Query{Step: step, Agg: pick(rng, AggSum, AggAvg, AggMin, AggMax, AggCount, AggP50, AggP90, AggP95, AggP99)}
	switch rng.IntN(4) {
	case 0:
		q.Metric, q.Over = "counter", pick(rng, Increase, Rate)
	case 1:
		q.Metric = "latency"
	default:
		q.Metric, q.Over = "gauge", pick(rng, Last, Last, Avg, Min, Max, Sum)
	}
	q.By = pick(rng, nil, nil, []string{"agent"}, []string{"region"}, []string{"shard", "region"}, []string{"nothing"})
	if q.By != nil {
		q.Top = rng.IntN(4)
	}
	for _, text := range []string{"eu", "!=eu", "=~e.|u.", "!~e.*", ""} {
		if rng.IntN(8) == 0 {
			m, _ := ParseMatcher("region", text)
			q.Where = append(q.Where, m)
		}
	}
	return q
}

// viewer is one who watches: it has what the ticks told it.
type viewer struct {
	watch   *Watch
	queries map[string]Query
	values  map[point]float64
	groups  map[string][]string
	end     int64
}

type point struct {
	query, group string
	end          int64
}

func (w *world) follow() {
	for _, v := range w.viewers {
		for _, tick := range v.watch.Ticks() {
			v.see(w, tick)
		}
	}
}

func (v *viewer) see(w *world, tick Tick) {
	if step := int64(v.queries["ratio"].Step); v.end != 0 && tick.End != v.end+step {
		w.t.Errorf("tick %d follows %d", tick.End, v.end)
	}
	v.end = tick.End
	for name, r := range tick.Results {
		if r.Changed {
			v.groups[name] = nil
			for _, g := range r.Groups {
				v.groups[name] = append(v.groups[name], fmt.Sprint(g))
			}
		}
		v.put(w, name, tick.End, r.Values)
	}
	for _, a := range tick.Amended {
		if a.End >= tick.End {
			w.t.Errorf("window %d is amended in tick %d", a.End, tick.End)
		}
		for name, values := range a.Values {
			v.put(w, name, a.End, values)
		}
	}
}

func (v *viewer) put(w *world, name string, end int64, values []float64) {
	if len(values) != len(v.groups[name]) {
		w.t.Fatalf("%s: %d values of %d groups", name, len(values), len(v.groups[name]))
	}
	for i, g := range v.groups[name] {
		v.values[point{name, g, end}] = values[i]
	}
}

// check compares what each viewer has, and what a new one would get, with the definition.
func (w *world) check(end time.Time) {
	for _, v := range w.viewers {
		s := v.watch.Snapshot()
		if s.End < end.UnixMilli() || s.End != v.end {
			w.t.Fatalf("the snapshot ends at %d, the last tick at %d, the run at %d", s.End, v.end, end.UnixMilli())
		}
		var ends []int64
		for e := s.Since; e <= s.End; e += int64(s.Step) {
			ends = append(ends, e)
		}
		want := aggregatetest.Evaluate(v.queries, w.sent, ends)
		for name, q := range v.queries {
			w.compare(q, s.Results[name], want[name], ends)
			v.compare(w, name, s.Results[name], ends)
		}
	}
}

func (w *world) compare(q Query, got, want Columns, ends []int64) {
	if fmt.Sprint(got.Groups) != fmt.Sprint(want.Groups) {
		w.t.Errorf("%v: groups %v, want %v", q, got.Groups, want.Groups)
		return
	}
	for g := range got.Groups {
		for i, v := range got.Values[g] {
			if !near(v, want.Values[g][i]) {
				w.t.Errorf("%v of %v at %d: %v, want %v", q, got.Groups[g], ends[i]-start, v, want.Values[g][i])
				return
			}
		}
	}
}

func (v *viewer) compare(w *world, name string, snapshot Columns, ends []int64) {
	for g, group := range snapshot.Groups {
		key := fmt.Sprint(group)
		for i, want := range snapshot.Values[g] {
			got, told := v.values[point{name, key, ends[i]}]
			if !told {
				got = math.NaN()
			}
			if !near(got, want) {
				w.t.Errorf("%s: a viewer has %v of %v at %d, the snapshot %v", name, got, group, ends[i]-start, want)
				return
			}
		}
	}
}

// near allows for the order of additions: values here are about ten, sums a few thousand, and quotients of small differences larger.
func near(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-9*(1000+math.Abs(b))
}
