package ingest

import (
	"slices"
	"sync"
	"time"

	"telltale/ingest/wire"
)

// directory holds the agents that are connected or have batches pending.
type directory struct {
	mu     sync.Mutex // guards agents; taken before agent.mu
	agents map[string]*agent
	forget func(agent string)
}

// agent is what outlives an agent's connections, as long as something is pending.
type agent struct {
	id string

	mu       sync.Mutex // guards what follows; nothing is called under it but session.acknowledge
	owner    *session   // the newest connection
	welcomed bool       // the owner has its welcome, so that acks may follow
	epochs   map[string]*epoch
	inFlight int // batches taken and not yet stored, of all epochs
}

// epoch is how far one epoch of an agent has come.
type epoch struct {
	stored, taken uint64
	pending       []pendingBatch // from stored to taken, in order
}

// pendingBatch is a batch that was taken and is not stored yet, with what its ack must list.
type pendingBatch struct {
	seq     uint64
	refused []wire.Refused
	unnamed uint64
}

// claim makes s the owner of its agent's state and returns the owner before, if any.
func (d *directory) claim(id string, s *session) (a *agent, before *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a = d.agents[id]
	if a == nil {
		a = &agent{id: id, epochs: make(map[string]*epoch)}
		d.agents[id] = a
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	before, a.owner, a.welcomed = a.owner, s, false
	return a, before
}

// release ends a session's claim, if it still has it.
func (d *directory) release(a *agent, s *session) {
	a.mu.Lock()
	if a.owner == s {
		a.owner = nil
	}
	idle := a.idleLocked()
	a.mu.Unlock()
	if idle {
		d.remove(a)
	}
}

// remove forgets an agent that is still idle. The Sink is told under the lock, so that it
// cannot forget an agent that has come back meanwhile.
func (d *directory) remove(a *agent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a.mu.Lock()
	idle := a.idleLocked() && d.agents[a.id] == a
	a.mu.Unlock()
	if idle {
		delete(d.agents, a.id)
		d.forget(a.id)
	}
}

func (a *agent) idleLocked() bool { return a.owner == nil && a.inFlight == 0 }

func (d *directory) find(id string) *agent {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.agents[id]
}

// all returns every agent, in no order.
func (d *directory) all() []*agent {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]*agent, 0, len(d.agents))
	for _, a := range d.agents {
		all = append(all, a)
	}
	return all
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
	for name, e := range a.epochs { // what no one is waiting for any more
		if len(e.pending) == 0 && !slices.Contains(epochs, name) {
			delete(a.epochs, name)
		}
	}
	progress := make(map[string]uint64, len(epochs))
	for _, name := range epochs {
		e := a.epochs[name]
		if e == nil {
			e = &epoch{}
			a.epochs[name] = e
		}
		e.stored = max(e.stored, stored[name])
		e.taken = max(e.taken, e.stored)
		progress[name] = e.stored
	}
	return progress, true
}

// enter notes a batch as pending before it is handed to the Sink, which may store it at
// once. It is not fresh if it was taken before; taken is the last seq that was.
func (a *agent) enter(epochName string, b pendingBatch) (taken uint64, fresh bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.epochs[epochName]
	if e == nil {
		e = &epoch{}
		a.epochs[epochName] = e
	}
	taken = e.taken
	if b.seq <= taken {
		return taken, false
	}
	e.taken = b.seq
	e.pending = append(e.pending, b)
	a.inFlight++
	return taken, true
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
		ack.Refused = append(ack.Refused, e.pending[done].refused...)
		ack.Unnamed += e.pending[done].unnamed
	}
	e.pending = append(e.pending[:0], e.pending[done:]...)
	a.inFlight -= done
	e.stored = p.Seq
	e.taken = max(e.taken, e.stored)
	if a.owner != nil && a.welcomed {
		a.owner.acknowledge(ack)
	}
	return a.idleLocked()
}

func (a *agent) pending() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.inFlight
}

// AgentStatus is one agent as the hub sees it now.
type AgentStatus struct {
	ID        string
	Connected bool
	Since     time.Time // of the connection
	LastBatch time.Time // zero: none on this connection
	Interval  time.Duration
	InFlight  int // batches taken and not yet stored

	// ClockOffset is how far the agent's clock was ahead of the hub's at hello, the way
	// of one message included; zero where the agent does not tell its time.
	ClockOffset time.Duration
}

func (a *agent) status() AgentStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	st := AgentStatus{ID: a.id, InFlight: a.inFlight}
	if s := a.owner; s != nil && a.welcomed {
		st.Connected, st.Since, st.Interval, st.ClockOffset = true, s.since, s.hello.Interval, s.offset
		if ms := s.lastBatch.Load(); ms > 0 {
			st.LastBatch = time.UnixMilli(ms)
		}
	}
	return st
}
