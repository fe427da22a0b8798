package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "telltale/aggregate"
)

func sumOf(metric string, by ...string) map[string]Query {
	return map[string]Query{"q": {Metric: metric, Over: Sum, Agg: AggSum, By: by, Step: Second}}
}

func TestApplyCountsWhatItCannotTake(t *testing.T) {
	b := newBench(t)
	b.live.Advance(at(0))
	x := b.series("cpu", "a", Gauge, time.Second)
	b.series("cpu", "b", Gauge, time.Second)
	w := b.watch(0, sumOf("cpu"))
	one := func(agent string, id SeriesID, ts int64) {
		b.live.Apply(&Batch{Agent: agent, Series: []SeriesID{id}, TS: []int64{ts}, Value: []float64{1}, N: []uint32{1}})
	}
	one("nobody", x, start)
	one("a", 17, start)
	one("b", x, start) // another agent's series
	one("a", x, -5)
	one("a", x, start+600_000) // far in the future
	one("a", x, start+500)
	b.live.Advance(at(1500))
	one("a", x, start-5000) // before the first window
	b.live.Advance(at(2500))
	wantValues(t, w.Ticks()[0].Results["q"].Values, 1)
	got := b.live.Stats()
	want := LiveStats{Samples: 4, Unknown: 3, TooLate: 2, Overflow: 1, Queries: 1, Places: 2}
	if got != want {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

func TestStraysAreBounded(t *testing.T) {
	reg := NewRegistry(Limits{})
	b := &bench{t, reg, NewLive(LiveConfig{Strays: 3}, reg)}
	x := b.series("cpu", "a", Gauge, time.Second)
	w := b.watch(0, sumOf("cpu"))
	for i := range int64(5) { // the series is new, so its samples wait
		b.send(x, 100+i, 1)
	}
	b.live.Advance(at(1500))
	b.live.Advance(at(2500))
	wantValues(t, w.Ticks()[0].Results["q"].Values, 3)
	if got := b.live.Stats().Overflow; got != 2 {
		t.Fatalf("%d samples left out, want 2", got)
	}
}

func TestWatchRefuses(t *testing.T) {
	reg := NewRegistry(Limits{})
	b := &bench{t, reg, NewLive(LiveConfig{Queries: 2}, reg)}
	b.series("cpu", "a", Gauge, time.Second)
	f := func(part string, queries map[string]Query) {
		t.Helper()
		if _, err := b.live.Watch(at(0), queries); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want an error with %q", err, part)
		}
	}
	f("no queries", nil)
	f("q.over", map[string]Query{"q": {Metric: "cpu", Over: Rate, Agg: AggSum, Step: Second}})
	f("q.agg", map[string]Query{"q": {Metric: "cpu", Over: Last, Agg: "median", Step: Second}})
	f("one step", map[string]Query{"a": {Metric: "cpu", Over: Last, Agg: AggSum, Step: Second}, "b": {Metric: "cpu", Over: Last, Agg: AggSum, Step: Minute}})
	b.watch(0, sumOf("x"))
	b.watch(0, sumOf("y"))
	f("limit is 2", sumOf("z"))
}

func TestASeriesOfAnotherKindIsLeftOut(t *testing.T) {
	b := newBench(t)
	b.live.Advance(at(0))
	w := b.watch(0, sumOf("requests"))
	x := b.series("requests", "a", Counter, time.Second)
	b.send(x, 100, 1)
	b.live.Advance(at(1500))
	wantValues(t, b.only(w).Results["q"].Values, none)
	if got := b.live.Stats().Unsuited; got != 1 {
		t.Fatalf("%d series left out, want 1", got)
	}
}

func TestAClosedWatchCostsNothing(t *testing.T) {
	b := newBench(t)
	b.live.Advance(at(0))
	x := b.series("cpu", "a", Gauge, time.Second)
	queries := sumOf("cpu", "agent")
	queries["half"] = Query{Expr: "q / 2", Step: Second, Top: 1}
	one, two := b.watch(0, queries), b.watch(0, queries)
	if got := b.live.Stats().Queries; got != 3 { // q, half, and half's own q
		t.Fatalf("%d queries, want 3", got)
	}
	one.Close()
	one.Close()
	b.send(x, 100, 4)
	b.live.Advance(at(1500))
	wantValues(t, b.only(two).Results["half"].Values, 2)
	if ticks := one.Ticks(); ticks != nil {
		t.Fatalf("a closed watch ticks: %v", ticks)
	}
	two.Close()
	b.send(x, 1100, 4)
	b.live.Advance(at(2500))
	if got := b.live.Stats(); got.Queries != 0 || got.Places != 0 {
		t.Fatalf("left: %+v", got)
	}
}

func TestSeriesThatEndedAreForgotten(t *testing.T) {
	b := newBench(t)
	b.live.Advance(at(0))
	w := b.watch(0, map[string]Query{
		"last": {Metric: "cpu", Over: Last, Agg: AggSum, By: []string{"agent"}, Step: Second},
		"top":  {Metric: "cpu", Over: Sum, Agg: AggSum, By: []string{"agent"}, Top: 1, Step: Second},
	})
	ids := map[string]SeriesID{}
	for _, agent := range []string{"a", "b", "c"} {
		ids[agent] = b.series("cpu", agent, Gauge, time.Second)
		b.send(ids[agent], 100, 9)
	}
	b.live.Advance(at(1500))
	if got := len(b.only(w).Results["last"].Groups); got != 3 {
		t.Fatalf("%d groups, want 3", got)
	}
	b.reg.Detach("a")
	b.reg.Detach("b")
	hours := int64(2 * 3600_000)
	for ms := int64(60_000); ms <= hours; ms += 60_000 {
		for s := range int64(2) {
			b.send(ids["b"], ms+1000*s, 5) // attaches it again
			b.reg.Detach("b")
			b.live.Advance(at(ms + 1000*s + 1500))
		}
		w.Ticks()
	}
	if _, known := b.reg.Series(ids["a"]); known {
		t.Fatal("a is idle and detached, and still known")
	}
	if _, known := b.reg.Series(ids["c"]); !known {
		t.Fatal("c is attached, and yet forgotten")
	}
	if got := b.reg.Stats(); got.Series != 2 || got.Agents != 2 {
		t.Fatalf("left: %+v", got)
	}
	b.send(ids["c"], hours+2000, 7)
	b.send(ids["b"], hours+2000, 5)
	again := b.series("cpu", "a", Gauge, time.Second)
	b.send(again, hours+2000, 3)
	b.live.Advance(at(hours + 3500))
	tick := b.only(w)
	wantValues(t, tick.Results["last"].Values, 3, 5, 7)
	if agent := tick.Results["last"].Groups[2].Labels[0].Value; agent != "c" {
		t.Fatalf("the third group is %q", agent)
	}
	wantValues(t, tick.Results["top"].Values, 5, 10) // the ring has three windows of b
	if again != ids["a"] {
		t.Fatal("the series came back with another id")
	}
	defined := b.reg.TakeNew()
	if !slices.ContainsFunc(defined[3:], func(s *Series) bool { return s.ID == again }) {
		t.Fatal("a series that came back was not handed to storage again")
	}
}

func TestAJumpOfTheClockBeginsAnew(t *testing.T) {
	b := newBench(t)
	b.live.Advance(at(0))
	x := b.series("cpu", "a", Gauge, time.Second)
	queries := sumOf("cpu")
	queries["twice"] = Query{Expr: "q * 2", Step: Second}
	w := b.watch(0, queries)
	for _, hour := range []int64{0, 1, -2} {
		base := hour * 3600_000
		b.live.Advance(at(base))
		b.send(x, base+1100, 4)
		b.live.Advance(at(base + 1500))
		b.live.Advance(at(base + 2500))
		ticks := w.Ticks()
		last := ticks[len(ticks)-1]
		if last.End != start+base+2000 {
			t.Fatalf("after a jump to %d h the last tick is %d", hour, last.End-start)
		}
		wantValues(t, last.Results["twice"].Values, 8)
	}
}

func TestRunAdvancesJustWhenWindowsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := NewRegistry(Limits{})
		b := &bench{t, reg, NewLive(LiveConfig{}, reg)}
		x := b.series("cpu", "a", Gauge, time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		w, err := b.live.Watch(time.Now(), sumOf("cpu"))
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		var ends []int64
		b.live.Run(ctx, func(now time.Time) {
			if now.Nanosecond() != 500_000_000 {
				t.Errorf("advanced at %v", now)
			}
			b.send(x, now.UnixMilli()-start, 1)
			for _, tick := range w.Ticks() {
				ends = append(ends, now.UnixMilli()-tick.End)
			}
		})
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) || len(ends) < 8 || slices.Max(ends) != 500 {
			t.Fatalf("%d ticks, at %v ms after their ends", len(ends), ends)
		}
	})
}

