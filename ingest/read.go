package ingest

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/fasthttp/websocket"

	"telltale/ingest/wire"
)

// messages holds messages while they are decoded. A connection has one only while it
// works on a message, so that ten thousand idle ones cost nothing.
var messages = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// helloBytes bounds the first message: until then, nobody knows whose it is.
const helloBytes = 256 << 10

// keptMessageBytes is the largest buffer that goes back into the pool.
const keptMessageBytes = 256 << 10

// read serves the connection's frames until one is wrong, the agent goes, or the session
// drains (nil).
func (s *session) read() error {
	if err := s.extendDeadline(s.server.config.HelloTimeout); err != nil {
		return s.stopped(err, wire.HelloTimeout, s.server.config.HelloTimeout)
	}
	frame, err := s.next()
	s.out.speak(s.text)
	if err != nil {
		return s.stopped(err, wire.HelloTimeout, s.server.config.HelloTimeout)
	}
	hello, ok := frame.(*wire.Hello)
	if !ok {
		return wire.Closef(wire.BadFrame, "the first frame must be hello")
	}
	if err := s.greet(hello); err != nil {
		return err
	}
	idle := s.server.config.IdleTimeout
	s.conn.SetPongHandler(func(string) error { return s.extendDeadline(idle) })
	for {
		if err := s.extendDeadline(idle); err != nil {
			return s.stopped(err, wire.IdleTimeout, idle)
		}
		frame, err := s.next()
		if err != nil {
			return s.stopped(err, wire.IdleTimeout, idle)
		}
		if err := s.handle(frame); err != nil {
			return err
		}
	}
}

// next reads and decodes one message.
func (s *session) next() (wire.Frame, error) {
	messageType, reader, err := s.conn.NextReader()
	if err != nil {
		return nil, err
	}
	buffer := messages.Get().(*bytes.Buffer)
	defer func() {
		if buffer.Cap() <= keptMessageBytes {
			buffer.Reset()
			messages.Put(buffer)
		}
	}()
	limit := s.server.config.Limits.FrameBytes
	if s.hello == nil {
		limit = min(limit, helloBytes)
	}
	// The library's own limit would close without saying which limit it was.
	if _, err := buffer.ReadFrom(io.LimitReader(reader, int64(limit)+1)); err != nil {
		return nil, err
	}
	if buffer.Len() > limit {
		return nil, wire.Closef(wire.TooBig, "a message exceeds %d bytes: send smaller batches", limit)
	}
	s.server.metrics.bytes.Add(float64(buffer.Len()))
	text := messageType == websocket.TextMessage
	if s.hello == nil {
		s.text = text
	}
	switch {
	case text != s.text: // the two forms number series apart
		return nil, wire.Closef(wire.BadFrame, "send either text or binary messages on one connection")
	case text:
		return s.decoder.Text(buffer.Bytes())
	default:
		return s.decoder.Binary(buffer.Bytes())
	}
}

func (s *session) handle(frame wire.Frame) error {
	switch f := frame.(type) {
	case *wire.Columns:
		s.server.metrics.batchFrames.Inc()
		return s.batch(f)
	case *wire.Gap:
		s.server.metrics.frames.WithLabelValues("gap").Inc()
		return s.gap(f)
	case *wire.Hello:
		return wire.Closef(wire.BadFrame, "a second hello")
	default:
		return wire.Closef(wire.BadFrame, "a %T frame is the hub's to send", frame)
	}
}

// greet checks the hello, waits until the agent is this session's alone, and welcomes it.
func (s *session) greet(hello *wire.Hello) error {
	s.server.metrics.frames.WithLabelValues("hello").Inc()
	if err := s.authenticate(hello.Token); err != nil {
		return err
	}
	if err := s.server.config.Limits.CheckHello(hello); err != nil {
		return err
	}
	if err := s.compareClocks(hello.Time); err != nil {
		return err
	}
	if hello.Interval <= 0 {
		hello.Interval = time.Second
	}
	if len(hello.Epochs) == 0 {
		s.own = randomID()
		hello.Epochs = []string{s.own}
	}
	hello.Token = "" // not kept
	s.hello = hello
	s.log = s.log.With("agent", hello.Agent.ID)

	a, before := s.server.directory.claim(hello.Agent.ID, s)
	s.agent = a
	if before != nil {
		before.close(wire.Closef(wire.TakenOver, "a newer connection of agent %q; two machines with one id take over from each other for ever", a.id))
		<-before.readDone
	}
	stored, err := s.server.sink.Admit(s.ending, hello.Agent)
	if err != nil {
		s.log.Warn("cannot admit an agent", "error", err)
		return s.overloaded("storage is not ready")
	}
	progress, ours := a.welcome(s, hello.Epochs, stored)
	if !ours {
		return wire.Closef(wire.TakenOver, "a newer connection of agent %q", a.id)
	}
	for name, seq := range progress {
		s.epochs[name] = &sequence{base: seq, next: seq + 1}
	}
	s.out.open(&wire.Welcome{
		Session: s.id, Epochs: progress, ServerTime: time.Now().UnixMilli(), Limits: s.server.config.Limits,
	})
	s.log.Debug("agent connected", "epochs", len(progress), "interval", hello.Interval, "clock_offset", s.offset)
	return nil
}

// authenticate checks the hello's token, unless the header brought one.
func (s *session) authenticate(token string) error {
	if s.token() != "" {
		return nil
	}
	if token == "" {
		return wire.Closef(wire.Unauthorized, "no token: send it in hello or as 'Authorization: Bearer'")
	}
	id, ok, err := s.server.tokens.Agent(s.ending, token)
	if err != nil {
		s.log.Warn("cannot look up an agent token", "error", err)
		return s.overloaded("tokens cannot be checked now")
	}
	if !ok {
		return wire.Closef(wire.Unauthorized, "unknown agent token: make one with 'telltale token create'")
	}
	s.mu.Lock()
	s.tokenID = id
	s.mu.Unlock()
	return nil
}

// maxSkew is how far the clocks may be apart: further, every sample would be too new, or
// stand in the wrong place of every chart.
const maxSkew = time.Minute

func (s *session) compareClocks(agentTime int64) error {
	if agentTime == 0 {
		return nil
	}
	now := time.Now()
	// In milliseconds first: a wild time would overflow a Duration.
	if ms := agentTime - now.UnixMilli(); ms > maxSkew.Milliseconds() || ms < -maxSkew.Milliseconds() {
		return wire.Closef(wire.ClockSkew, "the agent's clock says %s, the hub's %s: set it, or run NTP",
			time.UnixMilli(agentTime).UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	s.offset = time.UnixMilli(agentTime).Sub(now).Round(time.Millisecond)
	return nil
}

func (s *session) overloaded(why string) *wire.CloseError {
	retry := s.server.config.RetryAfter
	return &wire.CloseError{
		Code: wire.Overloaded, Message: fmt.Sprintf("%s: come back in %v", why, retry), RetryAfter: retry,
	}
}
