package main

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"telltale/ingest/wire"
)

// agent is one of the fleet: what is not acknowledged, and a connection. Like the real one it
// sends what is fresh first, and what an outage has left beside it, in epochs of their own.
type agent struct {
	fleet *fleet
	index int
	id    string

	mu      sync.Mutex // guards what follows, and writing to conn
	walk    *walk
	queues  []*queue // oldest first; the last takes what is fresh
	backlog allowance
	greeted bool // was ever welcomed; before that it does not tick

	conn     *websocket.Conn // nil: not connected
	encoder  *wire.Encoder
	window   int  // batches in flight that the hub allows
	liveOnly bool // the hub shows what it is sent and does not store it
}

// scratch is what encoding a batch takes; it serves one agent after the other.
type scratch struct {
	samples []wire.Sample
	message []byte
}

func newAgent(f *fleet, index int, id string, w *walk) *agent {
	return &agent{fleet: f, index: index, id: id, walk: w, queues: []*queue{newQueue()}}
}

// randomID returns 16 hexadecimal digits.
func randomID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// tick makes the batch of a tick and sends it, if there is a connection with room in flight.
func (a *agent) tick(due time.Time, with *scratch) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.fleet
	switch {
	case !a.greeted:
		return
	case f.over.Load(): // what is held goes out by and by
		a.sendLocked(with)
		return
	case a.heldLocked() >= f.heldMost:
		f.counts.skipped.Add(int64(len(f.series)))
		return
	}
	fresh := a.freshLocked()
	fresh.held = append(fresh.held, heldBatch{tick: due, values: a.walk.step()})
	f.counts.made.Add(1)
	a.sendLocked(with)
}

func (a *agent) freshLocked() *queue { return a.queues[len(a.queues)-1] }

func (a *agent) heldLocked() (batches int) {
	for _, q := range a.queues {
		batches += len(q.held)
	}
	return batches
}

// sendLocked sends what is held and not sent yet, as far as the window allows. While the hub
// only shows, that is what is fresh, whatever is in flight.
func (a *agent) sendLocked(with *scratch) {
	inFlight := 0
	for _, q := range a.queues {
		inFlight += q.inFlight()
	}
	fresh := a.freshLocked()
	for ; fresh.sent < fresh.made() && (a.liveOnly || inFlight < a.window); inFlight++ {
		if !a.sendNextLocked(fresh, with) {
			return
		}
	}
	if a.liveOnly {
		return
	}
	a.backlog.refill(time.Now(), a.fleet.interval)
	room := max(a.window-a.window/4, 1) // a quarter is left to what is fresh
	for _, q := range a.queues[:len(a.queues)-1] {
		for ; q.sent < q.made() && inFlight < room && a.backlog.batches >= 1; inFlight++ {
			if !a.sendNextLocked(q, with) {
				return
			}
			a.backlog.batches--
		}
	}
}

// sendNextLocked returns false where there is no connection any more.
func (a *agent) sendNextLocked(q *queue, with *scratch) bool {
	if a.conn == nil {
		return false
	}
	if err := a.writeLocked(q, q.sent+1, with); err != nil {
		_ = a.conn.Close() // the reader sees why
		a.conn = nil
		return false
	}
	q.sent++
	return true
}

func (a *agent) writeLocked(q *queue, seq uint64, with *scratch) error {
	f := a.fleet
	b := &q.held[seq-q.first]
	for i, value := range b.values {
		with.samples[i] = wire.Sample{Series: f.series[i], TS: b.tick.UnixMilli(), Value: float64(value) / 100}
	}
	with.message, _ = a.encoder.Append(with.message[:0], &wire.Batch{Epoch: q.epoch, Seq: seq, Samples: with.samples})
	if err := send(a.conn, with.message); err != nil {
		return err
	}
	if seq <= q.reached {
		f.counts.resent.Add(int64(len(b.values)))
		return nil
	}
	q.reached = seq
	f.counts.sent.Add(int64(len(b.values)))
	if f.measured(b.tick) {
		f.late.add(time.Since(b.tick))
	}
	return nil
}

// writeTimeout is how long a hub may read nothing.
const writeTimeout = 20 * time.Second

