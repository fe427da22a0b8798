package aggregate

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

func testSeries(metric, agent string, kind Kind, labels ...Label) Series {
	return Series{Metric: metric, Kind: kind, Labels: append([]Label{{AgentLabel, agent}}, labels...), Interval: time.Second}
}

func mustIntern(t testing.TB, r *Registry, s Series) SeriesID {
	t.Helper()
	id, err := r.Intern(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func wantRefusal(t *testing.T, err error, reason string) {
	t.Helper()
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Reason != reason {
		t.Fatalf("got %v, want a refusal for %s", err, reason)
	}
}

func TestInternGivesTheIDOfTheContent(t *testing.T) {
	r := NewRegistry(Limits{})
	s := testSeries("cpu", "a", Gauge, Label{"mode", "user"})
	id := mustIntern(t, r, s)
	if want := NewSeriesID(s.Metric, s.Labels); id != want {
		t.Fatalf("id %d, want %d", id, want)
	}
	if again := mustIntern(t, r, s); again != id {
		t.Fatalf("the second id is %d, not %d", again, id)
	}
	got, ok := r.Series(id)
	if !ok || got.Metric != "cpu" || got.Label("mode") != "user" || got.Interval != time.Second || got.ID != id {
		t.Fatalf("got %+v", got)
	}
	if stats := r.Stats(); stats != (RegistryStats{Series: 1, Agents: 1, Metrics: 1}) {
		t.Fatalf("got %+v", stats)
	}
}

func TestSeriesOfAMetricAreSideBySide(t *testing.T) {
	var ids []SeriesID
	for i := range 400 {
		ids = append(ids, NewSeriesID(fmt.Sprint("metric-", i/100), []Label{{AgentLabel, fmt.Sprint("host-", i%100)}}))
	}
	for i, id := range ids {
		if same := id>>(63-metricBits) == ids[0]>>(63-metricBits); same != (i < 100) || id < FirstSeriesID {
			t.Fatalf("series %d has id %x, the first %x", i, id, ids[0])
		}
	}
	slices.Sort(ids)
	if distinct := len(slices.Compact(ids)); distinct != 400 {
		t.Errorf("%d ids of 400 series", distinct)
	}
}

func TestTakeNewReturnsEachDefinitionOnce(t *testing.T) {
	r := NewRegistry(Limits{})
	s := testSeries("cpu", "a", Gauge)
	mustIntern(t, r, s)
	mustIntern(t, r, s)
	first := r.TakeNew()
	if len(first) != 1 || first[0].Metric != "cpu" {
		t.Fatalf("got %v", first)
	}
	mustIntern(t, r, s)
	if again := r.TakeNew(); len(again) != 0 {
		t.Fatalf("got %v again", again)
	}
	s.Interval = 5 * time.Second
	mustIntern(t, r, s)
	changed := r.TakeNew()
	if len(changed) != 1 || changed[0].Interval != 5*time.Second {
		t.Fatalf("got %v for a changed interval", changed)
	}
	if first[0].Interval != time.Second {
		t.Fatal("a description handed out before has been written to")
	}
}

func TestInternRefuses(t *testing.T) {
	r := NewRegistry(Limits{SeriesPerAgent: 2, Series: 3})
	mustIntern(t, r, testSeries("cpu", "a", Gauge))
	_, err := r.Intern(testSeries("cpu", "a", Counter))
	wantRefusal(t, err, ReasonKindConflict)
	_, err = r.Intern(testSeries("cpu", "b", Counter))
	wantRefusal(t, err, ReasonKindConflict)

	mustIntern(t, r, testSeries("cpu2", "a", Gauge))
	_, err = r.Intern(testSeries("cpu3", "a", Gauge))
	wantRefusal(t, err, ReasonSeriesLimit)
	mustIntern(t, r, testSeries("cpu", "b", Gauge))
	_, err = r.Intern(testSeries("cpu2", "b", Gauge))
	wantRefusal(t, err, ReasonSeriesLimit)

	if refused := r.Stats().Refused; refused != 4 {
		t.Fatalf("refused %d, want 4", refused)
	}
	if _, err := r.Intern(Series{Metric: "cpu"}); err == nil {
		t.Fatal("a series without an interval was taken")
	}
}

// Storage that is away does not let series that come and go pile up.
func TestInternRefusesWhatPilesUpForStorage(t *testing.T) {
	r := NewRegistry(Limits{Series: 3})
	s := testSeries("cpu", "a", Gauge)
	mustIntern(t, r, s)
	for range 2 {
		s.Interval += time.Second
		mustIntern(t, r, s)
	}
	other := testSeries("cpu2", "a", Gauge)
	_, err := r.Intern(other)
	wantRefusal(t, err, ReasonSeriesLimit)
	mustIntern(t, r, s) // as it is known
	s.Interval += time.Second
	_, err = r.Intern(s)
	wantRefusal(t, err, ReasonSeriesLimit)

	taken := len(r.TakeNew())
	r.SetWaiting(taken)
	_, err = r.Intern(other)
	wantRefusal(t, err, ReasonSeriesLimit)
	r.SetWaiting(taken - 1)
	mustIntern(t, r, other)
	_, err = r.Intern(s)
	wantRefusal(t, err, ReasonSeriesLimit)
	r.SetWaiting(0)
	mustIntern(t, r, s)
	if n := len(r.TakeNew()); taken != 3 || n != 2 {
		t.Errorf("storage was given %d and %d series, want 3 and 2", taken, n)
	}
}

func TestInternFromManyGoroutines(t *testing.T) {
	r := NewRegistry(Limits{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 500 {
				agent := fmt.Sprint("agent-", i%10)
				if _, err := r.Intern(testSeries(fmt.Sprint("metric-", i), agent, Gauge)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	taken := 0
	for range 50 {
		taken += len(r.TakeNew())
	}
	wg.Wait()
	if taken += len(r.TakeNew()); taken != 500 {
		t.Fatalf("TakeNew gave %d series in all, want 500", taken)
	}
}