// TestManyAtOnce has senders, viewers and the clock at work together; the race detector watches, and in the end every sample is counted.
func TestManyAtOnce(t *testing.T) {
	b := newBench(t)
	b.live.Advance(at(-500))
	queries := map[string]Query{
		"sum":    {Metric: "hits", Over: Increase, Agg: AggSum, Step: TenSeconds},
		"groups": {Metric: "hits", Over: Increase, Agg: AggSum, By: []string{"agent"}, Top: 2, Step: TenSeconds},
		"lat":    {Metric: "latency", Agg: AggCount, Step: TenSeconds},
	}
	w := b.watch(-500, queries)
	var senders, others sync.WaitGroup
	done := make(chan struct{})
	for s := range 6 {
		senders.Go(func() { b.sendMany(fmt.Sprint("agent-", s)) })
	}
	others.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			extra, err := b.live.Watch(at(0), map[string]Query{"x": {Metric: "hits", Over: Rate, Agg: AggAvg, By: []string{"shard"}, Step: TenSeconds}})
			if err != nil {
				t.Error(err)
				return
			}
			extra.Snapshot()
			b.live.Advance(at(int64(i % 9000)))
			extra.Ticks()
			extra.Close()
			b.reg.Stats()
		}
	})
	senders.Wait()
	close(done)
	others.Wait()
	b.live.Advance(at(10_500))
	tick := b.only(w)
	wantValues(t, tick.Results["sum"].Values, 6*200*5)
	wantValues(t, tick.Results["lat"].Values, 6*200*5*3)
	if got := tick.Results["groups"].Values; math.Abs(got[0]+got[1]+got[2]-6*200*5) > 1e-9 || !tick.Results["groups"].Groups[2].Other {
		t.Fatalf("got %v", got)
	}
}

