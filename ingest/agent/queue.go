package agent

import (
	"crypto/rand"
	"encoding/hex"
	"sync"

	"telltale/ingest/wire"
)

// queue holds batches until they are acknowledged, in one epoch: contiguous seqs from 1.
// It is bounded by its samples; at the bound the oldest batch is dropped, and declared as
// a gap in its place.
type queue struct {
	limit   int           // samples
	changed chan struct{} // capacity 1: there is something to send, or room again

	mu      sync.Mutex // guards what follows
	epoch   string
	first   uint64 // seq of batches[0]
	batches []queued
	samples int
	lost    loss // right before first
	stats   Stats
}

// queued is a batch, or, without samples, what is left of one that could not be sent.
type queued struct {
	samples []wire.Sample
	lost    loss
}

// loss is what a gap declares: batches that were dropped.
type loss struct {
	batches  uint64
	samples  uint64
	from, to int64 // milliseconds since the Unix epoch
	reason   string
}

// The reasons of gaps.
const (
	queueFull   = "queue_full"
	frameTooBig = "frame_too_big"
)

// Stats is what became of an agent's samples since its start.
type Stats struct {
	Acknowledged uint64 // stored by the hub, or refused by rule
	Refused      uint64 // by rule, of the acknowledged
	Dropped      uint64 // never delivered, and declared as gaps
	Waiting      int    // held until acknowledged
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, changed: make(chan struct{}, 1), epoch: randomID(), first: 1}
}

// randomID returns 16 hexadecimal digits.
func randomID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// add appends a batch, dropping the oldest ones where there is no room.
func (q *queue) add(samples []wire.Sample) {
	if len(samples) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.batches = append(q.batches, queued{samples: samples})
	q.samples += len(samples)
	for q.samples > q.limit && len(q.batches) > 1 {
		oldest := q.popLocked()
		q.lost.add(&oldest, queueFull)
		q.stats.Dropped += uint64(len(oldest.samples))
	}
	q.signal()
}

func (q *queue) popLocked() queued {
	oldest := q.batches[0]
	q.batches[0] = queued{} // the array may live on
	q.batches = q.batches[1:]
	q.samples -= len(oldest.samples)
	q.first++
	return oldest
}

// add counts a dropped batch, or the loss that stands in its place.
func (l *loss) add(b *queued, reason string) {
	more := b.lost
	if b.samples != nil {
		more = loss{batches: 1, samples: uint64(len(b.samples)), from: b.samples[0].TS, to: b.samples[0].TS, reason: reason}
		for i := range b.samples {
			more.from = min(more.from, b.samples[i].TS)
			more.to = max(more.to, b.samples[i].TS)
		}
	}
	if l.batches == 0 {
		*l = more
		return
	}
	l.batches += more.batches
	l.samples += more.samples
	l.from, l.to = min(l.from, more.from), max(l.to, more.to)
}

// next returns the frame that follows the seq sent last, and the seq up to which it goes;
// nil: there is none yet.
func (q *queue) next(sent uint64) (f wire.Frame, to uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	seq := sent + 1
	if seq < q.first {
		return q.gapLocked(seq, q.first-1, &q.lost), q.first - 1
	}
	i := seq - q.first
	if i >= uint64(len(q.batches)) {
		return nil, sent
	}
	b := &q.batches[i]
	if b.samples == nil {
		return q.gapLocked(seq, seq, &b.lost), seq
	}
	return &wire.Batch{Epoch: q.epoch, Seq: seq, Samples: b.samples}, seq
}

func (q *queue) gapLocked(seq, to uint64, l *loss) *wire.Gap {
	return &wire.Gap{Epoch: q.epoch, Seq: seq, ToSeq: to, From: l.from, To: l.to, Count: l.samples, Reason: l.reason}
}

// lose replaces a batch, which can never be sent, by a gap.
func (q *queue) lose(seq uint64, reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if seq < q.first || seq-q.first >= uint64(len(q.batches)) {
		return
	}
	b := &q.batches[seq-q.first]
	q.samples -= len(b.samples)
	q.stats.Dropped += uint64(len(b.samples))
	var l loss
	l.add(b, reason)
	*b = queued{lost: l}
}

// ack forgets what is stored.
func (q *queue) ack(a *wire.Ack) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if a.Epoch != q.epoch {
		return
	}
	for len(q.batches) > 0 && q.first <= a.Seq {
		q.stats.Acknowledged += uint64(len(q.popLocked().samples))
	}
	if a.Seq+1 >= q.first {
		q.lost = loss{}
	}
	q.stats.Refused += uint64(len(a.Refused)) + a.Unnamed
	q.signal()
}

// resume takes what welcome says is stored and returns the seq after which to send. Where
// the hub knows less than it once acknowledged (it is another one, or lost its disk), what
// is held goes into an epoch of its own, since no hub takes seqs that skip.
func (q *queue) resume(stored uint64) (sent uint64) {
	q.ack(&wire.Ack{Epoch: q.currentEpoch(), Seq: stored})
	q.mu.Lock()
	defer q.mu.Unlock()
	if stored+1 < q.first-q.lost.batches {
		q.renumberLocked()
		return 0
	}
	return stored
}

// renumber moves what is held into a new epoch.
func (q *queue) renumber() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.renumberLocked()
}

func (q *queue) renumberLocked() {
	q.epoch, q.first = randomID(), q.lost.batches+1
}

func (q *queue) currentEpoch() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.epoch
}

// empty says that nothing waits for an acknowledgement.
func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.batches) == 0 && q.lost.batches == 0
}

func (q *queue) statistics() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	stats := q.stats
	stats.Waiting = q.samples
	return stats
}

func (q *queue) signal() {
	select {
	case q.changed <- struct{}{}:
	default:
	}
}
