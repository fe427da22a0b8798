package ingest

import (
	"sync"
	"time"

	"telltale/ingest/wire"
)

const (
	// firstWindow is what an agent may have in flight to begin with: ten thousand that come
	// back with a backlog, all at once, then stay below the bound on unstored samples.
	firstWindow = 8

	// narrowFrom is the share of the bound from which windows are narrowed, and below which
	// agents without room are let store again.
	narrowFrom = 0.5

	// narrowStep halves the window.
	narrowStep = 0.1

	// smallestWindow keeps an agent going while acks take a second or two.
	smallestWindow = 2
)

// window is how much an agent may have in flight while this share of the bound on unstored
// samples is used.
func window(limit int, fill float64) int {
	narrowed := 1
	for at := narrowFrom; at <= min(fill, 1); at += narrowStep {
		narrowed *= 2
	}
	return min(max(limit/narrowed, smallestWindow), limit)
}

// pace is what an agent was told to keep to.
type pace struct {
	mu         sync.Mutex // guards what follows; taken before outbox.mu
	told       wire.Slow
	widened    time.Time // when told last allowed more
	unanswered bool      // live-only because storage has not said how far it has the agent
	noRoom     bool      // live-only for this agent's own sake
	noRoomAt   time.Time
	lifts      int       // how often live-only was lifted
	lifted     time.Time // when it was, last
	over       bool
}

// beginPace returns what the welcome says.
func (s *session) beginPace(unanswered bool) wire.Slow {
	fill := s.server.sink.Fill(s.agent.id)
	p := &s.pace
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unanswered, p.widened = unanswered, time.Now()
	p.told = wire.Slow{
		MaxInFlight: min(firstWindow, window(s.server.config.Limits.MaxInFlight, fill)),
		LiveOnly:    unanswered || s.server.isBehind(s.agent.id),
	}
	if p.told.LiveOnly {
		s.server.metrics.liveOnlyAgents.add(1)
	}
	return p.told
}

// keepPace tells the agent how much it may have in flight, and whether it is stored, where
// that has changed, and returns both.
func (s *session) keepPace() wire.Slow {
	config := &s.server.config
	fill, pending, now := s.server.sink.Fill(s.agent.id), s.agent.pending(), time.Now()
	p := &s.pace
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.noRoom && fill < narrowFrom && pending < p.told.MaxInFlight && now.Sub(p.noRoomAt) >= config.LiveOnlyTime {
		p.noRoom = false
	}
	// Read under the lock: else a change could be overtaken by the one before it.
	slow := wire.Slow{MaxInFlight: p.nextWindow(config.Limits.MaxInFlight, fill, now), LiveOnly: p.unanswered || p.noRoom || s.server.isBehind(s.agent.id)}
	if p.told.LiveOnly && !slow.LiveOnly { // everybody begins to send what is held
		slow.MaxInFlight = min(slow.MaxInFlight, firstWindow)
		p.widened = now
	}
	if slow != p.told && !p.over {
		p.tellLocked(s, slow, now)
	}
	return slow
}

// nextWindow narrows at once and widens slowly: the acks of what a wider window lets in
// must come before it is known whether there was room.
func (p *pace) nextWindow(limit int, fill float64, now time.Time) int {
	told := p.told.MaxInFlight
	wide := window(limit, fill+narrowStep)
	switch narrow := window(limit, fill); {
	case told > narrow:
		return narrow
	case told < wide && now.Sub(p.widened) >= time.Second:
		p.widened = now
		return min(2*told, wide)
	}
	return told
}

func (p *pace) tellLocked(s *session, slow wire.Slow, now time.Time) {
	if slow.LiveOnly != p.told.LiveOnly {
		if slow.LiveOnly {
			s.server.metrics.liveOnlyAgents.add(1)
		} else {
			s.server.metrics.liveOnlyAgents.add(-1)
			p.lifts++
			p.lifted = now
		}
	}
	p.told = slow
	s.out.slow(s, slow)
}

// noRoom makes the agent live-only for a while: there was no room for a batch of it.
func (s *session) noRoom() {
	p := &s.pace
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noRoom, p.noRoomAt = true, time.Now()
	if !p.told.LiveOnly && !p.over {
		p.tellLocked(s, wire.Slow{MaxInFlight: p.told.MaxInFlight, LiveOnly: true}, p.noRoomAt)
	}
}

// answered says that storage has the agent's epochs in hand.
func (p *pace) answered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unanswered = false
}

// end forgets a session that is over.
func (p *pace) end(m *metrics) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.told.LiveOnly {
		m.liveOnlyAgents.add(-1)
	}
}

func (p *pace) lift() (lifts int, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lifts, p.lifted
}

func (p *pace) current() wire.Slow {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told
}