// sendMany sends 200 batches of five counters and five bins, all within the first ten seconds.
func (b *bench) sendMany(agent string) {
	for i := range 200 {
		batch := &Batch{Agent: agent}
		for shard := range 5 {
			label := Label{Name: "shard", Value: fmt.Sprint(shard)}
			hits := b.series("hits", agent, Counter, time.Second, label)
			latency := b.series("latency", agent, Distribution, time.Second, label)
			batch.Series = append(batch.Series, hits, latency)
			ts := int64(start + 50*i)
			batch.TS = append(batch.TS, ts, ts)
			batch.Value = append(batch.Value, 1, float64(i%10))
			batch.N = append(batch.N, 1, 3)
		}
		b.live.Apply(batch)
	}
}

func TestASampleFromBeforeTheFirstWindowAmendsWhatItIsCarriedInto(t *testing.T) {
	b := newBench(t)
	x := b.series("cpu", "a", Gauge, 15*time.Second)
	b.live.Advance(at(0))
	w := b.watch(0, map[string]Query{"q": {Metric: "cpu", Over: Last, Agg: AggSum, Step: Second}})
	for i := range int64(3) {
		b.live.Advance(at(1500 + 1000*i))
	}
	w.Ticks()
	b.send(x, -200, 6)
	b.send(x, -300, 5)
	b.live.Advance(at(4500))
	tick := b.only(w)
	wantValues(t, tick.Results["q"].Values, 6)
	if len(tick.Amended) != 3 {
		t.Fatalf("%d windows amended, want 3", len(tick.Amended))
	}
	for _, a := range tick.Amended {
		wantValues(t, a.Values["q"], 6)
	}
}

func TestWhatIsCarriedOutlivesItsWindow(t *testing.T) {
	b := newBench(t)
	x, y := b.series("cpu", "a", Gauge, time.Minute), b.series("cpu", "b", Gauge, time.Second)
	b.live.Advance(at(0))
	w := b.watch(0, map[string]Query{"q": {Metric: "cpu", Over: Last, Agg: AggSum, Step: Second}})
	b.send(x, 2500, 10)
	b.live.Advance(at(2500))
	for i := range int64(78) {
		b.live.Advance(at(3500 + 1000*i))
	}
	w.Ticks()
	b.send(y, 78_100, 1) // has the windows since the oldest kept, which is later than x's sample, computed again
	b.live.Advance(at(81_500))
	tick := b.only(w)
	wantValues(t, tick.Results["q"].Values, 11)
	if len(tick.Amended) != 2 || tick.Amended[0].End != start+79_000 {
		t.Fatalf("amended %+v", tick.Amended)
	}
	for _, a := range tick.Amended {
		wantValues(t, a.Values["q"], 11)
	}
}
