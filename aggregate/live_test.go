package aggregate_test

import (
	"math"
	"testing"
	"time"

	"go.uber.org/goleak"

	. "telltale/aggregate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const start = 1_763_800_020_000 // a whole minute

func at(ms int64) time.Time { return time.UnixMilli(start + ms) }

// bench is a registry and a Live with some senders, on a clock of its own.
type bench struct {
	t    *testing.T
	reg  *Registry
	live *Live
}

func newBench(t *testing.T) *bench {
	reg := NewRegistry(Limits{})
	return &bench{t, reg, NewLive(LiveConfig{}, reg)}
}

func (b *bench) series(metric, agent string, kind Kind, interval time.Duration, labels ...Label) SeriesID {
	b.t.Helper()
	id, err := b.reg.Intern(Series{Metric: metric, Kind: kind, Interval: interval, Labels: append([]Label{{Name: AgentLabel, Value: agent}}, labels...)})
	if err != nil {
		b.t.Error(err) // not Fatal: other goroutines come here too
	}
	return id
}

// send applies one sample; ts is ms after start.
func (b *bench) send(id SeriesID, ts int64, value float64) {
	b.t.Helper()
	s, ok := b.reg.Series(id)
	if !ok {
		b.t.Fatalf("series %d is not known", id)
	}
	b.live.Apply(&Batch{Agent: s.Label(AgentLabel), Series: []SeriesID{id}, TS: []int64{start + ts}, Value: []float64{value}, N: []uint32{1}})
}

func (b *bench) watch(ms int64, queries map[string]Query) *Watch {
	b.t.Helper()
	w, err := b.live.Watch(at(ms), queries)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(w.Close)
	return w
}

// only expects one tick and returns it.
func (b *bench) only(w *Watch) Tick {
	b.t.Helper()
	ticks := w.Ticks()
	if len(ticks) != 1 {
		b.t.Fatalf("%d ticks, want 1", len(ticks))
	}
	return ticks[0]
}

func wantValues(t *testing.T, got []float64, want ...float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] && !(math.IsNaN(got[i]) && math.IsNaN(want[i])) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

var none = math.NaN()

func TestLiveGivesEachWindowOnceItHasClosed(t *testing.T) {
	b := newBench(t)
	x, y := b.series("cpu", "a", Gauge, time.Second), b.series("cpu", "b", Gauge, time.Second)
	b.live.Advance(at(-500))
	w := b.watch(-400, map[string]Query{
		"all": {Metric: "cpu", Over: Last, Agg: AggSum, Step: Second},
		"by":  {Metric: "cpu", Over: Last, Agg: AggAvg, By: []string{"agent"}, Step: Second},
	})
	b.send(x, 100, 1)
	b.send(y, 999, 2)
	b.send(y, 1000, 7) // the next window's
	b.live.Advance(at(1499))
	if ticks := w.Ticks(); len(ticks) != 0 {
		t.Fatalf("the window closed too early: %v", ticks)
	}
	b.live.Advance(at(1500))
	tick := b.only(w)
	if tick.End != start+1000 || len(tick.Amended) != 0 {
		t.Fatalf("got %+v", tick)
	}
	wantValues(t, tick.Results["all"].Values, 3)
	wantValues(t, tick.Results["by"].Values, 1, 2)
	groups := tick.Results["by"].Groups
	if !tick.Results["by"].Changed || groups[0].Labels[0] != (Label{Name: "agent", Value: "a"}) || groups[1].Labels[0].Value != "b" {
		t.Fatalf("got groups %+v", groups)
	}
	b.live.Advance(at(2500))
	tick = b.only(w)
	wantValues(t, tick.Results["by"].Values, 1, 7) // a's is carried
	if tick.Results["by"].Changed {
		t.Fatal("the same groups count as changed")
	}
}

func TestLastIsCarriedAndThenGone(t *testing.T) {
	b := newBench(t)
	x := b.series("cpu", "a", Gauge, time.Second) // carried for floor(2.5) windows
	b.live.Advance(at(0))
	w := b.watch(0, map[string]Query{
		"last": {Metric: "cpu", Over: Last, Agg: AggSum, Step: Second},
		"avg":  {Metric: "cpu", Over: Avg, Agg: AggSum, Step: Second},
		"n":    {Metric: "cpu", Over: Last, Agg: AggCount, Step: Second},
	})
	b.send(x, 100, 4)
	for i := range int64(4) {
		b.live.Advance(at(1500 + 1000*i))
		tick := b.only(w)
		switch {
		case i == 0:
			wantValues(t, tick.Results["avg"].Values, 4)
		default:
			wantValues(t, tick.Results["avg"].Values, none)
		}
		if i <= 2 {
			wantValues(t, tick.Results["last"].Values, 4)
			wantValues(t, tick.Results["n"].Values, 1)
		} else {
			wantValues(t, tick.Results["last"].Values, none)
			wantValues(t, tick.Results["n"].Values, 0)
		}
	}
}

func TestLateSamplesAmend(t *testing.T) {
	b := newBench(t)
	x := b.series("cpu", "a", Gauge, time.Second)
	b.live.Advance(at(0))
	w := b.watch(0, map[string]Query{"cpu": {Metric: "cpu", Over: Last, Agg: AggSum, Step: Second}})
	b.send(x, 100, 4)
	for i := range int64(3) {
		b.live.Advance(at(1500 + 1000*i))
	}
	w.Ticks()
	b.send(x, 1200, 5) // amends its window, and the one it is carried into
	b.live.Advance(at(4500))
	tick := b.only(w)
	wantValues(t, tick.Results["cpu"].Values, 5)
	if len(tick.Amended) != 2 || tick.Amended[0].End != start+2000 || tick.Amended[1].End != start+3000 {
		t.Fatalf("amended %+v", tick.Amended)
	}
	wantValues(t, tick.Amended[0].Values["cpu"], 5)
	snapshot := w.Snapshot()
	if snapshot.Since != start+1000 || snapshot.End != start+4000 {
		t.Fatalf("snapshot of %d..%d", snapshot.Since-start, snapshot.End-start)
	}
	wantValues(t, snapshot.Results["cpu"].Values[0], 4, 5, 5, 5)
	if late := b.live.Stats().Late; late != 1 {
		t.Fatalf("%d late samples, want 1", late)
	}
}

func TestEarlySamplesWait(t *testing.T) {
	b := newBench(t)
	x := b.series("cpu", "a", Gauge, time.Second)
	b.live.Advance(at(0))
	w := b.watch(0, map[string]Query{"cpu": {Metric: "cpu", Over: Sum, Agg: AggSum, Step: Second}})
	b.send(x, 30_100, 4)
	for i := range int64(31) {
		b.live.Advance(at(1500 + 1000*i))
	}
	ticks := w.Ticks()
	if len(ticks) != 31 {
		t.Fatalf("%d ticks, want 31", len(ticks))
	}
	wantValues(t, ticks[29].Results["cpu"].Values, none)
	wantValues(t, ticks[30].Results["cpu"].Values, 4)
}

func TestAFreshWatchKnowsTheLastValues(t *testing.T) {
	b := newBench(t)
	x := b.series("disk", "a", Gauge, 15*time.Second)
	b.live.Advance(at(0))
	b.send(x, 100, 4)
	b.live.Advance(at(1500))
	w := b.watch(2200, map[string]Query{"disk": {Metric: "disk", Over: Last, Agg: AggSum, Step: Second}})
	if s := w.Snapshot(); s.Since <= s.End {
		t.Fatalf("a new watch has windows %d..%d", s.Since, s.End)
	}
	b.live.Advance(at(4500)) // window 3..4 s is the first whole one
	tick := b.only(w)
	if tick.End != start+4000 {
		t.Fatalf("first window ends at %d", tick.End-start)
	}
	wantValues(t, tick.Results["disk"].Values, 4)

	again := b.watch(4600, map[string]Query{"shared": {Metric: "disk", Over: Last, Agg: AggAvg, Step: Second}})
	if s := again.Snapshot(); s.Since != start+4000 || s.End != start+4000 {
		t.Fatalf("a watch on samples that are kept has windows %d..%d", s.Since-start, s.End-start)
	}
}
