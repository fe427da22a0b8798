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
		if a.seq%12 == 0 {
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
		c.advance(10 * time.Millisecond)
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
	// The newest time is that of the finest tier: what ends by then is in the others too, where windows end.
	for _, d := range h.verify(time.UnixMilli(h.writer.TierStates()[0].Through)) {
		h.t.Error(d)
	}
	if n := h.count("SELECT count() FROM tier_10s"); n == 0 {
		h.t.Error("the tier is empty")
	}
}

// verify returns what is wrong in the tiers up to a time.
func (s *testStore) verify(to time.Time) []historytest.Difference {
	s.t.Helper()
	found, err := historytest.VerifyTiers(context.Background(), s.conn, time.Unix(0, 0), to)
	if err != nil {
		s.t.Fatal(err)
	}
	return found
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
		if a.seq%12 == 0 {
			a.wait()
			b.wait()
		}
	}
	a.wait()
	b.wait()
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
	for run := range 4 {
		h := s.startHub(tierConfig(clock))
		a := h.newTierAgent(fmt.Sprint("web-", run%2))
		a.seq = h.admit(a.name)["e1"]
		a.h.acked[a.name+"/e1"] = a.seq
		a.run(clock, time.Duration(20+rng.IntN(60))*time.Second)
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

func TestRebuildRightsWhatIsWrong(t *testing.T) {
	s, clock := newTestStore(t), newTestClock()
	h := s.startHub(tierConfig(clock))
	begin := clock.now()
	h.newTierAgent("web-1").run(clock, 5*time.Minute)
	h.assertTiers(clock)
	h.crash()
	for _, table := range []string{"tier_10s", "tier_1m", "tier_1h"} {
		if err := s.conn.Exec(t.Context(), "TRUNCATE TABLE "+table); err != nil {
			t.Fatal(err)
		}
	}
	if found := s.verify(clock.now().Add(-time.Minute)); len(found) != 3 || found[0].Windows < 24*3 || found[0].Samples >= 0 {
		t.Fatalf("empty tiers are found to have %v", found)
	}
	percent := 0
	rebuild := func() {
		t.Helper()
		err := Rebuild(t.Context(), s.options, begin, clock.now(), func(p RebuildProgress) { percent = p.Percent })
		if err != nil {
			t.Fatal(err)
		}
	}
	rebuild()
	if percent != 100 {
		t.Errorf("the rebuild ended at %d %%", percent)
	}
	if found := s.verify(clock.now()); len(found) > 0 {
		t.Fatal(found)
	}
	before := s.count("SELECT sum(count) FROM tier_10s FINAL")
	if err := s.conn.Exec(t.Context(), "ALTER TABLE raw DROP PARTITION ?", begin.UTC().Format(time.DateOnly)); err != nil {
		t.Fatal(err)
	}
	rebuild()
	if n := s.count("SELECT sum(count) FROM tier_10s FINAL"); n != before || n == 0 {
		t.Errorf("the tier counts %d samples once raw is gone, want %d", n, before)
	}
}

func TestVerifyFindsWhatIsWrong(t *testing.T) {
	s, clock := newTestStore(t), newTestClock()
	h := s.startHub(tierConfig(clock))
	a := h.newTierAgent("web-1")
	a.run(clock, 100*time.Second)
	h.assertTiers(clock)
	through := time.UnixMilli(h.writer.TierStates()[0].Through)
	for _, column := range []string{"count", "sum", "min", "max", "last"} {
		replaced := fmt.Sprintf("INSERT INTO tier_10s SELECT * REPLACE (%[1]s + 1 AS %[1]s%[2]s) FROM tier_10s FINAL WHERE series = ? ORDER BY start LIMIT 1",
			column, map[bool]string{true: ", count + 0 AS count"}[column != "count"])
		if err := s.conn.Exec(t.Context(), replaced, a.series[0]); err != nil {
			t.Fatal(err)
		}
		if found := s.verify(through); len(found) != 1 || found[0].Windows != 1 || found[0].Tier != "tier_10s" {
			t.Errorf("a wrong %s is found as %v", column, found)
		}
		if err := s.conn.Exec(t.Context(), "TRUNCATE TABLE tier_10s"); err != nil {
			t.Fatal(err)
		}
		if err := Rebuild(t.Context(), s.options, clock.now().Add(-time.Hour), clock.now(), func(RebuildProgress) {}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestViewsOfTiersEqualRaw(t *testing.T) {
	s, clock := newTestStore(t), newTestClock()
	h := s.startHub(tierConfig(clock))
	h.newTierAgent("web-1").run(clock, 5*time.Minute)
	h.assertTiers(clock)
	if err := s.conn.Exec(t.Context(), "INSERT INTO tier_10s SELECT * FROM tier_10s FINAL"); err != nil { // written twice, not merged yet
		t.Fatal(err)
	}
	for view, seconds := range map[string]int{"samples_10s": 10, "samples_1m": 60, "samples_1h": 3600} {
		different := s.count(fmt.Sprintf(`SELECT count() FROM %[1]s AS tier FULL JOIN (
				SELECT metric, agent, toDateTime(intDiv(toUnixTimestamp(ts), %[2]d) * %[2]d, 'UTC') AS window_start, any(kind) AS k, any(labels) AS l,
					sum(samples.count) AS n, sum(value * samples.count) AS total, min(value) AS low, max(value) AS high, argMax(value, (ts, value)) AS newest
				FROM samples GROUP BY metric, agent, window_start
			) AS raw USING (metric, agent, window_start)
			WHERE (n != tier.count OR abs(total - tier.sum) > 1e-9 OR low != tier.min OR high != tier.max OR k != tier.kind OR l != tier.labels
				OR if(k = 'distribution', NOT isNaN(tier.last), newest != tier.last))
				AND window_start + %[2]d <= toDateTime(%[3]d)`, view, seconds, h.writer.TierStates()[0].Through/1000))
		if different != 0 {
			t.Errorf("%s: %d windows differ", view, different)
		}
		if n := s.count("SELECT count() FROM " + view + " WHERE agent = 'web-1' AND metric = 'test.gauge' AND window_end = window_start + " + fmt.Sprint(seconds)); n == 0 {
			t.Errorf("%s is empty", view)
		}
	}
}
