package stream

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Keyframe is the whole state of a topic.
type Keyframe struct {
	ID    int64  // milliseconds: the state as of this id; never older than what was published
	Since int64  // the state holds all that happened after this id
	Data  []byte // the snapshot's data; nil while there is no state yet. Not retained
}

// Topic is one sequence of events and those who watch it.
type Topic struct {
	hub      *Hub
	keyframe func() Keyframe
	groups   []group // the viewers, one group for each writer

	ring atomic.Pointer[ring]     // replaced under mu
	key  atomic.Pointer[snapshot] // the last one built, or nil; replaced under mu

	mu       sync.Mutex // guards publication and the two fields below
	building bool       // a keyframe is being built
	builtFor *ring      // the ring that the last build was asked for

	// Guarded by hub.mu.
	viewers   int
	idleSince time.Time // when the last viewer left
	closed    bool
}

type snapshot struct {
	id, since int64
	frame     *frame
}

// NewTopic makes a topic whose state keyframe tells. It is called, at most once between two
// publications, when a viewer joins or has fallen behind; on a goroutine of the hub, so the
// caller guards its state, and changes it before it calls [Topic.Publish]. It must answer
// well within the time between two publications.
func (h *Hub) NewTopic(keyframe func() Keyframe) *Topic {
	t := &Topic{hub: h, keyframe: keyframe, idleSince: time.Now(), groups: make([]group, len(h.writers))}
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
	if key := t.key.Load(); key != nil && key.id < id {
		t.key.Store(nil)
	}
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

// snapshotFor returns a snapshot no older than r, or nil after it has seen to it that one is
// built and announced. The writers must not wait for it: others wait for them.
func (t *Topic) snapshotFor(r *ring) *snapshot {
	if key := t.key.Load(); key != nil && key.id >= r.newest {
		return key
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.building && t.builtFor != r {
		t.building, t.builtFor = true, r
		t.hub.running.Go(t.build)
	}
	return nil
}

func (t *Topic) build() {
	k := t.keyframe()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.building = false
	if k.Data != nil {
		t.key.Store(&snapshot{id: k.ID, since: k.Since, frame: newFrame(k.ID, "snapshot", k.Data)})
	}
	t.announce()
}
