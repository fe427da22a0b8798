package ingest

import (
	"bytes"
	"io"
	"sync"

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
		if err := s.mustGoBack(); err != nil {
			return err
		}
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
