package stream

import (
	"context"
	"sync/atomic"
)

// keyframes makes snapshots of one kind for a topic: one at a time, for all who need it.
type keyframes struct {
	make func(context.Context) Keyframe
	last atomic.Pointer[snapshot] // the last one made, or nil once it is too old; replaced under Topic.mu

	// Guarded by Topic.mu.
	building bool
	builtFor *ring // the ring for which the last one was made
}

// snapshot is a keyframe ready to be sent.
type snapshot struct {
	id, since int64
	frame     *frame // nil: there is none
}

// expire forgets a snapshot from which viewers could not go on any more.
func (k *keyframes) expire(oldest int64) {
	if last := k.last.Load(); last != nil && last.id < oldest {
		k.last.Store(nil)
	}
}

// snapshotFor returns the newest state as of r, or nil after it has seen to it that one is built
// and announced. The writers must not wait for it: others wait for them.
func (t *Topic) snapshotFor(r *ring) *snapshot {
	if last := t.near.last.Load(); last != nil && last.id >= r.newest {
		return last
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.near.building && t.near.builtFor != r {
		t.near.building, t.near.builtFor = true, r
		t.hub.running.Go(func() { t.build(&t.near) })
	}
	return nil
}

// pastFor returns a snapshot that reaches far back, and from which r goes on; or nil, as
// snapshotFor does. One without a frame says that there is no past to be had for now.
func (t *Topic) pastFor(r *ring) *snapshot {
	if t.deep.make == nil {
		return &snapshot{}
	}
	usable := func() *snapshot {
		if last := t.deep.last.Load(); last != nil && last.id >= r.floor {
			return last
		}
		return nil
	}
	if last := usable(); last != nil {
		return last
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if last := usable(); last != nil { // it was made just now
		return last
	}
	if !t.deep.building {
		t.deep.building = true
		t.hub.running.Go(func() { t.build(&t.deep) })
	}
	return nil
}

func (t *Topic) build(k *keyframes) {
	made := k.make(t.hub.lifetime)
	t.mu.Lock()
	defer t.mu.Unlock()
	k.building = false
	r := t.ring.Load()
	switch {
	case made.Data != nil && made.ID >= r.floor:
		k.last.Store(&snapshot{id: made.ID, since: made.Since, frame: newFrame(made.ID, "snapshot", made.Data)})
	case k == &t.deep: // not again for every tick that comes
		k.last.Store(&snapshot{id: r.newest})
	}
	t.announce()
}