func send(conn *websocket.Conn, message []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return conn.WriteMessage(websocket.BinaryMessage, message)
}

// acknowledge forgets what is stored, and sends what the window held back.
func (a *agent) acknowledge(ack *wire.Ack) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.queues, func(q *queue) bool { return q.epoch == ack.Epoch })
	if i < 0 {
		return
	}
	a.settleLocked(a.queues[i], ack, now)
	a.forgetStoredLocked()
	if a.waitingLocked() {
		a.sendLocked(&scratch{samples: make([]wire.Sample, len(a.fleet.series))})
	}
}

// forgetStoredLocked drops older epochs that are stored to their end.
func (a *agent) forgetStoredLocked() {
	fresh := a.freshLocked()
	a.queues = slices.DeleteFunc(a.queues, func(q *queue) bool { return q != fresh && len(q.held) == 0 })
}

// waitingLocked says whether anything is not sent.
func (a *agent) waitingLocked() bool {
	return slices.ContainsFunc(a.queues, func(q *queue) bool { return q.sent < q.made() })
}

func (a *agent) settleLocked(q *queue, ack *wire.Ack, now time.Time) {
	f := a.fleet
	landed := 0
	for landed < len(q.held) && q.first+uint64(landed) <= ack.Seq {
		if tick := q.held[landed].tick; f.measured(tick) {
			f.lag.add(now.Sub(tick))
		}
		landed++
	}
	q.held = append(q.held[:0], q.held[landed:]...)
	q.first += uint64(landed)
	q.sent = max(q.sent, q.acknowledged())
	f.counts.settled.Add(int64(landed))
	f.counts.acknowledged.Add(int64(landed*len(f.series)) - f.trouble.refuse(ack))
}

func (a *agent) epochs() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	epochs := make([]string, len(a.queues))
	for i, q := range a.queues {
		epochs[i] = q.epoch
	}
	return epochs
}

// resume takes up a connection where its welcome says.
func (a *agent) resume(conn *websocket.Conn, w *wire.Welcome) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conn, a.encoder, a.window, a.greeted = conn, wire.NewEncoder(w.Limits), w.Limits.MaxInFlight, true
	a.liveOnly = w.LiveOnly
	for _, q := range a.queues {
		if stored, answered := w.Epochs[q.epoch]; answered {
			a.beginLocked(q, stored, now)
		} else {
			q.rewind()
		}
	}
	a.forgetStoredLocked()
	if len(a.freshLocked().held) > burst {
		a.rotateLocked()
	}
	a.sendLocked(&scratch{samples: make([]wire.Sample, len(a.fleet.series))})
}

// beginLocked goes on with an epoch after what is stored of it. A hub that has lost what it
// acknowledged takes no seqs that skip, so what is held then goes on in another epoch.
func (a *agent) beginLocked(q *queue, stored uint64, now time.Time) {
	if lost := q.acknowledged() - min(q.acknowledged(), stored); lost > 0 {
		a.fleet.counts.lost.Add(int64(lost) * int64(len(a.fleet.series)))
		q.epoch, q.first, q.sent, q.reached = randomID(), 1, 0, 0
		return
	}
	a.settleLocked(q, &wire.Ack{Epoch: q.epoch, Seq: stored}, now)
	q.sent = stored
}

// rotateLocked lets what comes next go on in a new epoch, so that it need not wait for what is held.
func (a *agent) rotateLocked() {
	a.backlog = allowance{at: time.Now()}
	if len(a.freshLocked().held) > 0 && len(a.queues) < maxQueues {
		a.queues = append(a.queues, newQueue())
	}
}

// leave ends the use of a connection.
func (a *agent) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conn = nil
}

// keepPace takes the hub's word on how much may be in flight. When it stores again after it
// only showed, what is not acknowledged is sent once more, by and by.
func (a *agent) keepPace(slow *wire.Slow) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.window = max(slow.MaxInFlight, 1)
	if a.liveOnly && !slow.LiveOnly {
		for _, q := range a.queues {
			q.rewind()
		}
		a.rotateLocked()
	}
	a.liveOnly = slow.LiveOnly
	a.sendLocked(&scratch{samples: make([]wire.Sample, len(a.fleet.series))})
}
