package history

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"telltale/aggregate"
	"telltale/aggregate/aggregatetest"
)

// A case is read three ways: from raw, from tiers too, and live.

var tierSteps = []aggregate.Step{aggregate.TenSeconds, aggregate.Minute, aggregate.Hour}

// tierNames are the tables of tierSteps.
var tierNames = []string{"tier_10s", "tier_1m", "tier_1h"}

// summed is how far the tiers of a world have followed its raw samples.
type summed struct {
	through map[aggregate.Step]int64   // from here on a tier has less than raw
	wrong   map[aggregate.Step][]Range // and here
}

// span is the time of the world's samples, and some more.
func (w *world) span() Range {
	return Range{w.start, w.start + (worldWindows+12)*int64(w.step)}
}

func (w *world) sumUp(rng *rand.Rand) {
	w.summed = summed{map[aggregate.Step]int64{}, map[aggregate.Step][]Range{}}
	for _, state := range randomStates(rng, w.span(), nil) {
		w.summed.through[state.Step], w.summed.wrong[state.Step] = state.Through-state.Through%int64(state.Step), state.Stale
	}
}

// states are what a hub may tell of the tiers: no more than is true.
func (w *world) states(rng *rand.Rand) []TierState {
	states := randomStates(rng, w.span(), w.summed.wrong)
	for i := range states {
		states[i].Through = min(states[i].Through, w.summed.through[states[i].Step])
	}
	return states
}

func (s *summed) isWrong(step aggregate.Step, start int64) bool {
	return start >= s.through[step] || len(intersect(s.wrong[step], []Range{{start, start + 1}})) > 0
}

type tierKey struct {
	series uint64
	start  int64
	bin    float64
}

type tierRow struct {
	count               uint64
	sum, min, max, last float64
	lastTS              int64
}

// storeTiers writes the rows of a world's tiers: first, as of a time when only some of the samples were there, then, where
// the tier is right, as of now. Nothing merges the two.
func (s *testStore) storeTiers(worlds []*world) {
	s.t.Helper()
	for i, step := range tierSteps {
		s.exec("SYSTEM STOP MERGES " + tierNames[i])
		early, now := map[tierKey]tierRow{}, map[tierKey]tierRow{}
		for _, w := range worlds {
			rng := rand.New(rand.NewPCG(w.seed, 6))
			for _, sample := range w.samples {
				if rng.IntN(2) == 0 {
					addToTier(early, step, sample)
				}
				if !w.summed.isWrong(step, sample.TS-sample.TS%int64(step)) {
					addToTier(now, step, sample)
				}
			}
		}
		s.storeTier(tierNames[i], early)
		s.storeTier(tierNames[i], now)
	}
}

func addToTier(rows map[tierKey]tierRow, step aggregate.Step, s aggregatetest.Sample) {
	key := tierKey{series: s.Series.ID, start: s.TS - s.TS%int64(step)}
	if s.Series.Kind == aggregate.Distribution {
		key.bin = s.Value
		rows[key] = tierRow{count: rows[key].count + uint64(s.N)}
		return
	}
	row, has := rows[key]
	if !has {
		row = tierRow{min: s.Value, max: s.Value, last: s.Value, lastTS: s.TS}
	}
	row.count++
	row.sum += s.Value
	row.min, row.max = min(row.min, s.Value), max(row.max, s.Value)
	if s.TS > row.lastTS || s.TS == row.lastTS && s.Value > row.last {
		row.last, row.lastTS = s.Value, s.TS
	}
	rows[key] = row
}

func (s *testStore) storeTier(table string, rows map[tierKey]tierRow) {
	s.t.Helper()
	batch, err := s.conn.PrepareBatch(s.t.Context(), "INSERT INTO "+table+" (series, start, bin, count, sum, min, max, last)")
	if err != nil {
		s.t.Fatal(err)
	}
	for key, row := range rows {
		if err := batch.Append(key.series, time.UnixMilli(key.start), key.bin, row.count, row.sum, row.min, row.max, row.last); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		s.t.Fatal(err)
	}
}

// over is the reader with these states of the tiers.
func (r *Reader) over(states []TierState) *Reader {
	return &Reader{
		conn: r.conn, turns: r.turns, tables: r.tables, metrics: r.metrics,
		config:  ReaderConfig{Tiers: func() []TierState { return states }},
		flights: flights{shared: r.metrics.shared, byKey: map[string]*flight{}},
		cache:   newCache(r.metrics.kept),
	}
}

// watchLive lets a live evaluation take the world's samples, some of them late, while it watches each of the sets of queries.
// It returns what viewers then see.
func (w *world) watchLive(sets []map[string]aggregate.Query) ([]aggregate.Snapshot, error) {
	rng := rand.New(rand.NewPCG(w.seed, 7))
	registry := aggregate.NewRegistry(aggregate.DefaultLimits())
	live := aggregate.NewLive(aggregate.LiveConfig{}, registry)
	for _, s := range w.sources {
		if _, err := registry.Intern(*s); err != nil {
			return nil, err
		}
	}
	step := int64(w.step)
	at := func(ts int64) time.Time { return time.UnixMilli(ts + 500) }
	live.Advance(at(w.start - 3*step))
	var watches []*aggregate.Watch
	for _, queries := range sets {
		watch, err := live.Watch(at(w.start-2*step), queries)
		if err != nil {
			return nil, err
		}
		watches = append(watches, watch)
	}
	arrivals := w.arrivals(rng)
	decided := max(step, int64(aggregate.Minute)) // the top groups, at the end of each minute
	end := (w.start+(worldWindows+10)*step)/decided*decided + decided
	for now := w.start - 2*step; now <= end; now += step {
		for len(arrivals) > 0 && (arrivals[0].at < now || now == end) {
			s := arrivals[0].Sample
			live.Apply(&aggregate.Batch{
				Agent: s.Series.Label(aggregate.AgentLabel), Series: []aggregate.SeriesID{s.Series.ID},
				TS: []int64{s.TS}, Value: []float64{s.Value}, N: []uint32{s.N},
			})
			arrivals = arrivals[1:]
		}
		live.Advance(at(now))
	}
	var snapshots []aggregate.Snapshot
	for _, watch := range watches {
		watch.Ticks()
		snapshots = append(snapshots, watch.Snapshot())
		watch.Close()
	}
	if stats := live.Stats(); stats.TooLate+stats.Overflow > 0 {
		return nil, fmt.Errorf("live left samples out: %+v", stats)
	}
	return snapshots, nil
}

type arrival struct {
	aggregatetest.Sample
	at int64
}

// arrivals are the samples in the order in which they come; a tenth comes windows late.
func (w *world) arrivals(rng *rand.Rand) []arrival {
	arrivals := make([]arrival, len(w.samples))
	for i, s := range w.samples {
		arrivals[i] = arrival{s, s.TS + rng.Int64N(300)}
		if rng.IntN(10) == 0 {
			arrivals[i].at += rng.Int64N(8 * int64(w.step))
		}
	}
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	return arrivals
}
