package history

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"telltale/aggregate"
	"telltale/aggregate/aggregatetest"
)

// world is the samples that some cases ask about; its metrics are its own.
type world struct {
	seed    uint64
	step    aggregate.Step
	start   int64
	sources []*aggregate.Series
	samples []aggregatetest.Sample
	days    []time.Time // of the samples' insertion
	summed  summed
}

const worldWindows = 30

var odd = []string{"", "it's", "a\tb\nc\r", `"back\slash"`, "{metric:String}", "ü∑", "z\x00"}

func newWorld(seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 2))
	w := &world{seed: seed, step: pick(rng, aggregate.Steps...)}
	w.start = 1_763_800_000_000 + rng.Int64N(86_400_000)
	w.start -= w.start % int64(w.step)
	for agent := range 1 + rng.IntN(7) {
		for _, m := range worldMetrics {
			for shard := range 1 + agent%2 {
				s := w.source(rng, m.name, m.kind, agent, shard)
				w.emit(rng, s)
			}
		}
	}
	rng.Shuffle(len(w.samples), func(i, j int) { w.samples[i], w.samples[j] = w.samples[j], w.samples[i] })
	for _, s := range w.samples {
		stored := time.UnixMilli(s.TS).Add(pick(rng, -time.Minute, 0, 0, 0, 24*time.Hour))
		if w.step == aggregate.Day { // a backlog: each day would be a part of its own
			stored = time.UnixMilli(w.start).Add(worldWindows * w.step.Duration())
		}
		w.days = append(w.days, stored.UTC().Truncate(24*time.Hour))
	}
	w.sumUp(rng)
	return w
}

var worldMetrics = []struct {
	name string
	kind aggregate.Kind
}{{"gauge", aggregate.Gauge}, {"counter", aggregate.Counter}, {"latency", aggregate.Distribution}}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

func (w *world) metric(name string) string { return fmt.Sprintf("%s-%d", name, w.seed) }

func (w *world) source(rng *rand.Rand, metric string, kind aggregate.Kind, agent, shard int) *aggregate.Series {
	labels := []aggregate.Label{{Name: "agent", Value: fmt.Sprint("agent-", agent)}}
	if v := odd[rng.IntN(len(odd))]; v != "" {
		labels = append(labels, aggregate.Label{Name: "odd '\\\t", Value: v})
	}
	if region := []string{"eu", "us", ""}[agent%3]; region != "" {
		labels = append(labels, aggregate.Label{Name: "region", Value: region})
	}
	labels = append(labels, aggregate.Label{Name: "shard", Value: fmt.Sprint(shard)})
	s := &aggregate.Series{
		ID:       aggregate.NewSeriesID(w.metric(metric), labels),
		Metric:   w.metric(metric),
		Kind:     kind,
		Labels:   labels,
		Interval: time.Duration(float64(w.step)*pick(rng, 0.3, 0.4, 1, 2, 3.7, 12)) * time.Millisecond,
	}
	w.sources = append(w.sources, s)
	return s
}

// emit makes the samples of a series: about one an interval, but for a silence.
func (w *world) emit(rng *rand.Rand, s *aggregate.Series) {
	interval := s.Interval.Milliseconds()
	silent := rng.Int64N(worldWindows * int64(w.step))
	silentFor := rng.Int64N(worldWindows * int64(w.step))
	for at := rng.Int64N(2 * interval); at < worldWindows*int64(w.step); at += 1 + rng.Int64N(2*interval) {
		if at >= silent && at < silent+silentFor {
			continue
		}
		ts := w.start + at
		if rng.IntN(8) == 0 {
			ts -= ts % int64(w.step) // on a window's edge
		}
		for range pick(rng, 1, 1, 1, 2, 4) {
			w.sample(rng, s, ts)
			if rng.IntN(2) == 0 {
				ts += rng.Int64N(1 + interval/4) // else a tie
			}
		}
	}
}

// sample has a value of quarters, so that sums of several are exact and their ties are real.
func (w *world) sample(rng *rand.Rand, s *aggregate.Series, ts int64) {
	sample := aggregatetest.Sample{Series: s, TS: ts, Value: math.Round(rng.NormFloat64()*40) / 4, N: 1}
	switch s.Kind {
	case aggregate.Counter:
		sample.Value = math.Abs(sample.Value)
	case aggregate.Distribution:
		sample.Value, sample.N = math.Ceil(sample.Value/4), uint32(1+rng.IntN(5))
	}
	w.samples = append(w.samples, sample)
}

