package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"telltale/ingest/wire"
)

// modelAgent is an agent whose every step is drawn by lot, and who keeps to the protocol but
// where it says otherwise. It remembers what it made, so that the table can be compared.
type modelAgent struct {
	in     *intake
	id     string
	text   bool
	random *rand.Rand
	series wire.Series
	epochs []*modelEpoch // held, oldest first; the last is the current one
	all    []*modelEpoch

	conn     *modelConn // nil: none
	window   int
	liveOnly bool
	refusals map[wire.CloseCode]int // of what it did wrong on purpose
	wrong    error                  // the first thing the hub did wrong
}

// modelEpoch is one sequence.
type modelEpoch struct {
	id                string
	made, acked, sent uint64
	gaps              map[uint64]uint64 // declared lost: the first seq and the last
}

// modelConn is a connection whose frames are read as they come.
type modelConn struct {
	*websocket.Conn
	encoder *wire.Encoder
	text    bool
	frames  chan wire.Frame // closed at the end, of which
	end     error           // is then the reason
}

func newModelAgent(in *intake, id string, seed uint64) *modelAgent {
	a := &modelAgent{in: in, id: id, random: rand.New(rand.NewPCG(seed, 3)), refusals: map[wire.CloseCode]int{}}
	a.text = a.random.IntN(2) == 0
	a.series = wire.Series{Metric: "model.value"}
	a.open()
	return a
}

func (a *modelAgent) current() *modelEpoch { return a.epochs[len(a.epochs)-1] }

// open begins an epoch, and forgets those that are stored to their end.
func (a *modelAgent) open() {
	e := &modelEpoch{id: fmt.Sprint(a.id, "-", len(a.all)), gaps: map[uint64]uint64{}}
	held := a.epochs[:0]
	for _, old := range a.epochs {
		if old.acked < old.made {
			held = append(held, old)
		}
	}
	a.epochs, a.all = append(held, e), append(a.all, e)
}

// live takes the steps, drawn by lot.
func (a *modelAgent) live(steps int) {
	for range steps {
		switch a.random.IntN(20) {
		case 0:
			a.disconnect()
		case 1:
			a.connect() // takes over from the one there is
		case 2:
			a.cutInTheMiddle()
		case 3:
			if len(a.epochs) < 20 {
				a.open() // as a new start does
			}
		case 4:
			a.misbehave()
		case 5:
			a.lose()
		default:
			a.tick()
		}
		a.goOn()
		time.Sleep(time.Duration(a.random.IntN(60)) * time.Millisecond)
	}
}

// finish delivers all that is held.
func (a *modelAgent) finish() error {
	for end := time.Now().Add(2 * time.Minute); a.wrong == nil && !a.delivered(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%s: not delivered within two minutes: %s", a.id, a.state())
		}
		a.goOn()
	}
	a.disconnect()
	return a.wrong
}

// state is for the log of a test that failed.
func (a *modelAgent) state() string {
	text := fmt.Sprintf("connected %v, window %d, live-only %v", a.conn != nil, a.window, a.liveOnly)
	for _, e := range a.epochs {
		text += fmt.Sprintf("; %s: made %d, sent %d, acknowledged %d, gaps %v", e.id, e.made, e.sent, e.acked, e.gaps)
	}
	for _, st := range a.in.current().hub.door.Agents() {
		if st.ID == a.id {
			text += fmt.Sprintf("; the hub says %+v", st)
		}
	}
	return text
}

func (a *modelAgent) delivered() bool {
	for _, e := range a.epochs {
		if e.acked < e.made {
			return false
		}
	}
	return true
}

// goOn reconnects where it must, listens, and sends as far as the window allows.
func (a *modelAgent) goOn() {
	if a.conn == nil {
		a.connect()
	}
	a.listen()
	if a.conn == nil || a.liveOnly {
		return
	}
	inFlight := 0
	for _, e := range a.epochs {
		inFlight += int(e.sent - min(e.sent, e.acked))
	}
	for i := len(a.epochs) - 1; i >= 0; i-- { // fresh first
		for e := a.epochs[i]; e.sent < e.made && inFlight < a.window; inFlight++ {
			if !a.send(e, e.sent+1) {
				return
			}
		}
	}
}

