package stream

import "slices"

// ring is the recent past of a topic. It never changes: a publication makes the next one,
// so writers read it without a lock. Frames have sequence numbers, contiguous within the
// topic, by which a viewer's place is known.
type ring struct {
	first   uint64   // the sequence number of frames[0]
	frames  []*frame // oldest first
	newest  int64    // the last id published, whether or not it had anything to tell
	floor   int64    // all that was published after this id is here; zero: nothing was published
	bytes   int      // sum of the frames' uncompressed lengths
	evicted bool     // a frame has fallen out at the old end
}

// end is the sequence number of the frame to come.
func (r *ring) end() uint64 { return r.first + uint64(len(r.frames)) }

func (r *ring) at(seq uint64) *frame { return r.frames[seq-r.first] }

// covers says whether a viewer that has id misses nothing by going on from the ring.
func (r *ring) covers(id int64) bool { return r.floor != 0 && id >= r.floor }

// after is the sequence number of the first frame with a later id. Frames without an id
// that stand before it are passed over: who has id may have had them.
func (r *ring) after(id int64) uint64 {
	i := slices.IndexFunc(r.frames, func(f *frame) bool { return f.id > id })
	if i < 0 {
		return r.end()
	}
	return r.first + uint64(i)
}

// advanced is the ring after id passed without news.
func (r *ring) advanced(id int64) *ring {
	next := *r
	next.newest = id
	if next.floor == 0 {
		next.floor = id
	}
	return &next
}

// with is the ring with one more frame, held to the limits; the newest frame always stays.
func (r *ring) with(f *frame, maxFrames, maxBytes int) *ring {
	next := *r
	if f.id != 0 {
		next = *r.advanced(f.id)
	}
	next.bytes += len(f.plain)
	frames := append(slices.Clone(r.frames), f)
	for len(frames) > 1 && (len(frames) > maxFrames || next.bytes > maxBytes) {
		old := frames[0]
		next.bytes -= len(old.plain)
		next.floor = max(next.floor, old.id)
		next.evicted = true
		next.first++
		frames = frames[1:]
	}
	next.frames = frames
	return &next
}
