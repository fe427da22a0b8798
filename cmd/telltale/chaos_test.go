package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"telltale/aggregate/history/historytest"
)

// chaosPlan is how much chaos there is to be.
type chaosPlan struct {
	seed    uint64
	lasting time.Duration // at least
	kills   int           // at least
	agents  int
}

func TestChaos(t *testing.T) {
	t.Parallel()
	runChaos(t, chaosPlan{seed: 4, lasting: 30 * time.Second, agents: 20})
}

// runChaos has agents deliver known sequences while they, the hub, its ClickHouse, the connections between
// them and the agents' spools are struck at random. In the end no sample may be missing but those that
// a gap declares, none may be there twice, and none that was not produced.
func runChaos(t *testing.T, plan chaosPlan) {
	t.Logf("chaos with seed %d", plan.seed)
	f := newFleet(t, 1<<20, 2) // so small a bound that outages of seconds reach it
	between := startProxy(t, f.listen)
	for n := range plan.agents {
		f.addProcess(n, between.address(), 200*time.Millisecond)
	}
	figures := newMeter(f)
	history := openHistory(t, f.data)
	d := newStriker(f, between, history)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the blows of seed %d were:", plan.seed)
			for _, line := range d.diary {
				t.Log(line)
			}
		}
	})
	stop := beside(func(ctx context.Context) { figures.run(ctx) }, func(ctx context.Context) { d.tellProgress(ctx) })
	d.run(newSchedule(plan.seed, plan.agents), plan.lasting, plan.kills)
	d.note("the chaos ends")
	f.awaitHub()
	ended := time.Now()
	f.awaitDelivered(history)
	drained := time.Since(ended)
	f.stopAgents()
	stop()

	all, err := f.check(t.Context(), history, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	f.report(all)
	d.checkConduct(all)
	checkNothingTwice(t, history)
	checkTiers(t, history)
	t.Log(d.result(all, figures, drained))
	_ = history.Close() // the engine waits for its clients
	if code := f.hub.end(syscall.SIGTERM); code != 0 {
		t.Errorf("an orderly stop of the hub ends with exit code %d", code)
	}
}

// checkTiers waits until each tier's windows that have ended equal what raw sums up to.
func checkTiers(t *testing.T, history driver.Conn) {
	t.Helper()
	ended := time.Now()
	var different []historytest.Difference
	for end := ended.Add(2 * time.Minute); ; time.Sleep(time.Second) {
		var err error
		if different, err = historytest.VerifyTiers(t.Context(), history, time.Unix(0, 0), ended); err != nil {
			t.Fatal(err)
		}
		if len(different) == 0 {
			t.Logf("the tiers equal raw %v after its last sample", time.Since(ended).Round(time.Second))
			return
		}
		if time.Now().After(end) {
			t.Errorf("tiers differ from raw: %v", different)
			return
		}
	}
}

// beside runs functions beside the caller until it calls the function returned, which waits for them.
func beside(functions ...func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, function := range functions {
		running.Go(func() { function(ctx) })
	}
	return func() {
		cancel()
		running.Wait()
	}
}

func (d *striker) tellProgress(ctx context.Context) {
	for tick := time.NewTicker(5 * time.Second); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		d.mu.Lock()
		did := fmt.Sprint(d.did)
		d.mu.Unlock()
		d.t.Logf("%3.0f s: %s", time.Since(d.began).Seconds(), did)
	}
}

// checkNothingTwice looks at every plain sample there is, those that the agents make of themselves too.
func checkNothingTwice(t *testing.T, history driver.Conn) {
	t.Helper()
	var repeated, strangers uint64
	if err := history.QueryRow(t.Context(), `SELECT count() FROM (SELECT series, ts, n, value FROM raw GROUP BY series, ts, n, value HAVING count() > 1)`).Scan(&repeated); err != nil {
		t.Fatal(err)
	}
	if err := history.QueryRow(t.Context(), `SELECT count() FROM raw WHERE series >= 9223372036854775808 AND series NOT IN (SELECT id FROM known_series)`).Scan(&strangers); err != nil {
		t.Fatal(err)
	}
	if repeated > 0 || strangers > 0 {
		t.Errorf("%d rows are stored more than once, and %d of a series that nobody knows", repeated, strangers)
	}
}

