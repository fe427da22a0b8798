package collect

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"telltale/ingest/wire"
)

// steady is a source that always answers at once, with one value.
func steady(name string, interval time.Duration) source {
	return source{name: name, interval: interval, open: func(every time.Duration) reader {
		s := gauge(name, "1", every)
		return func(r *readings) error {
			r.add(s, 1)
			return nil
		}
	}}
}

// scripted is a source whose readings are those of the function.
func scripted(name string, read func(r *readings, s *wire.Series) error) source {
	return source{name: name, open: func(every time.Duration) reader {
		s := gauge(name, "1", every)
		return func(r *readings) error { return read(r, s) }
	}}
}

// testCollector collects from the sources, logs into the buffer and counts in the registry.
type testCollector struct {
	*Collector
	log      *bytes.Buffer
	registry *prometheus.Registry
}

func newTestCollector(interval time.Duration, sources ...source) testCollector {
	log, registry := new(bytes.Buffer), prometheus.NewRegistry()
	cfg := Config{Interval: interval, Log: slog.New(slog.NewTextHandler(log, nil)), Registerer: registry}
	return testCollector{newCollector(cfg, sources), log, registry}
}

func (c testCollector) close(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := c.Close(ctx); err != nil {
		t.Errorf("second close: %v", err)
	}
}

// ticks collects n ticks, an interval apart, and returns the metrics of each as one string.
func (c testCollector) ticks(n int) []string {
	var ticks []string
	for range n {
		var metrics []string
		for _, s := range c.Collect(time.Now(), nil) {
			metrics = append(metrics, s.Series.Metric)
		}
		ticks = append(ticks, strings.Join(metrics, " "))
		time.Sleep(c.interval)
	}
	return ticks
}

func (c testCollector) wantLogged(t *testing.T, text string, times int) {
	t.Helper()
	if got := strings.Count(c.log.String(), text); got != times {
		t.Errorf("%q was logged %d times, want %d:\n%s", text, got, times, c.log)
	}
}

func wantTicks(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d ticks, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("tick %d has %q, want %q", i, got[i], want[i])
		}
	}
}

func TestEachSourceIsReadAtItsOwnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCollector(2*time.Second, steady("a", 0), steady("b", 3*time.Second), steady("c", 6*time.Second))
		defer c.close(t)
		wantTicks(t, c.ticks(7), "a b c", "a", "a b", "a c", "a b", "a", "a b c")

		for _, s := range c.Collect(time.Now(), nil) {
			if want := map[string]time.Duration{"a": 2 * time.Second, "b": 4 * time.Second, "c": 6 * time.Second}[s.Series.Metric]; s.Series.Interval != want {
				t.Errorf("%s states an interval of %v, want %v", s.Series.Metric, s.Series.Interval, want)
			}
		}
	})
}

func TestCollectAppendsWithTheTicksTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCollector(time.Second, steady("a", 0))
		defer c.close(t)
		first := wire.Sample{TS: 7}
		got := c.Collect(time.UnixMilli(1234), []wire.Sample{first})
		if len(got) != 2 || got[0].TS != 7 || got[1].TS != 1234 || got[1].Value != 1 {
			t.Errorf("got %+v", got)
		}
		again := c.Collect(time.UnixMilli(2234), nil)
		if again[0].Series != got[1].Series {
			t.Error("the same series has another pointer in the next tick")
		}
	})
}

func TestAHangingCollectorDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		release := make(chan struct{})
		hanging := scripted("hanging", func(r *readings, s *wire.Series) error {
			n := calls.Add(1)
			if n == 2 {
				<-release
			}
			r.add(s, float64(n))
			return nil
		})
		c := newTestCollector(time.Second, hanging, steady("b", 0))
		defer c.close(t)

		wantTicks(t, c.ticks(1), "hanging b")
		began := time.Now()
		if got := c.Collect(began, nil); len(got) != 1 || got[0].Series.Metric != "b" {
			t.Errorf("the tick with the hang has %v", got)
		}
		if waited := time.Since(began); waited != 200*time.Millisecond {
			t.Errorf("the tick with the hang took %v, want the bound", waited)
		}
		began = time.Now()
		c.Collect(began, nil)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("the tick after it waited %v for a collector that is known to hang", waited)
		}
		wantTicks(t, c.ticks(3), "b", "b", "b")
		if n := calls.Load(); n != 2 {
			t.Errorf("the hanging collector was called %d times, want 2: not again before it returns", n)
		}
		c.wantLogged(t, "collector is late", 1)

		returned := time.Now()
		close(release)
		synctest.Wait()
		time.Sleep(300 * time.Millisecond)
		late := c.Collect(time.Now(), nil)
		if late[0].Series.Metric != "hanging" || late[0].Value != 2 || late[0].TS != returned.UnixMilli() {
			t.Errorf("the late reading is %+v, want value 2 at %d", late[0], returned.UnixMilli())
		}
		if len(late) != 3 {
			t.Errorf("got %d samples, want the late one and both of this tick", len(late))
		}
		c.wantLogged(t, "collector recovered", 1)
		if n := testutil.ToFloat64(c.metrics.late.WithLabelValues("hanging")); n != 5 {
			t.Errorf("%v late readings were counted, want 5", n)
		}
	})
}

func TestASlowCollectorIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := scripted("slow", func(r *readings, s *wire.Series) error {
			time.Sleep(500 * time.Millisecond)
			r.add(s, 1)
			return nil
		})
		c := newTestCollector(time.Second, slow, steady("b", 0))
		defer c.close(t)
		wantTicks(t, c.ticks(4), "b", "slow b", "slow b", "slow b")
		c.wantLogged(t, "collector is late", 1)
		c.wantLogged(t, "collector recovered", 0)
	})
}

func TestAFailingCollectorIsLoggedOncePerEpisode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		failing := scripted("failing", func(r *readings, s *wire.Series) error {
			calls++
			switch {
			case calls <= 2:
				r.add(s, 1) // what could be read
				return errors.New("disk on fire")
			case calls == 3:
				panic("index out of range")
			}
			r.add(s, 1)
			return nil
		})
		c := newTestCollector(time.Second, failing, steady("b", 0))
		wantTicks(t, c.ticks(5), "failing b", "failing b", "b", "failing b", "failing b")
		c.wantLogged(t, "collector failed", 1)
		c.wantLogged(t, "disk on fire", 1)
		c.wantLogged(t, "collector recovered", 1)
		want := `
			# HELP telltale_collect_failures_total Readings that failed, wholly or in part.
			# TYPE telltale_collect_failures_total counter
			telltale_collect_failures_total{collector="b"} 0
			telltale_collect_failures_total{collector="failing"} 3
		`
		if err := testutil.GatherAndCompare(c.registry, strings.NewReader(want), "telltale_collect_failures_total"); err != nil {
			t.Error(err)
		}
		c.close(t)
		if n, err := testutil.GatherAndCount(c.registry); err != nil || n != 0 {
			t.Errorf("after Close %d metrics are registered (%v)", n, err)
		}
	})
}

func TestCloseGivesUpOnAHangingCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c := newTestCollector(time.Second, scripted("hanging", func(*readings, *wire.Series) error {
			<-release
			return nil
		}))
		c.Collect(time.Now(), nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close returned %v", err)
		}
		if got := c.Collect(time.Now(), nil); len(got) != 0 {
			t.Errorf("collected %v after Close", got)
		}
		close(release)
		c.close(t)
	})
}

func TestCutInstancesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCollector(time.Second, scripted("many", func(r *readings, _ *wire.Series) error {
			r.cut += 3
			return nil
		}))
		defer c.close(t)
		c.ticks(2)
		if n := testutil.ToFloat64(c.metrics.cut.WithLabelValues("many")); n != 6 {
			t.Errorf("%v cut instances were counted, want 6", n)
		}
	})
}

// BenchmarkCollect measures what the package adds to the reading itself: it must not allocate.
func BenchmarkCollect(b *testing.B) {
	sources := []source{steady("a", 0), steady("b", 0), steady("c", 0)}
	c := newCollector(Config{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}, sources)
	defer func() { _ = c.Close(context.Background()) }()
	var dst []wire.Sample
	b.ReportAllocs()
	for b.Loop() {
		dst = c.Collect(time.Unix(0, 0), dst[:0])
	}
}

func TestCollectDoesNotAllocate(t *testing.T) {
	c := newTestCollector(time.Minute, steady("a", 0), steady("b", 0))
	defer c.close(t)
	dst := make([]wire.Sample, 0, 8)
	collect := func() { dst = c.Collect(time.Unix(0, 0), dst[:0]) }
	collect()
	if n := testing.AllocsPerRun(100, collect); n >= 1 {
		t.Errorf("a tick makes %v allocations of its own", n)
	}
}
