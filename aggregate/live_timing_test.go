package aggregate_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	. "telltale/aggregate"
)

// fleet is 10,000 agents of 100 series each, of one or of ten metrics.
type fleet struct {
	reg     *Registry
	live    *Live
	batches []*Batch
}

func newFleet(b *testing.B, agents, metrics int) *fleet {
	f := &fleet{reg: NewRegistry(Limits{})}
	f.live = NewLive(LiveConfig{}, f.reg)
	for a := range agents {
		batch := &Batch{Agent: fmt.Sprintf("agent-%05d", a)}
		for s := range 100 {
			id, err := f.reg.Intern(Series{
				Metric: fmt.Sprintf("metric.%d", s%metrics), Kind: Gauge, Unit: "1", Interval: time.Second,
				Labels: []Label{{Name: "agent", Value: batch.Agent}, {Name: "cell", Value: fmt.Sprint(a % 100)},
					{Name: "device", Value: fmt.Sprint("sd", s/metrics)}, {Name: "region", Value: fmt.Sprint("r", a%5)}},
			})
			if err != nil {
				b.Fatal(err)
			}
			batch.Series = append(batch.Series, id)
			batch.TS = append(batch.TS, 0)
			batch.Value = append(batch.Value, float64(a+s))
			batch.N = append(batch.N, 1)
		}
		f.batches = append(f.batches, batch)
	}
	f.reg.TakeNew()
	return f
}

// send applies one sample of every series, within the second that begins at ts.
func (f *fleet) send(ts int64) {
	for _, batch := range f.batches {
		for i := range batch.TS {
			batch.TS[i] = ts + 10
		}
		f.live.Apply(batch)
	}
}

func heapBytes() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

func (f *fleet) watch(b *testing.B, queries map[string]Query) *Watch {
	w, err := f.live.Watch(at(0), queries)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(w.Close)
	return w
}

// fiftyFive are 50 queries that match 1 % of a million series each, and 5 that match all.
func fiftyFive() map[string]Query {
	queries := map[string]Query{}
	for i := range 50 {
		cell, _ := ParseMatcher("cell", fmt.Sprint(i))
		queries[fmt.Sprint("part", i)] = Query{Metric: "metric.0", Where: []Matcher{cell}, Over: []Over{Last, Avg}[i%2],
			Agg: []Agg{AggAvg, AggSum, AggP95}[i%3], By: []string{"region"}, Step: Second}
	}
	for i, agg := range []Agg{AggAvg, AggSum, AggMax, AggCount, AggP99} {
		queries[fmt.Sprint("all", i)] = Query{Metric: "metric.0", Over: []Over{Last, Avg}[i%2], Agg: agg, Step: Second}
	}
	return queries
}

// BenchmarkTick is one second of a million series under 55 queries.
func BenchmarkTick(b *testing.B) {
	f := newFleet(b, 10_000, 1)
	f.live.Advance(at(-500))
	w := f.watch(b, fiftyFive())
	second, apply, advance := int64(0), time.Duration(0), time.Duration(0)
	step := func() {
		begin := time.Now()
		f.send(start + second*1000)
		apply += time.Since(begin)
		begin = time.Now()
		f.live.Advance(at(second*1000 + 1500))
		advance += time.Since(begin)
		w.Ticks()
		second++
	}
	for range 65 { // until everything is as large as it gets
		step()
	}
	apply, advance = 0, 0
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
	b.ReportMetric(float64(apply.Nanoseconds())/float64(b.N)/1e6, "ns/sample")
	b.ReportMetric(float64(advance.Microseconds())/float64(b.N)/1000, "ms/tick")
}

// BenchmarkMemory reports what a million series take, each of them read by one query.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		before := heapBytes()
		f := newFleet(b, 10_000, 10)
		f.live.Advance(at(-500))
		f.send(start - 1000)
		const batches = 1_000_000 * (8 + 8 + 8 + 4)
		b.ReportMetric((heapBytes()-before-batches)/1e6, "B/series-idle")
		queries := map[string]Query{}
		for i := range 10 {
			queries[fmt.Sprint("q", i)] = Query{Metric: fmt.Sprint("metric.", i), Over: Last, Agg: AggAvg, Step: Second}
		}
		f.watch(b, queries)
		for second := range int64(10) {
			f.send(start + second*1000)
			f.live.Advance(at(second*1000 + 1500))
		}
		b.ReportMetric((heapBytes()-before-batches)/1e6, "B/series-watched")
		runtime.KeepAlive(f)
	}
}