// tick makes a batch. While the hub only shows, it is sent at once; what waits is not.
func (a *modelAgent) tick() {
	e := a.current()
	e.made++
	if a.liveOnly && a.conn != nil {
		a.send(e, e.made)
	}
}

// lose makes batches and declares them lost.
func (a *modelAgent) lose() {
	e := a.current()
	first := e.made + 1
	e.made += 1 + a.random.Uint64N(4)
	e.gaps[first] = e.made
}

// send sends a seq of an epoch, or the gap it is in; false: the connection is gone.
func (a *modelAgent) send(e *modelEpoch, seq uint64) bool {
	var f wire.Frame = a.batch(e, seq)
	to := seq
	for first, last := range e.gaps {
		if first <= seq && seq <= last {
			f, to = &wire.Gap{Epoch: e.id, Seq: seq, ToSeq: last, From: 1, To: 2, Count: last - seq + 1, Reason: "model"}, last
		}
	}
	if err := a.conn.write(f); err != nil {
		a.disconnect()
		return false
	}
	e.sent = max(e.sent, to)
	return true
}

// batch tells its seq by the sample's time and value.
func (a *modelAgent) batch(e *modelEpoch, seq uint64) *wire.Batch {
	series := a.series
	series.Labels = []wire.Label{{Name: "epoch", Value: e.id}}
	return &wire.Batch{Epoch: e.id, Seq: seq, Samples: []wire.Sample{{Series: &series, TS: modelStart + int64(seq)*1000, Value: float64(seq)}}}
}

// modelStart is when the first batch of every epoch claims to be from.
var modelStart = time.Now().Add(-time.Hour).UnixMilli()

// connect makes a connection, and leaves the one there is to be taken over.
func (a *modelAgent) connect() {
	conn, welcome := a.dial()
	if conn == nil {
		return
	}
	old := a.conn
	a.conn, a.window, a.liveOnly = conn, welcome.Limits.MaxInFlight, welcome.LiveOnly
	for _, e := range a.epochs {
		stored, answered := welcome.Epochs[e.id]
		if answered && stored < e.acked || stored > e.made {
			a.fault("welcome says %d of epoch %s, of which %d are acknowledged and %d made", stored, e.id, e.acked, e.made)
		}
		e.acked = max(e.acked, stored)
		e.sent = e.acked
	}
	if old != nil {
		old.close()
	}
}

// dial returns a connection that is welcome, or nil where the hub is away or too busy.
func (a *modelAgent) dial() (*modelConn, *wire.Welcome) {
	dialer := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}, HandshakeTimeout: 30 * time.Second}
	ws, response, err := dialer.Dial(a.in.current().url, http.Header{"Authorization": {"Bearer " + testToken}})
	if err != nil {
		if response != nil {
			_ = response.Body.Close()
		}
		return nil, nil
	}
	c := &modelConn{Conn: ws, text: a.text, encoder: wire.NewEncoder(wire.DefaultLimits()), frames: make(chan wire.Frame, 10_000)}
	hello := &wire.Hello{Agent: wire.Agent{ID: a.id}, Time: time.Now().UnixMilli()}
	for _, e := range a.epochs {
		hello.Epochs = append(hello.Epochs, e.id)
	}
	go c.read()
	if c.write(hello) == nil {
		if welcome, ok := (<-c.frames).(*wire.Welcome); ok {
			return c, welcome
		}
	}
	c.close()
	return nil, nil
}

func (a *modelAgent) disconnect() {
	if a.conn != nil {
		a.conn.close()
		a.conn = nil
	}
}