const (
	// lostPerDamage bounds the ticks that damage of one tail may cost: the shortest records that fit in it.
	lostPerDamage = 16

	// gapSlack is how much longer than the death that explains it a gap may be: how far the spool's state
	// may lie behind, and a start on a busy machine.
	gapSlack = 20 * time.Second
)

// checkConduct looks at what the agents declare, and at what they and the hub have said.
func (d *striker) checkConduct(all []*delivery) {
	for _, failure := range d.failures {
		d.t.Error(failure)
	}
	for _, line := range d.disagreements() {
		d.t.Error(line)
	}
	for i, delivered := range all {
		allowed := 0
		for _, dead := range d.deaths[i] {
			allowed++ // the tick that was produced and not yet in the spool
			if dead.damage {
				allowed += lostPerDamage
			}
		}
		if delivered.lost > allowed {
			d.t.Errorf("%s: %d ticks are lost, more than the %d that its %d deaths explain: %v",
				delivered.agent, delivered.lost, allowed, len(d.deaths[i]), delivered.gaps)
		}
		for _, g := range delivered.gaps {
			if !d.explains(i, g) {
				d.t.Errorf("%s: nothing explains %v", delivered.agent, g)
			}
		}
		for _, dead := range d.deaths[i] {
			if !declaresStop(delivered, dead) {
				d.t.Errorf("%s: no gap for the death at %s: %v", delivered.agent, clockOf(dead.from.UnixMilli()), delivered.gaps)
			}
		}
	}
}

// declaresStop says whether a gap is for a death. One gap may be for two, where the second hit the agent before
// it had begun, and an agent that had hardly begun at all knows of nothing to declare.
func declaresStop(d *delivery, dead death) bool {
	return dead.from.UnixMilli() < d.began+1000 || slices.ContainsFunc(d.gaps, func(g declared) bool { return g.reason == "unclean_stop" && g.around(dead) })
}

// around says whether the gap begins before a death, or a moment after it was decided on, and ends after it.
func (d declared) around(dead death) bool {
	return d.from <= dead.from.UnixMilli()+1000 && d.to >= dead.from.UnixMilli()
}

// explains says whether one of the agent's deaths is the cause of a gap.
func (d *striker) explains(agent int, g declared) bool {
	for _, dead := range d.deaths[agent] {
		near := g.from >= dead.from.Add(-gapSlack).UnixMilli() && g.to <= dead.to.Add(gapSlack).UnixMilli()
		switch g.reason {
		case "unclean_stop":
			if near && g.around(dead) {
				return true
			}
		case "corrupt":
			if near && dead.damage {
				return true
			}
		}
	}
	return false
}

// result is the line of figures.
func (d *striker) result(all []*delivery, figures *meter, drained time.Duration) string {
	ticks, lost, gaps := 0, 0, 0
	for _, delivered := range all {
		ticks += delivered.ticks
		lost += delivered.lost
		gaps += len(delivered.gaps)
	}
	return fmt.Sprintf("result: %v; %d ticks of %d agents; lost and declared %d, in %d gaps; lost and not declared 0; repeated 0; "+
		"batches sent again and known %d; doubts settled %d; shown and kept for later %d; drained in %v after %v",
		d.did, ticks, len(all), lost, gaps, figures.counted("telltale_ingest_duplicate_batches_total"),
		figures.counted("telltale_history_doubts_total"), figures.counted("telltale_ingest_live_only_batches_total"),
		drained.Round(100*time.Millisecond), time.Since(d.began).Round(time.Second))
}
