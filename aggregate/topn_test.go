package aggregate_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	. "telltale/aggregate"
	"telltale/aggregate/aggregatetest"
)

// topBench sends one sample of each series a second for some minutes, a few of them late, and remembers them. At the end of
// each minute it hands over what a watch over a span shows then.
func topBench(t *testing.T, minutes int64, span time.Duration, queries map[string]Query, value func(rng *rand.Rand, agent int, second int64) float64,
	check func(end int64, sent []aggregatetest.Sample, tick Tick),
) {
	b := newBench(t)
	rng := rand.New(rand.NewPCG(1, 2))
	var ids []SeriesID
	for agent := range 6 {
		for _, metric := range []string{"hits", "load"} {
			ids = append(ids, b.series(metric, fmt.Sprint("agent-", agent), Gauge, time.Second))
		}
	}
	b.live.Advance(at(0))
	w, err := b.live.WatchOver(at(0), span, queries)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var sent []aggregatetest.Sample
	for second := range 60 * minutes {
		for i, id := range ids {
			ts := 1000*second + 100
			if rng.IntN(20) == 0 {
				ts = max(0, ts-int64(rng.IntN(40_000)))
			}
			v := value(rng, i/2, second)
			series, _ := b.reg.Series(id)
			sent = append(sent, aggregatetest.Sample{Series: series, TS: start + ts, Value: v, N: 1})
			b.send(id, ts, v)
		}
		b.live.Advance(at(1000*second + 1500))
		for _, tick := range w.Ticks() {
			if tick.End%int64(Minute) == 0 {
				check(tick.End, sent, tick)
			}
		}
	}
}

// TestTopIsOfTheWholeSpan holds the groups that live lists, minute by minute, to the definition over the same range: the one to which
// history is held, too. Loads are whole numbers and often equal, so that ties are many.
func TestTopIsOfTheWholeSpan(t *testing.T) {
	queries := map[string]Query{
		"hits": {Metric: "hits", Over: Sum, Agg: AggSum, By: []string{"agent"}, Step: Second},
		"top":  {Metric: "hits", Over: Sum, Agg: AggSum, By: []string{"agent"}, Top: 2, Step: Second},
		"load": {Metric: "load", Over: Sum, Agg: AggSum, By: []string{"agent"}, Top: 3, Step: Second},
		"both": {Expr: "hits * 2 - 1", Top: 2, Step: Second},
	}
	changes, before := 0, ""
	topBench(t, 11, 4*time.Minute, queries, func(rng *rand.Rand, agent int, second int64) float64 {
		if int(second/100)%6 == agent { // each has its time
			return 5
		}
		return float64(rng.IntN(2))
	}, func(end int64, sent []aggregatetest.Sample, tick Tick) {
		var ends []int64
		for e := max(start, end-4*60_000) + 1000; e <= end; e += 1000 {
			ends = append(ends, e)
		}
		want := aggregatetest.Evaluate(queries, sent, ends)
		for _, name := range []string{"top", "load", "both"} {
			if got, want := fmt.Sprint(tick.Results[name].Groups), fmt.Sprint(want[name].Groups); got != want {
				t.Errorf("%s at minute %d: %s, want %s", name, (end-start)/60_000, got, want)
			}
		}
		now := fmt.Sprint(tick.Results["top"].Groups)
		if now != before {
			changes++
		}
		before = now
	})
	if changes < 4 {
		t.Errorf("the top changed %d times: the test shows nothing", changes)
	}
}

// TestTopKeepsTheSilent: who did most of the span's work stays among the top while silent, and falls when the work leaves the span.
func TestTopKeepsTheSilent(t *testing.T) {
	b := newBench(t)
	busy, idle := b.series("jobs", "busy", Gauge, time.Second), b.series("jobs", "idle", Gauge, time.Second)
	b.live.Advance(at(0))
	w, err := b.live.WatchOver(at(0), 3*time.Minute, map[string]Query{
		"top": {Metric: "jobs", Over: Sum, Agg: AggSum, By: []string{"agent"}, Top: 1, Step: Second}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for second := range int64(300) {
		if second < 60 {
			b.send(busy, 1000*second+100, 100)
		}
		b.send(idle, 1000*second+100, 1)
		b.live.Advance(at(1000*second + 1500))
		ticks := w.Ticks()
		last := ticks[len(ticks)-1].Results["top"]
		want := "busy"
		if second >= 239 { // its last sample was in second 59, and a minute's end decides
			want = "idle"
		}
		if got := last.Groups[0].Labels[0].Value; got != want {
			t.Fatalf("after %d s the top is %s, want %s", second+1, got, want)
		}
		if want == "busy" && (len(last.Groups) != 2 || !last.Groups[1].Other || last.Values[1] != 1) {
			t.Fatalf("after %d s the others are %v of %v", second+1, last.Values, last.Groups)
		}
	}
}