// storeWorlds writes the samples in a few inserts, and their series as hubs do: again after a restart, and with another
// interval before.
func (s *testStore) storeWorlds(worlds []*world) {
	s.t.Helper()
	var sources []*aggregate.Series
	var days []time.Time
	var all rows
	for _, w := range worlds {
		sources, days = append(sources, w.sources...), append(days, w.days...)
		for _, sample := range w.samples {
			all.series, all.ts = append(all.series, sample.Series.ID), append(all.ts, sample.TS)
			all.value, all.n = append(all.value, sample.Value), append(all.n, sample.N)
		}
	}
	older := make([]*aggregate.Series, 0, len(sources))
	for _, source := range sources {
		was := *source
		was.Interval *= 3
		older = append(older, &was)
	}
	s.storeSeries(older...)
	s.storeSeries(sources...)
	s.storeSeries(sources[:len(sources)/2]...)
	for from, third := 0, len(days)/3+1; from < len(days); from += third {
		to := min(from+third, len(days))
		s.storeRows(days[from:to], rows{all.series[from:to], all.ts[from:to], all.value[from:to], all.n[from:to]})
	}
	s.storeTiers(worlds)
}

func (s *testStore) storeSeries(sources ...*aggregate.Series) {
	s.t.Helper()
	w := &Writer{conn: s.conn}
	batch, err := w.seriesBatch(s.t.Context(), &block{series: sources})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := batch.Send(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testStore) storeRows(days []time.Time, all rows) {
	s.t.Helper()
	batch, err := s.conn.PrepareBatch(s.t.Context(), "INSERT INTO raw (day, series, ts, value, n)")
	if err != nil {
		s.t.Fatal(err)
	}
	if err := appendColumns(batch, days, all.series, all.ts, all.value, all.n); err != nil {
		s.t.Fatal(err)
	}
	if err := batch.Send(); err != nil {
		s.t.Fatal(err)
	}
}

func (w *world) queries(rng *rand.Rand) map[string]aggregate.Query {
	queries := map[string]aggregate.Query{"random": w.randomQuery(rng)}
	if rng.IntN(4) > 0 {
		return queries
	}
	by := pick(rng, nil, []string{"agent"}, []string{"region", "shard"})
	queries["errors"] = aggregate.Query{Metric: w.metric("counter"), Over: aggregate.Increase, Agg: aggregate.AggSum, By: pick(rng, by, nil)}
	queries["requests"] = aggregate.Query{Metric: w.metric("gauge"), Over: pick(rng, aggregate.Last, aggregate.Max), Agg: aggregate.AggMax, By: by}
	ratio := aggregate.Query{Expr: pick(rng, "errors / requests * 100", "errors + requests - 1", "-(errors - 2) / 4")}
	if len(by) > 0 && (len(queries["errors"].By) > 0 || ratio.Expr != "-(errors - 2) / 4") {
		ratio.Top = rng.IntN(4)
	}
	queries["ratio"] = ratio
	return queries
}

func (w *world) randomQuery(rng *rand.Rand) aggregate.Query {
	q := aggregate.Query{Agg: pick(rng, aggregate.AggSum, aggregate.AggAvg, aggregate.AggMin, aggregate.AggMax,
		aggregate.AggCount, aggregate.AggP50, aggregate.AggP90, aggregate.AggP95, aggregate.AggP99)}
	switch rng.IntN(5) {
	case 0:
		q.Metric, q.Over = w.metric("counter"), pick(rng, aggregate.Increase, aggregate.Rate)
	case 1:
		q.Metric = w.metric("latency")
	default:
		q.Metric, q.Over = w.metric("gauge"), pick(rng, aggregate.Last, aggregate.Last, aggregate.Avg, aggregate.Min, aggregate.Max, aggregate.Sum)
	}
	q.By = pick(rng, nil, nil, []string{"agent"}, []string{"region"}, []string{"shard", "region"}, []string{"nothing"}, []string{"odd '\\\t"})
	if q.By != nil {
		q.Top = rng.IntN(4)
	}
	for _, text := range []string{"eu", "!=eu", "=~e.|u.", "!~e.*", "", "=~", "!~(?i)US"} {
		if rng.IntN(10) == 0 {
			q.Where = append(q.Where, matcher("region", text))
		}
	}
	if rng.IntN(6) == 0 {
		value := odd[rng.IntN(len(odd))]
		q.Where = append(q.Where, matcher("odd '\\\t", pick(rng, "!="+value, "="+value, "=~.*\n.*", "!~.*'.")))
	}
	if rng.IntN(10) == 0 {
		q.Where = append(q.Where, matcher("agent", pick(rng, "agent-0", "=~agent-[0-2]", "!=agent-1")))
	}
	return q
}

func matcher(label, text string) aggregate.Matcher {
	m, err := aggregate.ParseMatcher(label, text)
	if err != nil {
		panic(err)
	}
	return m
}
