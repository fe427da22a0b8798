package history

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"telltale/aggregate"
)

func TestCacheForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(prometheus.NewCounter(prometheus.CounterOpts{}))
		states := []TierState{{Step: 10, Through: 1000}, {Step: 100, Through: 100, Stale: []Range{{100, 200}}}} // the second has not got there
		span := Range{100, 200}
		has := func(key string, want bool) {
			t.Helper()
			groups, got := c.get(key, states)
			if got != want || got && groups[0].place != 7 {
				t.Errorf("%s: got %d groups, %v", key, len(groups), got)
			}
		}
		groups := []groupValues{{place: 7, values: make([]float64, cacheBytes/80)}} // ten of them are just too many
		c.put("a", span, groups)
		has("a", true)
		has("b", false)

		states[0].Stale = []Range{{90, 100}, {200, 210}} // beside it
		has("a", true)
		states[0].Stale = []Range{{190, 200}}
		has("a", false)
		states[0].Stale = nil
		has("a", false) // since it was stale, it may lack what has been mended

		for i := range 10 {
			time.Sleep(time.Second)
			c.put(fmt.Sprint("k", i), span, groups)
		}
		has("k0", false)
		has("k1", true)
		time.Sleep(cacheTime - 4*time.Second + time.Millisecond)
		has("k5", false)
		has("k6", true)
		c.put("last", Range{100, 1001}, nil)
		if len(c.queue) != 5 || len(c.byKey) != 5 || c.bytes > cacheBytes/2 {
			t.Errorf("%d in the queue, %d by key, %d bytes", len(c.queue), len(c.byKey), c.bytes)
		}
		has("last", false) // of times that no tier has yet
		states = nil
		has("k6", false)
	})
}

// TestSettledWindowsAreReadOnce asks for the same again, after more has been stored.
func TestSettledWindowsAreReadOnce(t *testing.T) {
	s := newTestStore(t)
	states := []TierState{{Step: aggregate.TenSeconds, Through: baseTS + 20_000}}
	reader := s.newReader(func() []TierState { return states })
	s.exec(`INSERT INTO known_series SELECT 'm', 'a', 9223372036854775808, 'gauge', '1', map(), 1000, now64(3)`)
	store := func(ts int64, value float64) {
		s.exec(fmt.Sprintf("INSERT INTO raw SELECT today(), 9223372036854775808, fromUnixTimestamp64Milli(%d), %v, 1", ts, value))
	}
	store(baseTS, 1)
	store(baseTS+20_000, 1)
	q := aggregate.Query{Metric: "m", Over: aggregate.Sum, Agg: aggregate.AggSum}
	sum := func(from int64) float64 {
		t.Helper()
		answer, err := reader.Query(t.Context(), ask(q, from, from+1000, aggregate.Second))
		if err != nil {
			t.Fatal(err)
		}
		return answer.Results["q"].Values[0][0]
	}
	want := func(from int64, value float64, hits float64) {
		t.Helper()
		if got, had := sum(from), testutil.ToFloat64(reader.metrics.kept); got != value || had != hits {
			t.Errorf("at %d: %v and %v hits, want %v and %v", from-baseTS, got, had, value, hits)
		}
	}
	want(baseTS, 1, 0)
	want(baseTS+20_000, 1, 0)
	store(baseTS, 2)
	store(baseTS+20_000, 2)
	want(baseTS, 1, 1)
	want(baseTS+20_000, 3, 1) // it was not settled
	states[0].Stale = []Range{{baseTS, baseTS + 10_000}}
	want(baseTS, 3, 1)
	want(baseTS, 3, 1) // nor is it now
	states[0].Stale = nil
	want(baseTS, 3, 1)
	want(baseTS, 3, 2)
}
