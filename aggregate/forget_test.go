package aggregate_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	. "telltale/aggregate"
)

// An agent that describes its series anew, on a new connection or after a reset, goes on with those; what it leaves out has
// ended, though it is there all the time. That makes room for others, and what comes back is taken again.
func TestSeriesLeftOutAreForgotten(t *testing.T) {
	reg := NewRegistry(Limits{SeriesPerAgent: 3})
	b := &bench{t, reg, NewLive(LiveConfig{}, reg)}
	b.live.Advance(at(0))
	container := func(n int) Series {
		return Series{Metric: "cpu", Interval: time.Second, Labels: []Label{{Name: AgentLabel, Value: "a"}, {Name: "container", Value: fmt.Sprint(n)}}}
	}
	refused := func(n int) {
		t.Helper()
		_, err := reg.Intern(container(n))
		if refusal := (*Refusal)(nil); !errors.As(err, &refusal) || refusal.Reason != ReasonSeriesLimit {
			t.Fatalf("container %d: %v, want it refused for the limit", n, err)
		}
	}
	intern := func(n int) SeriesID {
		t.Helper()
		id, err := reg.Intern(container(n))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	ids := make([]SeriesID, 3)
	for n := range ids {
		ids[n] = intern(n)
		b.send(ids[n], 100, 1)
	}
	refused(3)

	minute := int64(0)
	pass := func(minutes int64, sends ...SeriesID) {
		for range minutes {
			minute++
			for _, id := range sends {
				b.send(id, minute*60_000, 1)
			}
			b.live.Advance(at(minute*60_000 + 1500))
		}
	}
	pass(120, ids[0])
	if got := reg.Stats().Series; got != 3 {
		t.Fatalf("%d series, and the agent's connection holds the ids of 3", got)
	}
	reg.Detach("a")
	for n := range 2 { // the third is left out
		intern(n)
	}
	pass(2, ids[0])
	if _, known := reg.Series(ids[2]); known {
		t.Fatal("a series that the agent has left out for two hours is known")
	}
	if got := reg.Stats(); got.Series != 2 || got.Agents != 1 {
		t.Fatalf("left: %+v", got)
	}
	fourth := intern(3) // there is room for it
	refused(2)

	reg.Detach("a")
	intern(0)
	intern(3)
	pass(70, ids[0], fourth)
	if again := intern(2); again != ids[2] {
		t.Errorf("the series came back with another id")
	}
	b.send(ids[2], minute*60_000+2000, 1)
	if got := b.live.Stats().Unknown; got != 0 {
		t.Errorf("%d samples were of unknown series", got)
	}
}

// What a hub holds for series that have ended is given back.
func TestForgettingGivesBackMemory(t *testing.T) {
	const agents, each = 100, 500
	reg := NewRegistry(Limits{})
	b := &bench{t, reg, NewLive(LiveConfig{}, reg)}
	b.live.Advance(at(0))
	b.watch(0, sumOf("cpu", "core"))
	held := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // twice: for texts that are shared
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := held()
	for agent := range agents {
		name := fmt.Sprint("agent-", agent)
		for n := range each {
			b.series("cpu", name, Gauge, time.Second, Label{Name: "core", Value: fmt.Sprint(agent, " ", n)})
		}
	}
	reg.TakeNew()
	b.live.Advance(at(1500))
	full := held()
	for agent := range agents {
		reg.Detach(fmt.Sprint("agent-", agent))
	}
	b.live.Advance(at(3 * 3600_000))
	b.live.Advance(at(3*3600_000 + 61_000))
	after := held()
	if got := reg.Stats(); got.Series != 0 || got.Agents != 0 || got.Metrics != 0 || b.live.Stats().Places != 0 {
		t.Fatalf("left: %+v, %+v", got, b.live.Stats())
	}
	// Maps keep their buckets, for the next series.
	if kept := float64(after-min(after, before)) / float64(full-before); full < before+agents*each*200 || kept > 0.35 {
		t.Errorf("the heap has %d bytes before, %d with %d series and %d when they are forgotten: %.0f %% kept", before, full, agents*each, after, 100*kept)
	}
	runtime.KeepAlive(b)
}
