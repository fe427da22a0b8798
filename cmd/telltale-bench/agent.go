package main

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"telltale/ingest/wire"
)

// agent is one of the fleet: an epoch, what of it is not acknowledged, and a connection.
type agent struct {
	fleet *fleet
	index int
	id    string

	mu      sync.Mutex // guards what follows, and writing to conn
	walk    *walk
	epoch   string
	first   uint64      // seq of held[0]
	held    []heldBatch // not acknowledged
	sent    uint64      // last seq sent on this connection
	reached uint64      // last seq ever sent
	greeted bool        // was ever welcomed; before that it does not tick

	conn     *websocket.Conn // nil: not connected
	encoder  *wire.Encoder
	window   int  // batches in flight that the hub allows
	liveOnly bool // the hub shows what it is sent and does not store it
}

type heldBatch struct {
	tick   time.Time
	values []int32 // hundredths
}

// scratch is what encoding a batch takes; it serves one agent after the other.
type scratch struct {
	samples []wire.Sample
	message []byte
}

func newAgent(f *fleet, index int, id string, w *walk) *agent {
	return &agent{fleet: f, index: index, id: id, walk: w, epoch: randomID(), first: 1}
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
	case len(a.held) >= f.heldMost:
		f.counts.skipped.Add(int64(len(f.series)))
		return
	}
	a.held = append(a.held, heldBatch{tick: due, values: a.walk.step()})
	f.counts.made.Add(1)
	a.sendLocked(with)
}

// madeLocked is the seq of the last batch made.
func (a *agent) madeLocked() uint64 { return a.first + uint64(len(a.held)) - 1 }

// sendLocked sends what is held and not sent yet, as far as the window allows.
func (a *agent) sendLocked(with *scratch) {
	for a.conn != nil && a.sent < a.madeLocked() && a.sent-(a.first-1) < uint64(a.window) {
		if err := a.writeLocked(a.sent+1, with); err != nil {
			_ = a.conn.Close() // the reader sees why
			a.conn = nil
			return
		}
		a.sent++
	}
}

func (a *agent) writeLocked(seq uint64, with *scratch) error {
	f := a.fleet
	b := &a.held[seq-a.first]
	for i, value := range b.values {
		with.samples[i] = wire.Sample{Series: f.series[i], TS: b.tick.UnixMilli(), Value: float64(value) / 100}
	}
	with.message, _ = a.encoder.Append(with.message[:0], &wire.Batch{Epoch: a.epoch, Seq: seq, Samples: with.samples})
	if err := send(a.conn, with.message); err != nil {
		return err
	}
	if seq <= a.reached {
		f.counts.resent.Add(int64(len(b.values)))
		return nil
	}
	a.reached = seq
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
	if ack.Epoch != a.epoch {
		return
	}
	a.settleLocked(ack, now)
	if a.sent < a.madeLocked() {
		a.sendLocked(&scratch{samples: make([]wire.Sample, len(a.fleet.series))})
	}
}

func (a *agent) settleLocked(ack *wire.Ack, now time.Time) {
	f := a.fleet
	landed := 0
	for landed < len(a.held) && a.first+uint64(landed) <= ack.Seq {
		if tick := a.held[landed].tick; f.measured(tick) {
			f.lag.add(now.Sub(tick))
		}
		landed++
	}
	a.held = append(a.held[:0], a.held[landed:]...)
	a.first += uint64(landed)
	f.counts.settled.Add(int64(landed))
	f.counts.acknowledged.Add(int64(landed*len(f.series)) - f.trouble.refuse(ack))
}

// resume takes up a connection where its welcome says.
func (a *agent) resume(conn *websocket.Conn, w *wire.Welcome) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conn, a.encoder, a.window, a.greeted = conn, wire.NewEncoder(w.Limits), w.Limits.MaxInFlight, true
	a.liveOnly = false
	a.sent = w.Epochs[a.epoch]
	if acknowledged := a.first - 1; a.sent < acknowledged {
		// The hub has lost what it acknowledged. No hub takes seqs that skip, so what is
		// held goes on in another epoch.
		a.fleet.counts.lost.Add(int64(acknowledged-a.sent) * int64(len(a.fleet.series)))
		a.epoch, a.first, a.sent, a.reached = randomID(), 1, 0, 0
	}
	a.settleLocked(&wire.Ack{Epoch: a.epoch, Seq: a.sent}, now)
	a.sendLocked(&scratch{samples: make([]wire.Sample, len(a.fleet.series))})
}

// leave ends the use of a connection.
func (a *agent) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conn = nil
}

// keepPace takes the hub's word on how much may be in flight. While it shows without storing,
// the window fills; when it stores again, what is not acknowledged is sent once more.
func (a *agent) keepPace(slow *wire.Slow) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.window = max(slow.MaxInFlight, 1)
	if a.liveOnly && !slow.LiveOnly {
		a.sent = a.first - 1
	}
	a.liveOnly = slow.LiveOnly
	a.sendLocked(&scratch{samples: make([]wire.Sample, len(a.fleet.series))})
}
