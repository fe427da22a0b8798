package history

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"telltale/aggregate"
	"telltale/aggregate/engine/enginetest"
)

var (
	errHubKilled = errors.New("the hub was killed")
	errDriver    = errors.New("the driver has failed")
)

// harm is what strikes at a moment.
type harm struct {
	name                     string
	cut, killEngine, killHub bool
	fails                    bool // the driver, also where the server has done what it was asked
}

// victim is a writer with a database of its own that is struck at one moment.
type victim struct {
	*testStore
	way  *way
	hub  *hub
	harm harm
}

const lastSeq = 8 // of which 3 to 5 are declared lost

// victims are as many as there are moments.
func newVictims(t *testing.T) []*victim {
	victims := make([]*victim, len(moments()))
	var making sync.WaitGroup
	for i := range victims {
		making.Go(func() {
			s := newTestStore(t)
			victims[i] = &victim{testStore: s}
			s.options, victims[i].way = through(t, s.options)
		})
	}
	making.Wait()
	return victims
}

var (
	withoutTheEngine = []harm{{name: "connection cut", cut: true}, {name: "hub killed", cut: true, killHub: true}, {name: "driver error", fails: true}}
	withTheEngine    = []harm{{name: "engine killed", killEngine: true}, {name: "both killed", cut: true, killEngine: true, killHub: true}}
)

// TestEveryStepOfStoring strikes between any two steps of storing a block. Whatever it is,
// the block is stored or not, never half or twice, and storage knows which. Each moment sees one harm
// of each kind here; the proof lets each see all of them.
func TestEveryStepOfStoring(t *testing.T) {
	victims := newVictims(t)
	t.Run("without the engine", func(t *testing.T) { strike(t, victims, withoutTheEngine, 0) })
	t.Run("with the engine", func(t *testing.T) { strike(t, victims, withTheEngine, 0) })
}

// strike lets all victims come to their moments, and then harms them all at once, each by
// another of the harms: which one, turn says.
func strike(t *testing.T, victims []*victim, harms []harm, turn int) {
	var at sync.WaitGroup
	for i, m := range moments() {
		v := victims[i]
		v.t, v.fault, v.harm = t, newFault(m), harms[(i+i/3+turn)%len(harms)]
		at.Go(v.come)
	}
	at.Wait()
	if t.Failed() {
		for _, v := range victims {
			v.fault.harmed <- errHubKilled
		}
		return
	}
	if harms[0].killEngine {
		if err := syscall.Kill(enginetest.Engine(t).PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range victims {
		at.Go(v.suffer)
	}
	at.Wait()
	for _, v := range victims {
		at.Go(v.recover)
	}
	at.Wait()
}

// come stores a little, and then a block that holds something for each table, up to the moment.
func (v *victim) come() {
	agent := v.harm.name
	v.hub = v.startHub(Config{BlockInterval: 50 * time.Millisecond})
	v.hub.admit(agent)
	v.hub.push(agent, "e1", 1, 2)
	waitFor(v.t, "the first block", func() bool { return v.hub.ackedSeq(agent, "e1") == 2 })
	v.fault.arm()
	v.hub.admit(agent + ", another")
	v.hub.push(agent+", another", "e1", 1, 2)
	v.send(agent, 2)
	select {
	case <-v.fault.reached:
	case <-time.After(time.Minute):
		v.t.Errorf("the writer never came to the moment %v", v.fault.at)
	}
}

// send sends what comes after the seq, a gap among it, as an agent does.
func (v *victim) send(agent string, after uint64) {
	if after < 5 {
		gap := &aggregate.Gap{Agent: agent, Epoch: "e1", Seq: after + 1, ToSeq: 5, From: baseTS, To: baseTS + 1, Count: 3, Reason: "spool_full"}
		if err := v.hub.writer.TakeGap(gap); err != nil {
			v.t.Error(err)
		}
		after = 5
	}
	v.hub.push(agent, "e1", after+1, lastSeq)
}

// suffer does the harm, and lets the writer go on into it.
func (v *victim) suffer() {
	h := v.harm
	if h.cut {
		v.way.cut()
	}
	switch {
	case h.killHub:
		v.hub.kill()
		v.fault.harmed <- errHubKilled
		v.hub.crash()
	case h.fails && v.fault.at != acknowledging:
		v.fault.harmed <- errDriver
	default:
		v.fault.harmed <- nil
	}
}

// recover sees that storage says the truth, sends what it lacks, and looks at the outcome.
func (v *victim) recover() {
	h := v.harm
	agent, other := h.name, h.name+", another"
	waitFor(v.t, "the engine", func() bool { return v.conn.Ping(context.Background()) == nil })
	if h.killHub {
		acked := v.hub.ackedSeq(agent, "e1")
		v.hub = v.startHub(Config{BlockInterval: time.Millisecond})
		stored, otherStored := v.hub.admit(agent)["e1"], v.hub.admit(other)["e1"]
		if stored < acked || stored != 2 && stored != lastSeq || (otherStored == 2) != (stored == lastSeq) {
			v.t.Errorf("%v: %d acknowledged, storage says %d, of the other agent %d: half a block", v.fault.at, acked, stored, otherStored)
		}
		v.assertSamples(agent, stored)
		v.hub.push(other, "e1", otherStored+1, 2)
		v.send(agent, stored)
		waitFor(v.t, "the rest", func() bool { return v.hub.writer.agentDone(agent) && v.hub.writer.agentDone(other) })
	}
	waitFor(v.t, fmt.Sprintf("%v: all to be stored", v.fault.at), func() bool {
		return v.hub.ackedSeq(agent, "e1") == lastSeq || h.killHub
	})
	v.assertSamples(agent, lastSeq)
	v.assertExactlyOnce(other, "e1", 2)
	if n := v.count("SELECT count() FROM gaps WHERE agent = ? AND count = 3", agent); n != 1 {
		v.t.Errorf("%v: the gap is stored %d times", v.fault.at, n)
	}
	if n := v.count("SELECT count() FROM agents WHERE agent IN (?, ?)", agent, other); n != 2 {
		v.t.Errorf("%v: %d agents are known, want 2", v.fault.at, n)
	}
	v.hub.crash()
	v.fault = nil
	if got := v.startHub(Config{}).admit(agent)["e1"]; got != lastSeq {
		v.t.Errorf("the hub after it knows of seq %d, want %d", got, lastSeq)
	}
}

// assertSamples sees that what is stored is what comes up to the seq, without the gap, each once.
func (v *victim) assertSamples(agent string, upTo uint64) {
	v.t.Helper()
	want := []uint64{1, 2}
	if upTo == lastSeq {
		want = append(want, 6, 7, 8)
	}
	var got []uint64
	err := v.conn.QueryRow(context.Background(),
		"SELECT arraySort(groupArray(toUInt64(value))) FROM samples WHERE metric = 'test.value' AND agent = ?", agent).Scan(&got)
	if err != nil {
		v.t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		v.t.Errorf("%s: stored are %v, want %v", agent, got, want)
	}
}
