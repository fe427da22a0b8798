package ingest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
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
	s.conn.SetPongHandler(func(payload string) error {
		s.clock.pong(payload)
		return s.extendDeadline(idle)
	})
	s.startPings()
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
		s.decoder.Release()
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
	if !s.greeted {
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
	if !s.greeted {
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
	if err := s.clock.compare(hello.Time); err != nil {
		return err
	}
	s.identity = hello.Epochs
	if len(hello.Epochs) == 0 {
		s.own = randomID()
		hello.Epochs = []string{s.own}
		s.identity = []string{remoteHost(s.conn.RemoteAddr())}
	}
	if s.interval = hello.Interval; s.interval <= 0 {
		s.interval = time.Second
	}
	s.greeted, s.labels = true, hello.Agent.Labels
	if err := s.takeOver(hello.Agent.ID); err != nil {
		return err
	}
	stored, err := s.server.sink.Admit(s.ending, hello.Agent)
	if err != nil {
		s.log().Warn("cannot admit an agent", "error", err)
		return s.overloaded("storage is not ready")
	}
	progress, ours := s.agent.welcome(s, hello.Epochs, stored)
	if !ours {
		return wire.Closef(wire.TakenOver, "a newer connection of agent %q", s.agent.id)
	}
	for name, seq := range progress {
		s.epochs[name] = &sequence{base: seq, next: seq + 1}
	}
	limits := s.server.config.Limits
	limits.MaxInFlight = s.pace.begin(limits.MaxInFlight, s.server.sink.Fill())
	s.out.open(s, &wire.Welcome{Session: s.id, Epochs: progress, ServerTime: time.Now().UnixMilli(), Limits: limits})
	s.keepPace()
	s.log().Debug("agent connected", "epochs", len(progress), "interval", s.interval, "clock_offset", s.clock.offset())
	return nil
}

// takeOver waits until the agent is this session's alone.
func (s *session) takeOver(id string) error {
	a, before, duplicate := s.server.directory.claim(id, s)
	s.agent = a
	if before == nil {
		return nil
	}
	cause := wire.Closef(wire.TakenOver, "a newer connection of agent %q; two machines with one id take over from each other for ever", id)
	if duplicate {
		cause = wire.Closef(wire.DuplicateAgent, "two machines have the agent id %q and take over from each other: give one of them another", id)
		cause.RetryAfter = duplicateRetry
		s.server.metrics.duplicateAgents.Inc()
		before.send(&wire.Notice{Level: "error", Text: cause.Message})
		s.log().Warn("two machines have one agent id", "other", before.conn.RemoteAddr().String())
	}
	before.close(cause)
	<-before.readDone
	if duplicate {
		return cause
	}
	return nil
}

// duplicateRetry is when each of two machines with one id may come back.
const duplicateRetry = 2 * time.Minute

// remoteHost is the address without the port, which changes with each connection.
func remoteHost(address net.Addr) string {
	host, _, err := net.SplitHostPort(address.String())
	if err != nil {
		return address.String()
	}
	return host
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
		s.log().Warn("cannot look up an agent token", "error", err)
		return s.overloaded("tokens cannot be checked now")
	}
	if !ok {
		return wire.Closef(wire.Unauthorized, "unknown agent token: make one with 'telltale token create'")
	}
	if !s.server.trust(s, id) {
		return revoked()
	}
	return nil
}

// overloaded tells agents to come back, each at another time: they all hear it at once.
func (s *session) overloaded(why string) *wire.CloseError {
	retry := s.server.config.RetryAfter
	retry += rand.N(retry).Truncate(time.Millisecond)
	return &wire.CloseError{
		Code: wire.Overloaded, Message: fmt.Sprintf("%s: come back in %v", why, retry), RetryAfter: retry,
	}
}
