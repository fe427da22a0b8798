package ingest

import (
	"slices"
	"sync"

	"telltale/ingest/wire"
)

// agent is what outlives an agent's connections, as long as something is pending.
type agent struct {
	id      string
	metrics *metrics

	mu        sync.Mutex // guards what follows; nothing is called under it but session.acknowledge
	owner     *session   // the newest connection
	welcomed  bool       // the owner has its welcome, so that acks may follow
	absent    bool       // counted in directory.absent
	epochs    map[string]*epoch
	inFlight  int // batches taken and not yet stored, of all epochs
	tally     Tally
	takeOvers []takeOver
}

// epoch is how far one epoch of an agent has come.
type epoch struct {
	stored, taken uint64
	shown         uint64         // the last seq that the live state was given
	pending       []pendingBatch // from stored to taken, in order
}

// pendingBatch is a batch, or a gap, that was taken and is not stored yet, with what its
// ack must list.
type pendingBatch struct {
	seq     uint64
	ts      int64  // of the last row in milliseconds since the Unix epoch, 0 without rows
	samples uint64 // accepted
	refused []wire.Refused
	unnamed uint64
}

// welcome merges what storage says with what is pending, and returns how far each of the
// epochs is stored. From here on s is sent the agent's acks; false: s lost its claim.
func (a *agent) welcome(s *session, epochs []string, stored map[string]uint64) (map[string]uint64, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.owner != s {
		return nil, false
	}
	a.welcomed = true
	a.metrics.agents.add(1)
	for name, e := range a.epochs { // what no one is waiting for any more
		if len(e.pending) == 0 && !slices.Contains(epochs, name) {
			delete(a.epochs, name)
		}
	}
	progress := make(map[string]uint64, len(epochs))
	for _, name := range epochs {
		e := a.epochLocked(name)
		// What is pending is for store to pass, which will hear of it: storage may know a moment before.
		if len(e.pending) == 0 {
			e.stored = max(e.stored, stored[name])
			e.taken = max(e.taken, e.stored)
		}
		progress[name] = e.stored
	}
	return progress, true
}

// verdict is what becomes of a batch.
type verdict int

const (
	fresh     verdict = iota // taken
	duplicate                // taken before
	ahead                    // not taken: it must come again, after those before it
)

// enter notes what goes from seq first to b.seq as pending before it is handed to the Sink,
// which may store it at once; taken is the last seq that was taken before.
func (a *agent) enter(epochName string, first uint64, b pendingBatch, liveOnly bool) (v verdict, taken uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.epochLocked(epochName)
	switch {
	case b.seq <= e.taken:
		return duplicate, e.taken
	case liveOnly || first > e.taken+1:
		return ahead, e.taken
	}
	taken = e.taken
	e.taken = b.seq
	e.pending = append(e.pending, b)
	a.inFlight++
	a.metrics.inFlight.add(1)
	return fresh, taken
}

// show says whether the live state has yet to be given a batch, and notes that it is.
func (a *agent) show(epochName string, seq uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.epochLocked(epochName)
	if seq <= e.shown {
		return false
	}
	e.shown = seq
	return true
}

func (a *agent) epochLocked(name string) *epoch {
	e := a.epochs[name]
	if e == nil {
		e = &epoch{}
		a.epochs[name] = e
	}
	return e
}

// taken returns the last seq of an epoch that was taken.
func (a *agent) taken(epochName string) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.epochLocked(epochName).taken
}

// withdraw takes back the batch last entered, which the Sink did not take; taken is what
// enter returned.
func (a *agent) withdraw(epochName string, taken uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.epochs[epochName]
	e.taken = taken
	e.pending = e.pending[:len(e.pending)-1]
	a.inFlight--
	a.metrics.inFlight.add(-1)
}

// store notes how far an epoch is stored and passes the ack on to the connection, if
// there is one. It returns whether the agent may be forgotten.
func (a *agent) store(p Stored) (idle bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.epochs[p.Epoch]
	if e == nil || p.Seq <= e.stored {
		return a.idleLocked()
	}
	ack := wire.Ack{Epoch: p.Epoch, Seq: p.Seq}
	done := 0
	for ; done < len(e.pending) && e.pending[done].seq <= p.Seq; done++ {
		if p.Quarantined && e.pending[done].seq == p.Seq {
			a.quarantineLocked(&e.pending[done])
		}
		ack.Refused = append(ack.Refused, e.pending[done].refused...)
		ack.Unnamed += e.pending[done].unnamed
		a.countStoredLocked(&e.pending[done])
	}
	e.pending = append(e.pending[:0], e.pending[done:]...)
	a.inFlight -= done
	a.metrics.inFlight.add(-done)
	e.stored = p.Seq
	e.taken = max(e.taken, e.stored)
	if a.owner != nil && a.welcomed {
		a.owner.acknowledge(ack)
	}
	return a.idleLocked()
}

// quarantineLocked makes all of a batch refused that storage cannot take.
func (a *agent) quarantineLocked(b *pendingBatch) {
	a.countRefusedLocked(wire.Quarantined, b.samples)
	total := b.samples + uint64(len(b.refused)) + b.unnamed
	ruled := b.refused
	b.refused = make([]wire.Refused, 0, min(total, listedRefusals))
	for i := range cap(b.refused) {
		refused := wire.Refused{Seq: b.seq, Index: i, Reason: wire.Quarantined}
		if len(ruled) > 0 && ruled[0].Index == i {
			refused, ruled = ruled[0], ruled[1:]
		}
		b.refused = append(b.refused, refused)
	}
	b.samples, b.unnamed, b.ts = 0, total-uint64(len(b.refused)), 0
}

// complete says that everything of an epoch up to last is stored.
func (a *agent) complete(epochName string, last uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.epochs[epochName]
	return e == nil || e.stored >= last && len(e.pending) == 0
}

func (a *agent) forgetEpoch(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.epochs, name)
}

// session is the agent's connection, nil without one that is welcome.
func (a *agent) session() *session {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.welcomed {
		return nil
	}
	return a.owner
}

func (a *agent) pending() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.inFlight
}

// partLocked ends what the owner was welcome to.
func (a *agent) partLocked() {
	if a.welcomed {
		a.welcomed = false
		a.metrics.agents.add(-1)
	}
}

func (a *agent) idleLocked() bool { return a.owner == nil && a.inFlight == 0 }

// aheadLocked says that the live state has batches of the agent that are not stored.
func (a *agent) aheadLocked() bool {
	for _, e := range a.epochs {
		if e.shown > e.stored {
			return true
		}
	}
	return false
}
