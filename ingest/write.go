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
// are cumulative, and so do frames that change the pace. A goroutine writes while there is
// something in it, and no longer: waiting, each would hold a stack of 4 KB.
type outbox struct {
	writing sync.WaitGroup // the goroutine that writes

	mu     sync.Mutex // guards what follows
	text   bool       // as JSON
	opened bool       // the welcome is queued; before it, nothing is said
	busy   bool       // a goroutine writes
	closed bool       // none is started any more
	due    bool       // a ping is
	frames []wire.Frame
	slows  []wire.Slow
	acks   []wire.Ack // one per epoch
}

// speak sets the form of the frames: the one the agent uses.
func (o *outbox) speak(text bool) {
	o.mu.Lock()
	o.text = text
	o.mu.Unlock()
}

// open queues the welcome, which goes before everything else.
func (o *outbox) open(s *session, w *wire.Welcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.opened = true
	o.frames = append([]wire.Frame{w}, o.frames...)
	o.startLocked(s)
}

func (o *outbox) push(s *session, f wire.Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.frames) == queuedFrames {
		o.frames = append(o.frames[:0], o.frames[1:]...)
	}
	o.frames = append(o.frames, f)
	o.startLocked(s)
}

func (o *outbox) ping(s *session) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.due = true
	o.startLocked(s)
}

// slow queues a change of the pace. Of several that wait, what counts is the last, and
// whether live-only was lifted: the agent then has to begin again with what is not stored.
func (o *outbox) slow(s *session, slow wire.Slow) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.slows); n > 0 && o.slows[n-1].LiveOnly == slow.LiveOnly {
		o.slows[n-1] = slow
	} else if n == 2 {
		o.slows = append(o.slows[:0], slow)
	} else {
		o.slows = append(o.slows, slow)
	}
	o.startLocked(s)
}

func (o *outbox) ack(s *session, a wire.Ack) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.startLocked(s)
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

// startLocked starts the goroutine that writes, unless there is one, or nothing may be said.
func (o *outbox) startLocked(s *session) {
	if o.opened && !o.busy && !o.closed {
		o.busy = true
		o.writing.Go(s.write)
	}
}

// shut waits for the goroutine that writes; none is started after it.
func (o *outbox) shut() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.writing.Wait()
}

// take empties the outbox. Where it is empty, the goroutine that writes must end.
func (o *outbox) take() (frames []wire.Frame, ping, text bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.opened {
		return nil, false, o.text
	}
	frames, o.frames = o.frames, nil
	for i := range o.acks { // before the end of live-only, after which the agent begins where they say
		ack := o.acks[i]
		frames = append(frames, &ack)
	}
	for i := range o.slows {
		slow := o.slows[i]
		frames = append(frames, &slow)
	}
	ping = o.due
	o.slows, o.acks, o.due = o.slows[:0], o.acks[:0], false
	o.busy = ping || len(frames) > 0
	return frames, ping, o.text
}

func (o *outbox) isText() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text
}

// write sends what the outbox holds until it is empty.
func (s *session) write() {
	for {
		sent, err := s.flush()
		if err != nil {
			s.close(s.unwritable(err)) // the outbox stays busy: no other write is tried
			return
		}
		if !sent {
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

// flush sends what the outbox holds now; false: nothing.
func (s *session) flush() (sent bool, err error) {
	frames, ping, text := s.out.take()
	if ping {
		if err := s.conn.WriteControl(websocket.PingMessage, s.clock.ping(), time.Now().Add(s.server.config.WriteTimeout)); err != nil {
			return true, err
		}
	}
	for _, f := range frames {
		if err := s.writeFrame(f, text, s.server.config.WriteTimeout); err != nil {
			return true, err
		}
	}
	return ping || len(frames) > 0, nil
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
	if cause == nil {
		return
	}
	if _, err := s.flush(); err != nil {
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
