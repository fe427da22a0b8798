package spool

import (
	"slices"
	"time"
)

// The reasons of gaps.
const (
	SpoolFull       = "spool_full"       // the oldest had to go at the bound of the spool, or of memory where there is no disk
	Corrupt         = "corrupt"          // what was written cannot be read
	UncleanStop     = "unclean_stop"     // the agent or its host was killed; what was not written yet is lost
	TooManyEpochs   = "too_many_epochs"  // more starts than a hub can be told of, without one reaching it
	FrameTooBig     = "frame_too_big"    // one tick that is larger than a hub takes
	StoredElsewhere = "stored_elsewhere" // acknowledged before, by a hub whose storage this one does not have
	DiskFailed      = "disk_failed"      // held in memory at the end, with no disk to write it to
)

// loss is a range of batches that cannot be delivered.
type loss struct {
	Seq     uint64 `json:"seq"`
	ToSeq   uint64 `json:"to_seq"`
	Samples uint64 `json:"samples"` // where they cannot be counted any more, an estimate
	From    int64  `json:"from"`    // milliseconds since the Unix epoch
	To      int64  `json:"to"`
	Reason  string `json:"reason"`
}

// add widens the loss by another's samples and time.
func (l *loss) add(samples uint64, from, to int64) {
	if l.Samples == 0 && l.To == 0 {
		l.From, l.To = from, to
	}
	l.Samples += samples
	l.From, l.To = min(l.From, from), max(l.To, to)
}

// epoch is one sequence of batches. Each seq from acked+1 to next-1 is in a segment or in a
// loss; a hole that reading finds becomes a loss then.
type epoch struct {
	id       string
	opened   int64  // milliseconds since the Unix epoch
	acked    uint64 // all up to here was acknowledged, or declared and that acknowledged
	next     uint64 // the seq that comes next
	newest   int64  // latest time of any sample; 0: it has none
	segments []*segment
	losses   []loss // in order
}

func newEpoch(id string) *epoch {
	return &epoch{id: id, opened: time.Now().UnixMilli(), next: 1}
}

func (e *epoch) waiting() uint64 { return e.next - 1 - e.acked }

// lossAt returns the loss that covers seq.
func (e *epoch) lossAt(seq uint64) *loss {
	for i := range e.losses {
		if l := &e.losses[i]; l.Seq <= seq && seq <= l.ToSeq {
			return l
		}
	}
	return nil
}

// lose puts a loss in its place; one beside it for the same reason becomes one with it.
func (e *epoch) lose(l loss) {
	e.losses = slices.DeleteFunc(e.losses, func(inner loss) bool {
		covered := inner.ToSeq >= l.Seq && inner.ToSeq <= l.ToSeq
		if covered {
			l.add(0, inner.From, inner.To) // its samples are among those of l
		}
		return covered
	})
	at := 0
	for at < len(e.losses) && e.losses[at].Seq < l.Seq {
		at++
	}
	if at > 0 {
		before := &e.losses[at-1]
		if before.ToSeq+1 == l.Seq && before.Reason == l.Reason {
			before.ToSeq = l.ToSeq
			before.add(l.Samples, l.From, l.To)
			return
		}
	}
	e.losses = slices.Insert(e.losses, at, l)
}

// segmentAt returns the segment that should hold seq, or the first behind it, or nil.
func (e *epoch) segmentAt(seq uint64) *segment {
	for _, g := range e.segments {
		if seq < g.next {
			return g
		}
	}
	return nil
}

// acknowledge forgets what is stored, and returns the segments that are not needed any more.
func (e *epoch) acknowledge(seq uint64) (done []*segment) {
	e.acked = max(e.acked, min(seq, e.next-1))
	e.losses = slices.DeleteFunc(e.losses, func(l loss) bool { return l.ToSeq <= e.acked })
	for len(e.segments) > 0 && e.segments[0].sealed && e.segments[0].next-1 <= e.acked {
		done = append(done, e.segments[0])
		e.segments = e.segments[1:]
	}
	return done
}

// tally counts what of the segment was never acknowledged.
func (e *epoch) tally(g *segment, reason string) loss {
	l := loss{Seq: max(g.first, e.acked+1), ToSeq: g.next - 1, Reason: reason}
	before := l.Seq - 1
	scan := newScanner(g, headerBytes, g.bytes)
	for r, ok := scan.next(); ok; r, ok = scan.next() {
		if r.seq <= before || r.seq >= g.next {
			continue
		}
		l.add(r.samples*(r.seq-before), r.from, r.to) // those between cannot be read: as if they were alike
		if before == l.Seq-1 && r.seq != l.Seq {
			l.From = min(l.From, e.opened)
		}
		before = r.seq
	}
	if before != l.ToSeq { // the end cannot be read, or nothing can
		l.add(0, e.opened, max(e.newest, e.opened))
	}
	return l
}
