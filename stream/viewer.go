package stream

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"
)

// A viewer that could not take its frames at once gets a snapshot in place of this many
// ticks or more. Fewer are smaller than a snapshot.
const patience = 3

// The reason for the gaps of a viewer that was too slow.
const conflated = "conflated"

// A returning viewer's ticks are sent in pieces of about this size.
const pieceBytes = 64 << 10

// viewer is one open stream. Its writer owns it: the fields below the line are touched by
// that writer's goroutine only.
type viewer struct {
	id      uint64
	topic   *Topic
	writer  *writer
	conn    conn
	session string
	user    string
	gzip    bool
	signals atomic.Uint32
	bye     atomic.Pointer[string] // why the stream is to end, once somebody said so

	inSession int // index among its session's viewers; guarded by hub.mu

	// ---
	inWriter, inGroup int // indexes among the writer's and the group's viewers

	rest   []byte // what is left of the bytes begun
	seen   uint64 // sequence number of the next frame to look at
	heard  uint64 // notices before this have been sent, though seen may be less
	owed   uint64 // frames before this are what it came back for, no sign of slowness
	lastID int64  // the state the viewer has, or will have with rest; zero: none
	late   bool   // did not take something at once, and has not caught up since

	needsKey  bool   // waits for a snapshot, and takes no tick before it
	gapReason string // why it would miss something

	began   time.Time     // when rest was begun, or the viewer took some of it last
	sent    time.Time     // when something was last begun
	silence time.Duration // how long to leave it without a byte
	endsAt  time.Time
	endsAs  string // the reason, when endsAt has come
	killAt  time.Time
	placed  bool // among the writer's viewers
	leaving bool // rest holds the goodbye
	gone    bool
}

// join gives the viewer its place in the topic.
func (v *viewer) join() {
	r := v.topic.ring.Load()
	v.seen, v.owed = r.end(), r.end()
	switch {
	case v.lastID == 0 || r.floor == 0:
		v.needsKey = true
	case v.lastID >= r.newest:
	case r.covers(v.lastID):
		v.seen = r.after(v.lastID)
	default:
		v.needsKey = true
	}
	v.gapReason = "restart"
	if r.evicted {
		v.gapReason = "ring"
	}
}

// end has the writer say goodbye. The first reason stands.
func (v *viewer) end(reason string) {
	if v.bye.CompareAndSwap(nil, &reason) {
		v.writer.signal(v, ending)
	}
}

// next returns what to send now, or nil if there is nothing.
func (v *viewer) next(m *tally) []byte {
	if reason := v.bye.Load(); reason != nil {
		v.leaving = true
		return v.goodbye(*reason)
	}
	r := v.topic.ring.Load()
	v.conflate(r, m)
	if piece := v.ticks(r, m); piece != nil || !v.needsKey {
		return piece
	}
	return v.keyframe(r, m)
}

// conflate gives up the ticks of a viewer that is too far behind.
func (v *viewer) conflate(r *ring, m *tally) {
	behind := r.end() - max(v.seen, v.owed)
	if v.seen >= r.first && (!v.late || behind < patience) {
		return
	}
	v.seen = max(v.seen, r.first)
	if v.needsKey {
		return
	}
	v.needsKey, v.gapReason = true, conflated
	m.conflated++
}

// ticks returns the frames the viewer has not seen: shared bytes if it is one, as it mostly is.
func (v *viewer) ticks(r *ring, m *tally) []byte {
	var piece []byte
	shared := false
	for ; v.seen < r.end() && len(piece) < pieceBytes; v.seen++ {
		f := r.at(v.seen)
		if f.id != 0 && (v.needsKey || f.id <= v.lastID) || f.id == 0 && v.seen < v.heard {
			continue
		}
		b := f.bytes(v.gzip)
		switch {
		case piece == nil:
			piece, shared = b, true
		case shared:
			piece, shared = append(append(make([]byte, 0, 4*len(piece)), piece...), b...), false
		default:
			piece = append(piece, b...)
		}
		v.lastID = max(v.lastID, f.id)
		m.events++
	}
	return piece
}

// keyframe returns a snapshot, or first the gap before it, or nil while one is built.
func (v *viewer) keyframe(r *ring, m *tally) []byte {
	key := v.topic.snapshotFor(r)
	if key != nil && v.lastID != 0 && v.lastID < key.since && v.gapReason != conflated {
		key = v.past(r, key)
	}
	switch {
	case key == nil:
		return nil
	case key.id <= v.lastID:
		v.needsKey = false
		return nil
	case v.lastID != 0 && v.lastID < key.since:
		gap := fmt.Appendf(nil, `{"from":%d,"to":%d,"reason":%q}`, v.lastID, key.since, v.gapReason)
		v.lastID = key.since
		m.gaps[v.gapReason]++
		return wrap(v.gzip, appendEvent(nil, 0, "gap", gap))
	}
	if key.id < r.newest { // the ring goes on from it
		v.heard = max(v.heard, v.seen)
		v.seen, v.owed = r.after(key.id), r.end()
	}
	v.needsKey, v.lastID = false, key.id
	m.events++
	return key.frame.bytes(v.gzip)
}

// past returns what a viewer who was away for longer than near reaches back is to get: a snapshot
// that reaches further back where there is one, else near; nil while it is looked for.
func (v *viewer) past(r *ring, near *snapshot) *snapshot {
	deep := v.topic.pastFor(r)
	if deep == nil || deep.frame != nil && deep.since < near.since {
		return deep
	}
	return near
}

// heartbeat is a block without an event. It moves the viewer's last id past publications
// that had nothing to tell.
func (v *viewer) heartbeat() []byte {
	r := v.topic.ring.Load()
	if v.seen == r.end() && !v.needsKey {
		v.lastID = max(v.lastID, r.newest)
	}
	block := []byte(":\n\n")
	if v.lastID != 0 {
		block = append(strconv.AppendInt([]byte("id: "), v.lastID, 10), "\n\n"...)
	}
	return wrap(v.gzip, block)
}

func (v *viewer) goodbye(reason string) []byte {
	var block []byte
	if reason == byeShutdown {
		block = appendRetry(block, v.topic.hub.retryAfterShutdown())
	}
	data, err := json.Marshal(map[string]string{"reason": reason})
	if err != nil {
		data = []byte("{}") // a map of strings always encodes
	}
	return wrap(v.gzip, appendEvent(block, 0, "bye", data))
}

func appendRetry(dst []byte, d time.Duration) []byte {
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, d.Milliseconds(), 10)
	return append(dst, '\n')
}

// jitter is a random time from low up to high.
func jitter(low, high time.Duration) time.Duration {
	return low + time.Duration(rand.Int64N(int64(max(high-low, 0))+1))
}
