package history

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"telltale/aggregate"
	"telltale/aggregate/aggregatetest"
)

const casesPerWorld = 10

// TestHistoryEqualsReference stores series that are irregular, out of order, silent for a while and equal in time, and
// holds every kind of query on them to the plain definition: read from raw, from tiers that lag and are stale in places, and
// watched live.
func TestHistoryEqualsReference(t *testing.T) { checkCases(t, 300) }

func checkCases(t *testing.T, cases int) {
	s := newTestStore(t)
	reader := s.newReader()
	var worlds []*world
	for seed := range cases / casesPerWorld {
		worlds = append(worlds, newWorld(uint64(seed)))
	}
	for begin := 0; begin < len(worlds); begin += 100 {
		s.storeWorlds(worlds[begin:min(begin+100, len(worlds))])
	}
	checkWorlds(t, worlds, reader)
}

func checkWorlds(t *testing.T, worlds []*world, reader *Reader) {
	var group errgroup.Group
	group.SetLimit(maxReads)
	var checked atomic.Int64
	for _, w := range worlds {
		group.Go(func() error {
			if err := w.check(t, reader); err != nil {
				t.Errorf("world %d: %v", w.seed, err)
			}
			if n := checked.Add(casesPerWorld); n%500 == 0 {
				t.Logf("%d of %d cases checked", n, len(worlds)*casesPerWorld)
			}
			return nil
		})
	}
	_ = group.Wait()
}

// newReader returns a reader of raw, or of the tiers too.
func (s *testStore) newReader(tiers ...func() []TierState) *Reader {
	s.t.Helper()
	config := ReaderConfig{}
	if len(tiers) > 0 {
		config.Tiers = tiers[0]
	}
	reader, err := NewReader(s.options, config, prometheus.NewRegistry())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := reader.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return reader
}

// check runs the cases of a world.
func (w *world) check(t *testing.T, reader *Reader) error {
	var cases []map[string]aggregate.Query
	for i := range uint64(casesPerWorld) {
		queries := w.queries(rand.New(rand.NewPCG(w.seed, 30+i)))
		for name, q := range queries {
			q.Step = w.step
			queries[name] = q
		}
		cases = append(cases, queries)
	}
	snapshots, err := w.watchLive(cases)
	if err != nil {
		return err
	}
	for i, queries := range cases {
		rng := rand.New(rand.NewPCG(w.seed, 60+uint64(i)))
		if err := w.checkPast(t, reader, rng, queries); err != nil {
			return fmt.Errorf("case %d: %w", i, err)
		}
		if err := w.checkLive(t, reader.over(w.states(rng)), queries, snapshots[i]); err != nil {
			return fmt.Errorf("case %d: %w", i, err)
		}
	}
	return nil
}

// checkPast asks for a range, from raw and from tiers.
func (w *world) checkPast(t *testing.T, reader *Reader, rng *rand.Rand, queries map[string]aggregate.Query) error {
	from := w.start + int64(w.step)*(rng.Int64N(20)-5) - pick(rng, 0, 0, 1, rng.Int64N(int64(w.step)))
	request := Request{
		Queries: queries, Step: w.step,
		From: from, To: from + int64(w.step)*rng.Int64N(worldWindows) + pick(rng, 0, rng.Int64N(int64(w.step))),
	}
	var ends []int64
	for end := request.From/int64(w.step)*int64(w.step) + int64(w.step); end <= request.To; end += int64(w.step) {
		ends = append(ends, end)
	}
	want := aggregatetest.Evaluate(queries, w.samples, ends)
	states := w.states(rng)
	for _, r := range []*Reader{reader, reader.over(states)} {
		got, err := r.Query(t.Context(), request)
		if err != nil {
			return err
		}
		if !slices.Equal(ends, got.Ends) || got.Step != w.step {
			return fmt.Errorf("from %d to %d, step %v: ends %v of step %v, want %v", request.From, request.To, w.step, got.Ends, got.Step, ends)
		}
		if err := compareAll(queries, got.Results, want); err != nil {
			return fmt.Errorf("from %d to %d, tiers %v: %w", request.From, request.To, r.tierStates(), err)
		}
	}
	return nil
}

// checkLive compares what a viewer sees with the history of the same windows.
func (w *world) checkLive(t *testing.T, reader *Reader, queries map[string]aggregate.Query, live aggregate.Snapshot) error {
	got, err := reader.Query(t.Context(), Request{Queries: queries, Step: w.step, From: live.Since - int64(w.step), To: live.End})
	if err != nil {
		return err
	}
	want := aggregatetest.Evaluate(queries, w.samples, got.Ends)
	if err := compareAll(queries, live.Results, want); err != nil {
		return fmt.Errorf("live, %d to %d: %w", live.Since, live.End, err)
	}
	if err := compareAll(queries, got.Results, want); err != nil {
		return fmt.Errorf("%d to %d, tiers %v: %w", live.Since, live.End, reader.tierStates(), err)
	}
	return nil
}

func compareAll(queries map[string]aggregate.Query, got, want map[string]aggregate.Columns) error {
	for name, q := range queries {
		if err := compare(got[name], want[name]); err != nil {
			return fmt.Errorf("%s, which is %v: %w", name, q, err)
		}
	}
	return nil
}

func compare(got, want aggregate.Columns) error {
	if fmt.Sprintf("%v", got.Groups) != fmt.Sprintf("%v", want.Groups) {
		return fmt.Errorf("groups %v, want %v", got.Groups, want.Groups)
	}
	for g := range want.Groups {
		if len(got.Values[g]) != len(want.Values[g]) {
			return fmt.Errorf("%v has %d values, want %d", want.Groups[g], len(got.Values[g]), len(want.Values[g]))
		}
		for i, v := range want.Values[g] {
			if !near(got.Values[g][i], v) {
				return fmt.Errorf("%v at window %d: %v, want %v", want.Groups[g], i, got.Values[g][i], v)
			}
		}
	}
	return nil
}

// near allows for the order of additions: values here are about ten, and sums a few thousand.
func near(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-9*(1000+math.Abs(b))
}
