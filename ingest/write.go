package ingest

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/fasthttp/websocket"

	"telltale/ingest/wire"
)

// listedRefusals is how many refused samples one ack names.
const listedRefusals = 1000

// queuedFrames is how many frames besides acks wait for a connection; the oldest go.
const queuedFrames = 16

// outbox is what a session has to say. It cannot grow: acks of one epoch merge, for they
// are cumulative.
type outbox struct {
	wake chan struct{} // capacity 1

	mu     sync.Mutex // guards what follows
	text   bool       // as JSON
	opened bool       // the welcome is queued; before it, nothing is said
	frames []wire.Frame
	acks   []wire.Ack // one per epoch
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

// speak sets the form of the frames: the one the agent uses.
func (o *outbox) speak(text bool) {
	o.mu.Lock()
	o.text = text
	o.mu.Unlock()
}

// open queues the welcome, which goes before everything else.
func (o *outbox) open(w *wire.Welcome) {
	o.mu.Lock()
	o.opened = true
	o.frames = append([]wire.Frame{w}, o.frames...)
	o.mu.Unlock()
	o.signal()
}

func (o *outbox) push(f wire.Frame) {
	o.mu.Lock()
	if len(o.frames) == queuedFrames {
		o.frames = append(o.frames[:0], o.frames[1:]...)
	}
	o.frames = append(o.frames, f)
	o.mu.Unlock()
	o.signal()
}

func (o *outbox) ack(a wire.Ack) {
	o.mu.Lock()
	defer o.signal()
	defer o.mu.Unlock()
	for i := range o.acks {
		if merged := &o.acks[i]; merged.Epoch == a.Epoch {
			merged.Seq = a.Seq
			merged.Refused = append(merged.Refused, a.Refused...)
			merged.Unnamed += a.Unnamed
			trim(merged)
			return
		}
	}
	trim(&a)
	o.acks = append(o.acks, a)
}

// trim leaves at most listedRefusals named.
func trim(a *wire.Ack) {
	if excess := len(a.Refused) - listedRefusals; excess > 0 {
		a.Refused = a.Refused[:listedRefusals:listedRefusals]
		a.Unnamed += uint64(excess)
	}
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take empties the outbox.
func (o *outbox) take() (frames []wire.Frame, text bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.opened {
		return nil, o.text
	}
	frames, o.frames = o.frames, nil
	for i := range o.acks {
		ack := o.acks[i]
		frames = append(frames, &ack)
	}
	o.acks = o.acks[:0]
	return frames, o.text
}

func (o *outbox) isText() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text
}

// write sends what the outbox holds, and pings, until the session ends; then the farewell.
func (s *session) write() {
	ping := time.NewTicker(s.server.config.PingEvery)
	defer ping.Stop()
	for {
		var err error
		select {
		case <-s.out.wake:
			err = s.flush()
		case <-ping.C:
			err = s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(s.server.config.WriteTimeout))
		case <-s.ending.Done():
			s.farewell()
			return
		}
		if err != nil {
			s.close(s.unwritable(err))
			return
		}
	}
}

// unwritable turns the error of a write into why the session ends.
func (s *session) unwritable(err error) *wire.CloseError {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return wire.Closef(wire.SlowReader, "a write was not taken within %v", s.server.config.WriteTimeout)
	}
	return nil
}

func (s *session) flush() error {
	frames, text := s.out.take()
	for _, f := range frames {
		if err := s.writeFrame(f, text, s.server.config.WriteTimeout); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) writeFrame(f wire.Frame, text bool, timeout time.Duration) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if !text {
		return s.conn.WriteMessage(websocket.BinaryMessage, wire.Binary(f))
	}
	message, err := wire.Text(f)
	if err != nil {
		return err
	}
	return s.conn.WriteMessage(websocket.TextMessage, message)
}

// farewell sends what is queued, then why the session ends. Errors change nothing any more.
func (s *session) farewell() {
	s.mu.Lock()
	cause := s.cause
	s.mu.Unlock()
	if cause == nil || s.flush() != nil {
		return
	}
	reason := &wire.Error{Code: cause.Code.String(), Message: cause.Message, RetryAfter: cause.RetryAfter}
	_ = s.writeFrame(reason, s.out.isText(), farewellTime)
	text := cause.Message
	if len(text) > closeTextBytes {
		text = text[:closeTextBytes]
	}
	_ = s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(int(cause.Code), text), time.Now().Add(farewellTime))
}

// closeTextBytes is what a close frame has room for.
const closeTextBytes = 123