// cutInTheMiddle breaks the connection within a frame.
func (a *modelAgent) cutInTheMiddle() {
	if a.conn == nil {
		return
	}
	e := a.current()
	message, _ := a.conn.encoder.Append(nil, a.batch(e, e.made+1))
	// The head of a masked message that is longer than what comes of it.
	_, _ = a.conn.NetConn().Write(append([]byte{0x82, 0x80 | 126, 0x10, 0x00, 1, 2, 3, 4}, message...))
	a.disconnect()
}

// listen does what the hub has said by now.
func (a *modelAgent) listen() {
	for a.conn != nil {
		select {
		case f, open := <-a.conn.frames:
			if open {
				a.heed(f)
				continue
			}
			var closing *websocket.CloseError
			if errors.As(a.conn.end, &closing) && wire.CloseCode(closing.Code).Final() {
				a.fault("closed with %v", closing)
			}
			a.disconnect()
		default:
			return
		}
	}
}

func (a *modelAgent) heed(f wire.Frame) {
	switch f := f.(type) {
	case *wire.Ack:
		for _, e := range a.epochs {
			if e.id == f.Epoch {
				e.acked = max(e.acked, f.Seq)
			}
		}
		if len(f.Refused) > 0 {
			a.fault("refused: %+v", f)
		}
	case *wire.Slow:
		a.window = f.MaxInFlight
		if a.liveOnly && !f.LiveOnly {
			for _, e := range a.epochs {
				e.sent = e.acked
			}
			if len(a.epochs) < 20 {
				a.open()
			}
		}
		a.liveOnly = f.LiveOnly
	}
}

func (a *modelAgent) fault(format string, args ...any) {
	if a.wrong == nil {
		a.wrong = fmt.Errorf(a.id+": "+format, args...)
	}
}

// misbehave does on a connection of its own what the hub must turn away.
func (a *modelAgent) misbehave() {
	a.disconnect()
	conn, welcome := a.dial()
	if conn == nil {
		return
	}
	defer conn.close()
	e := a.epochs[a.random.IntN(len(a.epochs))]
	stored, answered := welcome.Epochs[e.id]
	if welcome.LiveOnly || !answered {
		return
	}
	want := wire.OutOfOrder
	seq := stored + 2 + a.random.Uint64N(3)
	if stored > 0 && a.random.IntN(2) == 0 {
		want, seq = wire.StaleSeq, 1+a.random.Uint64N(stored)
	}
	// Were it taken, the table would show it: no batch of the model has such a value.
	wrong := a.batch(e, seq)
	wrong.Samples[0].Value = -1
	if conn.write(wrong) != nil {
		return
	}
	for f := range conn.frames {
		if slow, ok := f.(*wire.Slow); ok && slow.LiveOnly {
			return // then it may skip
		}
	}
	var closing *websocket.CloseError
	if !errors.As(conn.end, &closing) {
		return // the hub is gone
	}
	switch code := wire.CloseCode(closing.Code); {
	case code == want:
		a.refusals[code]++
	case code.Final():
		a.fault("closed with %v for seq %d of %s, of which %d are stored: want %v", closing, seq, e.id, stored, want)
	}
}

func (c *modelConn) write(f wire.Frame) error {
	_ = c.SetWriteDeadline(time.Now().Add(30 * time.Second))
	if c.text {
		message, err := wire.Text(f)
		if err != nil {
			return err
		}
		return c.WriteMessage(websocket.TextMessage, message)
	}
	message, _ := c.encoder.Append(nil, f)
	return c.WriteMessage(websocket.BinaryMessage, message)
}

func (c *modelConn) read() {
	defer close(c.frames)
	decoder := wire.NewDecoder(wire.DefaultLimits())
	for {
		kind, message, err := c.ReadMessage()
		if err != nil {
			c.end = err
			return
		}
		var f wire.Frame
		if kind == websocket.TextMessage {
			f, err = decoder.Text(message)
		} else {
			f, err = decoder.Binary(message)
		}
		if err != nil {
			c.end = err
			return
		}
		c.frames <- f
	}
}

// close cuts the connection and waits for its reader.
func (c *modelConn) close() {
	_ = c.Close()
	for range c.frames {
	}
}
