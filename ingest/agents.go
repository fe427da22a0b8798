package ingest

import (
	"sync"
	"time"
)

// directory holds the agents that are connected, have batches pending, or were shown
// batches that are not stored.
type directory struct {
	mu      sync.Mutex // guards what follows; taken before agent.mu
	agents  map[string]*agent
	absent  int // agents that are kept only for what they were shown
	forget  func(agent string)
	metrics *metrics
}

// maxAbsent bounds how many agents that left are kept for what they were shown. Of others,
// the live state takes batches twice if they come back.
const maxAbsent = 100_000

// claim makes s the owner of its agent's state and returns the owner before, if any.
// duplicate: two machines take over from each other.
func (d *directory) claim(id string, s *session) (a *agent, before *session, duplicate bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a = d.agents[id]
	if a == nil {
		a = &agent{id: id, metrics: d.metrics, epochs: make(map[string]*epoch)}
		d.agents[id] = a
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.absent {
		a.absent = false
		d.absent--
	}
	a.partLocked()
	before, a.owner = a.owner, s
	if before != nil {
		duplicate = a.tookOverLocked(before.identity, s.identity, time.Now())
	}
	return a, before, duplicate
}

// release ends a session's claim, if it still has it.
func (d *directory) release(a *agent, s *session) {
	a.mu.Lock()
	if a.owner == s {
		a.partLocked()
		a.owner = nil
	}
	idle := a.idleLocked()
	a.mu.Unlock()
	if idle {
		d.remove(a)
	}
}

// remove forgets an agent that is still idle, unless it was shown what is not stored. The
// Sink is told under the lock, so that it cannot forget an agent that has come back meanwhile.
func (d *directory) remove(a *agent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.idleLocked() || d.agents[a.id] != a {
		return
	}
	if a.aheadLocked() && (a.absent || d.absent < maxAbsent) {
		if !a.absent {
			a.absent = true
			d.absent++
		}
		return
	}
	if a.absent {
		d.absent--
	}
	delete(d.agents, a.id)
	d.forget(a.id)
}

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
