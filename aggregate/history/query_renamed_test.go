package history

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"telltale/aggregate"
)

// renamedAt is when the series of these tests get the ids they have now: in the middle of windows of every step.
const renamedAt = baseTS + 325_000

// storeRenamed stores ten minutes of four hosts twice: as metric `renamed`, whose series have other upper bits at first, and
// as metric `always`, whose series have one id. There is a sample each second.
func (s *testStore) storeRenamed(kind aggregate.Kind) {
	s.t.Helper()
	for _, metric := range []string{"renamed", "always"} {
		for host := range uint64(4) {
			name := fmt.Sprintf("host-%d", host)
			now := aggregate.NewSeriesID(metric, []aggregate.Label{{Name: aggregate.AgentLabel, Value: name}})
			first := now
			if metric == "renamed" && host != 3 { // who has not changed
				first = aggregate.FirstSeriesID | now&aggregate.SeriesBits | (host+1)<<55
			}
			for id, range_ := range map[uint64]Range{first: {0, renamedAt}, now: {renamedAt, math.MaxInt64}} {
				if first == now {
					range_ = Range{0, math.MaxInt64}
				}
				s.exec(fmt.Sprintf("INSERT INTO known_series VALUES ('%s', '%s', %d, '%s', '1', map('zone', '%d'), 1000, now64(3))", metric, name, id, kind, host%2))
				s.exec(fmt.Sprintf(`INSERT INTO raw SELECT toDate(%[1]d / 1000), %[2]d, fromUnixTimestamp64Milli(%[1]d + number * 1000),
					round(exp(sin(number * %[3]d)), 2) * %[3]d, 1 FROM numbers(600) WHERE %[1]d + number * 1000 >= %[4]d AND %[1]d + number * 1000 < %[5]d`,
					int64(baseTS), id, host+1, range_.From, range_.To))
			}
		}
	}
	for i := range tiers {
		t := &tiers[i]
		s.exec(recomputeSQL(t, Range{floorTo(baseTS, t.step), ceilTo(baseTS+600_000, t.step)}, nil))
	}
}

// A series that has two ids is one series still, in raw and in tiers.
func TestASeriesWhoseIDHasChanged(t *testing.T) {
	for _, kind := range []aggregate.Kind{aggregate.Gauge, aggregate.Counter, aggregate.Distribution} {
		t.Run(kind.String(), func(t *testing.T) {
			s := newTestStore(t)
			s.storeRenamed(kind)
			overs := map[aggregate.Kind][]aggregate.Over{
				aggregate.Gauge:        {aggregate.Last, aggregate.Avg, aggregate.Min, aggregate.Max, aggregate.Sum},
				aggregate.Counter:      {aggregate.Increase, aggregate.Rate},
				aggregate.Distribution: {""},
			}[kind]
			var all []TierState
			for _, tier := range tiers {
				all = append(all, TierState{Step: aggregate.Step(tier.step), Through: math.MaxInt64})
			}
			for name, states := range map[string][]TierState{"raw": nil, "tiers": all} {
				reader := s.newReader(func() []TierState { return states })
				for _, over := range overs {
					if over == aggregate.Last && states != nil {
						continue // a tier cannot tell which of two values in a window is the last
					}
					for _, agg := range []aggregate.Agg{aggregate.AggSum, aggregate.AggCount, aggregate.AggP90} {
						for _, by := range [][]string{nil, {"agent"}} {
							for _, step := range []aggregate.Step{aggregate.Second, aggregate.Minute, aggregate.FiveMin} {
								s.compareRenamed(reader, fmt.Sprint(name, " by ", by, " step ", step), aggregate.Query{Over: over, Agg: agg, By: by, Step: step})
							}
						}
					}
				}
			}
		})
	}
}

func (s *testStore) compareRenamed(reader *Reader, what string, q aggregate.Query) {
	s.t.Helper()
	renamed, always := q, q
	renamed.Metric, always.Metric = "renamed", "always"
	from := floorTo(baseTS, int64(q.Step))
	answer, err := reader.Query(s.t.Context(), Request{
		Queries: map[string]aggregate.Query{"renamed": renamed, "always": always}, From: from, To: from + 900_000, Step: q.Step,
	})
	if err != nil {
		s.t.Fatalf("%s %v %v: %v", what, q.Over, q.Agg, err)
	}
	got, want := answer.Results["renamed"], answer.Results["always"]
	if answer.Step != q.Step || len(want.Groups) == 0 || len(got.Groups) != len(want.Groups) {
		s.t.Fatalf("%s %v %v: step %v, groups %v, want %v", what, q.Over, q.Agg, answer.Step, got.Groups, want.Groups)
	}
	equal := func(a, b float64) bool { return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-9*math.Abs(b) }
	for i := range want.Groups {
		if got.Groups[i].Compare(want.Groups[i]) != 0 || !slices.EqualFunc(got.Values[i], want.Values[i], equal) {
			s.t.Fatalf("%s %v %v: %v has %v, want %v", what, q.Over, q.Agg, got.Groups[i], got.Values[i], want.Values[i])
		}
	}
}
