package history

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"telltale/aggregate"
	"telltale/aggregate/history/historytest"
)

// testClock is the time that a writer goes by.
type testClock struct{ ms atomic.Int64 }

func newTestClock() *testClock {
	c := &testClock{}
	// A minute before an hour's end, so that a short test sees windows of every tier end.
	c.ms.Store(ceilTo(time.Now().UnixMilli(), 3_600_000) - 3_600_000*2 - 200_000)
	return c
}

func (c *testClock) now() time.Time          { return time.UnixMilli(c.ms.Load()) }
func (c *testClock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

func tierConfig(c *testClock) Config {
	return Config{BlockInterval: time.Millisecond, now: c.now, fillEvery: 5 * time.Millisecond}
}

// tierAgent sends samples of two plain series and a distribution, about one a second each.
type tierAgent struct {
	h      *hub
	name   string
	seq    uint64
	series [3]uint64
	rng    *rand.Rand
}

func (h *hub) newTierAgent(name string) *tierAgent {
	h.t.Helper()
	h.admit(name)
	a := &tierAgent{h: h, name: name, rng: rand.New(rand.NewPCG(1, uint64(len(name))))}
	for i, kind := range []aggregate.Kind{aggregate.Gauge, aggregate.Counter, aggregate.Distribution} {
		id, err := h.registry.Intern(aggregate.Series{
			Metric: "test." + kind.String(), Kind: kind, Interval: time.Second, Labels: []aggregate.Label{{Name: "agent", Value: name}},
		})
		if err != nil {
			h.t.Fatal(err)
		}
		a.series[i] = id
	}
	return a
}

// send stores what the agent measured at the time ts (ms), and waits for the acknowledgement.
func (a *tierAgent) send(ts int64) {
	a.h.t.Helper()
	a.take(ts)
	a.wait()
}

func (a *tierAgent) wait() {
	a.h.t.Helper()
	waitFor(a.h.t, "the acknowledgement", func() bool { return a.h.ackedSeq(a.name, "e1") == a.seq })
}

func (a *tierAgent) take(ts int64) {
	a.h.t.Helper()
	a.seq++
	b := &aggregate.Batch{Agent: a.name, Epoch: "e1", Seq: a.seq}
	add := func(series uint64, value float64, n uint32) {
		b.Series, b.TS, b.Value, b.N = append(b.Series, series), append(b.TS, ts), append(b.Value, value), append(b.N, n)
	}
	add(a.series[0], a.rng.NormFloat64(), 1)
	add(a.series[1], a.rng.Float64(), 1)
	for _, bin := range a.rng.Perm(5)[:3] {
		add(a.series[2], float64(bin), uint32(1+a.rng.IntN(9)))
	}
	if err := a.h.writer.Take(b); err != nil {
		a.h.t.Fatal(err)
	}
}

// run lets the agent send every second until the clock has gone on by d.
func (a *tierAgent) run(c *testClock, d time.Duration) {
	a.h.t.Helper()
	for range d / time.Second {
		c.advance(time.Second)
		a.take(c.ms.Load())
		if a.seq%5 == 0 {
			a.wait()
		}
	}
	a.wait()
}

// settle waits until every tier has all that ended by now.
func (h *hub) settle(c *testClock) {
	h.t.Helper()
	c.advance(30 * time.Second)
	ended := h.writer.filler.limit(c.now())
	waitFor(h.t, "the tiers", func() bool {
		states := h.writer.TierStates()
		return states != nil && !slices.ContainsFunc(states, func(s TierState) bool {
			return s.Through < floorTo(ended, int64(s.Step)) || slices.ContainsFunc(s.Stale, func(r Range) bool { return r.From < s.Through })
		})
	})
}

// assertTiers holds every window that has ended to raw, and sees that there are some.
func (h *hub) assertTiers(c *testClock) {
	h.t.Helper()
	h.settle(c)
	for _, state := range h.writer.TierStates() {
		// Verify looks at what ends by the time, which is each tier's own.
		found, err := historytest.VerifyTiers(context.Background(), h.conn, time.Unix(0, 0), time.UnixMilli(state.Through))
		if err != nil {
			h.t.Fatal(err)
		}
		for _, d := range found {
			if d.Tier == tierOf(state.Step) {
				h.t.Error(d)
			}
		}
	}
	if n := h.count("SELECT count() FROM tier_10s"); n == 0 {
		h.t.Error("the tier is empty")
	}
}

func tierOf(step aggregate.Step) string {
	for _, t := range tiers {
		if t.step == int64(step) {
			return t.table
		}
	}
	return fmt.Sprint(step)
}

func (h *hub) repaired() float64 {
	return testCounter(h.t, h.writer.metrics.tierRepaired.WithLabelValues("tier_10s"))
}

func TestTiersInPassing(t *testing.T) {
	s, clock := newTestStore(t), newTestClock()
	h := s.startHub(tierConfig(clock))
	clock.advance(aheadMS * time.Millisecond)
	clock.advance(10 * time.Second)
	a, b := h.newTierAgent("web-1"), h.newTierAgent("web-22")
	for range 70 {
		clock.advance(time.Second)
		a.take(clock.ms.Load())
		b.take(clock.ms.Load() - 700)
		a.wait()
		b.wait()
	}
	h.assertTiers(clock)
	if n := h.repaired(); n != 0 {
		t.Errorf("%v windows were recomputed, though none was in doubt", n)
	}
	if n := s.count("SELECT count() FROM tier_10s WHERE bin != 0"); n == 0 {
		t.Error("no bins")
	}
}

func TestTiersOfADoubtfulStartAndAnHour(t *testing.T) {
	s, clock := newTestStore(t), newTestClock()
	h := s.startHub(tierConfig(clock))
	a := h.newTierAgent("web-1")
	a.run(clock, 5*time.Minute)
	h.assertTiers(clock)
	if n := s.count("SELECT count() FROM tier_1h"); n == 0 {
		t.Error("no hour has ended")
	}
	if h.repaired() == 0 {
		t.Error("no window was recomputed, though the first ones were in doubt")
	}
}

func TestLateSamplesAreStaleAtOnceAndRepaired(t *testing.T) {
	s, clock := newTestStore(t), newTestClock()
	h := s.startHub(tierConfig(clock))
	a, b := h.newTierAgent("web-1"), h.newTierAgent("web-22")
	a.run(clock, 4*time.Minute)
	b.send(clock.ms.Load() - 180_000)
	h.assertTiers(clock)
	for _, age := range []int64{7_000, 31_000, 95_000, 200_000, 230_000} {
		late := clock.ms.Load() - age
		b.send(late)
		stale := false
		for _, r := range h.writer.TierStates()[0].Stale {
			stale = stale || r.From <= late && late < r.To
		}
		if age > 20_000 && !stale && s.count("SELECT count() FROM tier_10s FINAL WHERE series = ? AND start = ?", b.series[0], time.UnixMilli(floorTo(late, windowMS)).UTC()) == 0 {
			t.Errorf("a window with a late sample is neither stale nor right")
		}
		clock.advance(11 * time.Second)
	}
	h.assertTiers(clock)
}

func TestTiersOutliveAnyEnd(t *testing.T) {
	s, clock := newTestStore(t), newTestClock()
	rng := rand.New(rand.NewPCG(9, 9))
	for run := range 6 {
		h := s.startHub(tierConfig(clock))
		a := h.newTierAgent(fmt.Sprint("web-", run%2))
		a.seq = h.admit(a.name)["e1"]
		a.h.acked[a.name+"/e1"] = a.seq
		a.run(clock, time.Duration(20+rng.IntN(100))*time.Second)
		a.take(clock.ms.Load() + 45_000) // of the time that the next run begins in
		time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
		h.crash()
		clock.advance(time.Duration(rng.IntN(15)) * time.Second)
	}
	h := s.startHub(tierConfig(clock))
	clock.advance(time.Hour)
	h.newTierAgent("last").send(clock.ms.Load())
	h.assertTiers(clock)
}

func TestAFullQueueLeavesNothingOut(t *testing.T) {
	s, clock := newTestStore(t), newTestClock()
	cfg := tierConfig(clock)
	cfg.MaxTierRows = 8 // a block of one batch, not of two
	h := s.startHub(cfg)
	clock.advance(aheadMS * time.Millisecond)
	a := h.newTierAgent("web-1")
	a.run(clock, 90*time.Second)
	if testCounter(t, h.writer.metrics.tierOverflows) == 0 {
		t.Fatal("the queue was never full")
	}
	h.assertTiers(clock)
}

func TestAHistoryOlderThanItsTiers(t *testing.T) {
	s, clock := newTestStore(t), newTestClock()
	h := s.startHub(tierConfig(clock))
	h.newTierAgent("web-1").run(clock, 3*time.Minute)
	h.crash()
	for _, table := range []string{"tier_10s", "tier_1m", "tier_1h", "tier_progress"} {
		if err := s.conn.Exec(t.Context(), "TRUNCATE TABLE "+table); err != nil {
			t.Fatal(err)
		}
	}
	clock.advance(2 * time.Hour)
	h = s.startHub(tierConfig(clock))
	h.assertTiers(clock)
	if n := s.count("SELECT count() FROM tier_1h"); n == 0 {
		t.Error("no hours")
	}
	h.crash()
	h = s.startHub(tierConfig(clock))
	h.assertTiers(clock)
	if n := h.repaired(); n != 0 {
		t.Errorf("%v windows are recomputed at the next start, though all were done", n)
	}
}
