package stream

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Keyframe is the whole state of a topic.
type Keyframe struct {
	ID    int64  // milliseconds: the state as of this id; not older than what was published when it was asked for
	Since int64  // the state holds all that happened after this id
	Data  []byte // the snapshot's data; nil while there is no state yet. Not retained
}

// Topic is one sequence of events and those who watch it.
type Topic struct {
	hub    *Hub
	groups []group // the viewers, one group for each writer

	ring atomic.Pointer[ring] // replaced under mu
	near keyframes            // the newest state, from memory
	deep keyframes            // a state that reaches back as far as viewers look, from slower memory

	mu sync.Mutex // guards publication and the building of keyframes

	// Guarded by hub.mu.
	viewers   int
	idleSince time.Time // when the last viewer left
	closed    bool
}

// NewTopic makes a topic whose state keyframe tells. It is called, at most once between two
// publications, when a viewer joins or has fallen behind; on a goroutine of the hub, so the
// caller guards its state, and changes it before it calls [Topic.Publish]. Viewers wait for
// it, so but for the first time it answers well within the time between two publications.
//
// Viewers who come back after longer than that state reaches back get the one of past, where it
// is not nil and gives any. It may take its time, and is called at most once for as long as the
// topic's memory of ticks goes on from its answer. The context of both ends with the hub.
func (h *Hub) NewTopic(keyframe, past func(context.Context) Keyframe) *Topic {
	t := &Topic{hub: h, idleSince: time.Now(), groups: make([]group, len(h.writers))}
	t.near.make, t.deep.make = keyframe, past
	for i := range t.groups {
		t.groups[i].topic = t
	}
	t.ring.Store(&ring{})
	return t
}

// Publish sends data as a tick to every viewer. Ids are milliseconds and must grow. With nil
// data there is nothing to tell, and only the viewers' last id moves on, by heartbeat.
// Data is copied.
func (t *Topic) Publish(id int64, data []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.ring.Load()
	if id <= old.newest {
		return fmt.Errorf("publish id %d: not later than the topic's last, %d", id, old.newest)
	}
	if data == nil {
		t.ring.Store(old.advanced(id))
	} else {
		t.ring.Store(old.with(newFrame(id, "tick", data), t.hub.cfg.RingFrames, t.hub.cfg.RingBytes))
	}
	t.near.expire(id)
	t.deep.expire(t.ring.Load().floor)
	t.announce()
	return nil
}

// Notice sends an event without an id, once, to whoever watches now. The event's name must
// not hold a line break. Data is copied.
func (t *Topic) Notice(event string, data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ring.Store(t.ring.Load().with(newFrame(0, event, data), t.hub.cfg.RingFrames, t.hub.cfg.RingBytes))
	t.announce()
}

// CloseIdle closes the topic if it has had no viewer for at least d, and says whether it is
// closed. Who asks for a closed topic is told to try again, so forget it before you serve
// the next viewer.
func (t *Topic) CloseIdle(d time.Duration) bool {
	t.hub.mu.Lock()
	defer t.hub.mu.Unlock()
	if t.viewers == 0 && time.Since(t.idleSince) >= d {
		t.closed = true
	}
	return t.closed
}

// announce has every writer look at the topic.
func (t *Topic) announce() {
	for i := range t.groups {
		if g := &t.groups[i]; g.size.Load() > 0 {
			t.hub.writers[i].look(g)
		}
	}
}
