package agent

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"telltale/ingest/wire"
)

// read passes the hub's frames on until the connection ends, and returns why it did.
func (s *session) read() error {
	// The hub pings; hearing nothing for three pings means that the way is cut.
	extend := func() error { return s.conn.SetReadDeadline(time.Now().Add(idleTimeout)) }
	s.conn.SetPingHandler(func(payload string) error {
		if err := extend(); err != nil {
			return err
		}
		err := s.conn.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(time.Second))
		if errors.Is(err, websocket.ErrCloseSent) {
			return nil
		}
		return err
	})
	for {
		if err := extend(); err != nil {
			return err
		}
		frame, err := s.next()
		if err != nil {
			return err
		}
		select {
		case s.frames <- frame:
		case <-s.quit:
			return errors.New("stopped")
		}
	}
}

// next reads one frame. Its error is a CloseError where the hub has closed.
func (s *session) next() (wire.Frame, error) {
	kind, message, err := s.conn.ReadMessage()
	if err != nil {
		return nil, closedBy(err)
	}
	var frame wire.Frame
	if kind == websocket.BinaryMessage {
		frame, err = s.decoder.Binary(message)
	} else {
		frame, err = s.decoder.Text(message)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the hub's frame: %w", err)
	}
	if e, ok := frame.(*wire.Error); ok && s.limits.FrameBytes == 0 { // before the welcome
		return nil, closeErrorOf(e)
	}
	return frame, nil
}

// closedBy turns a WebSocket close into a CloseError.
func closedBy(err error) error {
	var closing *websocket.CloseError
	if errors.As(err, &closing) && closing.Code >= 4000 {
		return &wire.CloseError{Code: wire.CloseCode(closing.Code), Message: closing.Text}
	}
	return fmt.Errorf("connection lost: %w", err)
}

// closeErrorOf turns an error frame, which tells more than the close frame after it.
func closeErrorOf(e *wire.Error) error {
	return &wire.CloseError{Code: wire.CloseCodeOf(e.Code), Message: e.Message, RetryAfter: e.RetryAfter}
}

// handle does what a frame says.
func (s *session) handle(frame wire.Frame) error {
	switch f := frame.(type) {
	case *wire.Ack:
		s.acknowledged(f)
	case *wire.Config:
		s.log.Info("the hub changes the interval", "interval", f.Interval)
		s.setInterval(f.Interval)
	case *wire.Slow:
		return s.slow(f)
	case *wire.Notice:
		s.log.Warn("notice from the hub", "level", f.Level, "text", f.Text)
	case *wire.Error:
		return closeErrorOf(f)
	default:
		s.log.Warn("a frame that this agent does not know", "type", fmt.Sprintf("%T", frame))
	}
	return nil
}

func (s *session) acknowledged(a *wire.Ack) {
	s.flying = slices.DeleteFunc(s.flying, func(f flight) bool { return f.epoch == a.Epoch && f.seq <= a.Seq })
	if before, ok := s.acked[a.Epoch]; ok {
		s.acked[a.Epoch] = max(before, a.Seq)
	}
	s.refused.Add(uint64(len(a.Refused)) + a.Unnamed)
	for _, r := range a.Refused { // once per reason and connection: it may go on for ever
		if !s.logged[r.Reason] {
			s.logged[r.Reason] = true
			s.log.Warn("the hub refuses samples", "reason", r.Reason, "seq", r.Seq, "index", r.Index)
		}
	}
	s.spool.Ack(a.Epoch, a.Seq)
}
