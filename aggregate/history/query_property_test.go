package history

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"telltale/aggregate"
	"telltale/aggregate/aggregatetest"
)

// propertyCases is how many generated requests a run tries; PROPERTY_CASES asks for more.
func propertyCases() int {
	n, err := strconv.Atoi(os.Getenv("PROPERTY_CASES"))
	if err != nil {
		n = 300
	}
	return n
}

const casesPerWorld = 10

// TestHistoryEqualsReference stores series that are irregular, out of order, silent for a while and equal in time, and
// holds every kind of query on them to the plain definition, to which the live evaluation is held too.
func TestHistoryEqualsReference(t *testing.T) {
	s := newTestStore(t)
	reader := s.newReader()
	var worlds []*world
	for seed := range (propertyCases() + casesPerWorld - 1) / casesPerWorld {
		worlds = append(worlds, newWorld(uint64(seed)))
	}
	for begin := 0; begin < len(worlds); begin += 100 {
		s.storeWorlds(worlds[begin:min(begin+100, len(worlds))])
	}
	var group errgroup.Group
	group.SetLimit(maxReads)
	for _, w := range worlds {
		for i := range casesPerWorld {
			group.Go(func() error {
				if err := w.runCase(t, reader, uint64(i)); err != nil {
					t.Errorf("world %d, case %d: %v", w.seed, i, err)
				}
				return nil
			})
		}
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

// runCase asks a request and compares.
func (w *world) runCase(t *testing.T, reader *Reader, number uint64) error {
	rng := rand.New(rand.NewPCG(w.seed, 3+number))
	from := w.start + int64(w.step)*(rng.Int64N(20)-5) - pick(rng, 0, 0, 1, rng.Int64N(int64(w.step)))
	request := Request{
		Queries: w.queries(rng), Step: w.step,
		From: from, To: from + int64(w.step)*rng.Int64N(worldWindows) + pick(rng, 0, rng.Int64N(int64(w.step))),
	}
	got, err := reader.Query(t.Context(), request)
	if err != nil {
		return err
	}
	var ends []int64
	for end := request.From/int64(w.step)*int64(w.step) + int64(w.step); end <= request.To; end += int64(w.step) {
		ends = append(ends, end)
	}
	if !slices.Equal(ends, got.Ends) || got.Step != w.step {
		return fmt.Errorf("from %d to %d, step %v: ends %v of step %v, want %v", request.From, request.To, w.step, got.Ends, got.Step, ends)
	}
	asked := map[string]aggregate.Query{}
	for name, q := range request.Queries {
		q.Step = w.step
		asked[name] = q
	}
	want := aggregatetest.Evaluate(asked, w.samples, ends)
	for name, q := range asked {
		if err := compare(got.Results[name], want[name]); err != nil {
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
