package aggregate_test

import (
	"fmt"
	"testing"
	"time"

	. "telltale/aggregate"
)

// TestSteadyStateDoesNotAllocatePerSample: once everything is as large as it gets, a second allocates as much for 1,500 samples as
// for 150. What is left is the ticks, which are handed out.
func TestSteadyStateDoesNotAllocatePerSample(t *testing.T) {
	few, many := allocsPerSecond(t, 50), allocsPerSecond(t, 500)
	if many > few+5 {
		t.Errorf("a second allocates %v times with 50 series of each kind, and %v times with 500", few, many)
	}
}

// allocsPerSecond applies a sample of so many series of each kind, a few of them late, and computes every kind of query on them.
func allocsPerSecond(t *testing.T, series int) float64 {
	b := newBench(t)
	b.live.Advance(at(0))
	batch := &Batch{Agent: "a"}
	queries := map[string]Query{}
	for metric, kind := range map[string]Kind{"gauge": Gauge, "counter": Counter, "latency": Distribution} {
		for i := range series {
			batch.Series = append(batch.Series, b.series(metric, "a", kind, time.Second, Label{Name: "place", Value: fmt.Sprint(i % 10)}, Label{Name: "shard", Value: fmt.Sprint(i)}))
			batch.N = append(batch.N, 1)
			batch.Value = append(batch.Value, float64(i%50))
		}
	}
	batch.TS = make([]int64, len(batch.Series))
	for over, metric := range map[Over]string{Last: "gauge", Avg: "gauge", Max: "gauge", Rate: "counter", "": "latency"} {
		for i, agg := range []Agg{AggSum, AggAvg, AggP99} {
			queries[fmt.Sprint("q", string(over), i)] = Query{Metric: metric, Over: over, Agg: agg, By: [][]string{nil, {"place"}}[i%2], Step: Second}
		}
	}
	w := b.watch(0, queries)
	second := int64(0)
	step := func() {
		for i := range batch.TS {
			batch.TS[i] = start + 1000*second + 10
		}
		batch.TS[0] -= 3000 // amends a window
		b.live.Apply(batch)
		b.live.Advance(at(1000*second + 1500))
		w.Ticks()
		second++
	}
	for range 90 { // past the length of the ring
		step()
	}
	return testing.AllocsPerRun(20, step)
}
