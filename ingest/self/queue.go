package self

import "telltale/ingest"

// maxHeldRows bounds what waits for storage, some 14 MB: hours of a hub with a few agents. Beyond
// it the oldest batches are dropped, and declared as a gap in their place.
const maxHeldRows = 500_000

// queue is the batches that storage has not taken, in the order of their epoch. What it has taken
// it stores, or the hub ends: nothing is sent twice.
type queue struct {
	epoch    string
	seq      uint64 // of the newest batch
	admitted bool   // storage knows the agent
	warned   bool

	held    []*ingest.Batch // oldest first
	rows    int             // in held
	lost    *ingest.Gap     // what was dropped since something was taken; nil: nothing
	dropped uint64          // samples, since the start
}

// add gives a batch its place.
func (q *queue) add(b *ingest.Batch) {
	q.seq++
	b.Seq = q.seq
	q.held = append(q.held, b)
	q.rows += len(b.Series)
	for q.rows > maxHeldRows && len(q.held) > 1 {
		q.drop()
	}
}

func (q *queue) drop() {
	b := q.pop()
	if q.lost == nil {
		q.lost = &ingest.Gap{Agent: ID, Epoch: q.epoch, Seq: b.Seq, From: b.TS[0], Reason: "spool_full"}
	}
	q.lost.ToSeq, q.lost.To = b.Seq, b.TS[len(b.TS)-1]
	q.lost.Count += uint64(len(b.Series))
	q.dropped += uint64(len(b.Series))
}

func (q *queue) pop() *ingest.Batch {
	b := q.held[0]
	q.held[0] = nil
	q.held = q.held[1:]
	q.rows -= len(b.Series)
	return b
}

// deliver hands over what is held until it is refused: then there is no room for now.
func (q *queue) deliver(sink Sink) {
	if q.lost != nil {
		if sink.TakeGap(q.lost) != nil {
			return
		}
		q.lost = nil
	}
	for len(q.held) > 0 && sink.Take(q.held[0]) == nil {
		q.pop()
	}
}
