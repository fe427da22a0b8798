package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// outagePlan is how long ClickHouse is away, and how many agents go on meanwhile.
type outagePlan struct {
	agents      int
	lasting     time.Duration
	maxUnstored int // bytes
}

func TestOutage(t *testing.T) {
	runOutage(t, outagePlan{agents: 60, lasting: 20 * time.Second, maxUnstored: 512 << 20})
}

// outageLanes makes the batch of an agent about as large as that of a small host.
const outageLanes = 20

// runOutage stops ClickHouse under load and lets it go on. Nothing may be lost, no window of the live stream may
// be missing, and the hub must keep to its bound.
func runOutage(t *testing.T, plan outagePlan) {
	f := newFleet(t, plan.maxUnstored, outageLanes)
	stopAgents := f.runWithin(plan.agents)
	history := openHistory(t, f.data)
	live := f.watchLive()
	eventually(t, "all agents deliver", func() bool {
		var agents uint64
		err := history.QueryRow(t.Context(), "SELECT uniqExact(agent) FROM samples WHERE metric = '"+sequenceLatency+"'").Scan(&agents)
		return err == nil && agents == uint64(plan.agents)
	})
	figures := newMeter(f)
	figures.read()
	before := figures.last[rssName]
	stopFigures := beside(figures.run)

	t.Logf("ClickHouse stops for %v", plan.lasting)
	began := time.Now()
	engines := f.holdEngine(plan.lasting)
	back := time.Now()
	drained := f.awaitCount(history, back)
	stopFigures()
	all := f.awaitDelivered(history)
	windows := live.stop()
	for _, d := range all {
		if len(d.gaps) > 0 || d.lost > 0 {
			t.Errorf("%s declares to have lost %d ticks: %v", d.agent, d.lost, d.gaps)
		}
	}
	checkNothingTwice(t, history)
	stopAgents()
	live.check(t, began, back.Add(drained))
	kept := figures.counted("telltale_ingest_live_only_batches_total")
	if kept == 0 {
		t.Error("nothing was shown and kept for later: the hub has not seen that storage is away")
	}
	if peak := int(figures.peak["telltale_history_unstored_bytes"]); peak > plan.maxUnstored {
		t.Errorf("%d bytes were held unstored, more than the bound of %d", peak, plan.maxUnstored)
	}
	if grown := figures.peak[rssName] - before; grown > maxGrowth {
		t.Errorf("the hub has grown by %.0f MB", grown/(1<<20))
	}
	t.Logf("result: ClickHouse away for %v (in %d processes) under %d agents; %d ticks, lost 0, repeated 0; drained in %v; "+
		"unstored at most %.1f of %.1f MB; hub %.0f MB before and %.0f at most; batches shown and kept for later %d, known already %d; "+
		"%d live windows, none missing, longest pause %v",
		plan.lasting, engines, plan.agents, countTicks(all), drained.Round(100*time.Millisecond),
		figures.peak["telltale_history_unstored_bytes"]/(1<<20), float64(plan.maxUnstored)/(1<<20), before/(1<<20), figures.peak[rssName]/(1<<20),
		kept, figures.counted("telltale_ingest_duplicate_batches_total"), windows, live.longest.Round(10*time.Millisecond))
	_ = history.Close() // the engine waits for its clients
	if code := f.hub.end(syscall.SIGTERM); code != 0 {
		t.Errorf("an orderly stop of the hub ends with exit code %d", code)
	}
}

// maxGrowth is what a hub may grow by in an outage beyond what is bounded: buffers of sockets and of the runtime.
const maxGrowth = 256 << 20

func countTicks(all []*delivery) int {
	n := 0
	for _, d := range all {
		n += d.ticks
	}
	return n
}

// runWithin runs agents within the test, until the function returned is called, which waits for them.
func (f *fleet) runWithin(agents int) (stop func()) {
	f.t.Helper()
	file, err := os.Create(filepath.Join(f.t.ArtifactDir(), "agents.log"))
	if err != nil {
		f.t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(file, nil))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for n := range agents {
		m := f.newMember(n)
		a, source, err := newSequenceAgent("ws://"+f.listen, m.id, m.dir, time.Second, f.lanes, log.With("agent", m.id))
		if err != nil {
			cancel()
			f.t.Fatal(err)
		}
		running.Go(func() {
			defer func() { _ = source.record.Close() }()
			if err := a.Run(ctx); err != nil {
				f.t.Errorf("%s: %v", m.id, err)
			}
		})
	}
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		_ = file.Close()
		if text, err := os.ReadFile(file.Name()); err != nil || strings.Contains(string(text), "does not agree") {
			f.t.Errorf("hub and an agent disagree on a sequence: see %s (%v)", file.Name(), err)
		}
	})
	f.t.Cleanup(stop)
	return stop
}

// holdEngine keeps the hub's ClickHouse stopped, and whatever the hub starts in its place. It returns how many processes
// that were.
func (f *fleet) holdEngine(lasting time.Duration) (processes int) {
	held := 0
	for end, tick := time.Now().Add(lasting), time.Now(); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if pid := engineOf(f.hub); pid != 0 && pid != held {
			held = pid
			processes++
			_ = syscall.Kill(pid, syscall.SIGSTOP) // one that has ended is found out next time
		}
		if time.Since(tick) > 10*time.Second {
			tick = time.Now()
			f.t.Logf("ClickHouse is stopped for another %v", time.Until(end).Round(time.Second))
		}
	}
	if pid := engineOf(f.hub); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	return processes
}

// awaitCount waits until as many ticks are stored as were produced until a time, and returns how long after it
// that was.
func (f *fleet) awaitCount(history driver.Conn, until time.Time) time.Duration {
	f.t.Helper()
	var want uint64
	for _, m := range f.agents {
		ticks, err := readRecord(m.dir)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, ts := range ticks {
			if ts <= until.UnixMilli() {
				want++
			}
		}
	}
	for progress := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		var got uint64
		err := history.QueryRow(f.t.Context(), fmt.Sprintf("SELECT count() FROM samples WHERE metric = '%s' AND toUnixTimestamp64Milli(ts) <= %d",
			sequenceCounter, until.UnixMilli())).Scan(&got)
		if err == nil && got >= want {
			return time.Since(until)
		}
		if time.Since(progress) > 5*time.Second {
			progress = time.Now()
			f.t.Logf("%d of %d ticks are stored (%v)", got, want, err)
		}
		if time.Since(until) > 5*time.Minute {
			f.t.Fatalf("five minutes after the outage %d of %d ticks are stored: %v", got, want, err)
		}
	}
}
