package aggregate_test

import (
	"testing"
	"time"

	. "telltale/aggregate"
)

func ends(from, to int64) (all []int64) {
	for end := from; end <= to; end += 1000 {
		all = append(all, start+end)
	}
	return all
}

func host(name string) Group { return Group{Labels: []Label{{Name: AgentLabel, Value: name}}} }

// A hub starts while a topic's past is in history: what it had is told at once, and corrected when more is known.
func TestFillTellsTheWindowsBeforeTheWatch(t *testing.T) {
	b := newBench(t)
	x := b.series("cpu", "a", Gauge, time.Second)
	b.live.Advance(at(-500))
	by := Query{Metric: "cpu", Over: Last, Agg: AggAvg, By: []string{AgentLabel}, Step: Second}
	w := b.watch(-400, map[string]Query{
		"by":     by,
		"all":    {Metric: "cpu", Over: Last, Agg: AggSum, Step: Second},
		"double": {Expr: "by * 2", Step: Second},
	})
	past := map[string]Columns{
		"by":     {Groups: []Group{host("gone"), host("a")}, Values: [][]float64{{1, 2, none}, {10, 20, none}}},
		"all":    {Groups: []Group{{}}, Values: [][]float64{{11, 22, none}}},
		"double": {Groups: []Group{host("gone"), host("a")}, Values: [][]float64{{2, 4, none}, {20, 40, none}}},
	}
	w.Fill(ends(-2000, 0), past)
	s := w.Snapshot()
	if s.Since != start-2000 || s.End != start {
		t.Fatalf("snapshot of %d..%d", s.Since-start, s.End-start)
	}
	if g := s.Results["by"].Groups; len(g) != 2 || g[0].Compare(host("a")) != 0 || g[1].Compare(host("gone")) != 0 {
		t.Fatalf("groups %v", g)
	}
	wantValues(t, s.Results["by"].Values[0], 10, 20, none)
	wantValues(t, s.Results["by"].Values[1], 1, 2, none)
	wantValues(t, s.Results["all"].Values[0], 11, 22, none)
	wantValues(t, s.Results["double"].Values[1], 2, 4, none)

	b.send(x, 100, 30)
	b.live.Advance(at(1500))
	tick := b.only(w)
	if len(tick.Amended) != 0 {
		t.Fatalf("amended %v", tick.Amended)
	}
	wantValues(t, tick.Results["by"].Values, 30, none)

	// History has the last window now, and it says another thing of what was computed here, which stands.
	past["all"] = Columns{Groups: []Group{{}}, Values: [][]float64{{11, 22, 25, 99}}}
	past["by"] = Columns{Groups: []Group{host("a"), host("gone")}, Values: [][]float64{{10, 20, 25, 99}, {1, 2, none, none}}}
	past["double"] = Columns{Groups: []Group{host("a"), host("gone")}, Values: [][]float64{{20, 40, 50, 99}, {2, 4, none, none}}}
	w.Fill(ends(-2000, 1000), past)
	b.live.Advance(at(2500))
	tick = b.only(w)
	if len(tick.Amended) != 1 || tick.Amended[0].End != start {
		t.Fatalf("amended %v, want the last window before the watch", tick.Amended)
	}
	amended := tick.Amended[0].Values
	wantValues(t, amended["by"], 25, none)
	wantValues(t, amended["all"], 25)
	wantValues(t, amended["double"], 50, none)
	wantValues(t, w.Snapshot().Results["all"].Values[0], 11, 22, 25, 30, 30)

	b.live.Advance(at(3500))
	if tick = b.only(w); len(tick.Amended) != 0 {
		t.Fatalf("amended again: %v", tick.Amended)
	}
}

// A group that only history knows leaves as any other: when the ring has no value of it any more. So do the windows.
func TestFilledWindowsGrowOld(t *testing.T) {
	b := newBench(t)
	b.live.Advance(at(-500))
	w := b.watch(-400, map[string]Query{"q": {Metric: "cpu", Over: Last, Agg: AggAvg, By: []string{AgentLabel}, Step: Second}})
	values := make([]float64, 100)
	for i := range values {
		values[i] = float64(i)
	}
	w.Fill(ends(-99_000, 0), map[string]Columns{"q": {Groups: []Group{host("gone")}, Values: [][]float64{values}}})
	s := w.Snapshot()
	if s.Since != start-59_000 || s.Results["q"].Values[0][0] != 40 || s.Results["q"].Values[0][59] != 99 {
		t.Fatalf("snapshot since %d: %v", s.Since-start, s.Results["q"].Values)
	}
	for second := int64(1); second <= 60; second++ {
		b.live.Advance(at(1000*second + 500))
		tick := b.only(w)
		if got, want := len(tick.Results["q"].Groups), 1; second < 60 && got != want {
			t.Fatalf("after %d s: %d groups", second, got)
		}
	}
	if s := w.Snapshot(); len(s.Results["q"].Groups) != 0 || s.Since != start+1000 {
		t.Fatalf("after a minute: %+v", s)
	}
	w.Fill(ends(-99_000, 0), map[string]Columns{"q": {Groups: []Group{host("gone")}, Values: [][]float64{values}}})
	if s := w.Snapshot(); len(s.Results["q"].Groups) != 0 {
		t.Fatalf("what is too old came back: %+v", s.Results)
	}
	w.Close()
	w.Fill(ends(0, 0), nil)
}

// Other watches of the same query see what one was told, and no tick of theirs comes twice.
func TestFillIsSharedBetweenWatches(t *testing.T) {
	b := newBench(t)
	b.live.Advance(at(-500))
	q := map[string]Query{"q": {Metric: "cpu", Over: Last, Agg: AggSum, Step: Second}}
	first := b.watch(-400, q)
	b.live.Advance(at(1500))
	b.only(first)
	second := b.watch(1600, q)
	second.Fill(ends(-2000, 1000), map[string]Columns{"q": {Groups: []Group{{}}, Values: [][]float64{{1, 2, 3, 4}}}})
	for _, w := range []*Watch{first, second} {
		if s := w.Snapshot(); s.Since != start-2000 || s.End != start+1000 {
			t.Errorf("snapshot of %d..%d", s.Since-start, s.End-start)
		}
	}
	wantValues(t, second.Snapshot().Results["q"].Values[0], 1, 2, 3, none)
	b.live.Advance(at(2500))
	for _, w := range []*Watch{first, second} {
		if tick := b.only(w); tick.End != start+2000 || len(tick.Amended) != 0 {
			t.Errorf("got %+v", tick)
		}
	}
}
