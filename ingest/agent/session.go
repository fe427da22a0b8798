package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/websocket"

	"telltale/ingest/agent/spool"
	"telltale/ingest/wire"
)

const (
	dialTimeout    = 15 * time.Second
	welcomeTimeout = 60 * time.Second // the hub may have to ask its storage first
	idleTimeout    = 75 * time.Second // three of the hub's pings
	writeTimeout   = 20 * time.Second
)

// session is one connection to the hub. connect's goroutine writes, another reads.
type session struct {
	*client
	conn    *websocket.Conn
	decoder *wire.Decoder
	encoder *wire.Encoder
	message []byte

	described time.Time // when the encoder began to describe series anew

	limits   wire.Limits
	window   int // how much may be in flight
	liveOnly bool
	flying   []flight
	fresh    string                   // the epoch that takes new batches
	cursors  map[string]*spool.Cursor // by epoch
	acked    map[string]uint64        // by epoch, as this hub has it
	due      time.Time                // of the next batch of the backlog
	pace     *time.Timer              // fires then

	logged  map[wire.Reason]bool // reasons of refusals
	frames  chan wire.Frame
	readEnd chan error
	quit    chan struct{}
}

// flight is a frame that was sent and not acknowledged.
type flight struct {
	epoch string
	seq   uint64
}

// connect serves one connection until it ends; soft ending means to finish what is fresh,
// hard to stop. It returns whether the hub welcomed the agent, and why it ended.
func (c *client) connect(soft, hard context.Context) (welcomed bool, err error) {
	conn, err := c.dial(hard)
	if err != nil {
		return false, err
	}
	s := &session{
		client: c, conn: conn, decoder: wire.NewDecoder(wire.DefaultLimits()),
		cursors: make(map[string]*spool.Cursor), acked: make(map[string]uint64), pace: time.NewTimer(time.Hour),
		logged: make(map[wire.Reason]bool), frames: make(chan wire.Frame), readEnd: make(chan error, 1), quit: make(chan struct{}),
	}
	cut := context.AfterFunc(hard, func() { _ = conn.Close() })
	defer cut()
	defer s.pace.Stop()
	defer s.closeCursors()
	if err := s.greet(); err != nil {
		_ = conn.Close()
		return false, err
	}
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		s.readEnd <- s.read()
	}()
	err = s.deliver(soft)
	close(s.quit)
	_ = conn.Close()
	<-reading
	return true, err
}

// dial opens the WebSocket. A refusal comes back as a CloseError with the code that says the same.
func (c *client) dial(ctx context.Context) (*websocket.Conn, error) {
	dialer := websocket.Dialer{
		Proxy: http.ProxyFromEnvironment, HandshakeTimeout: dialTimeout,
		Subprotocols: []string{wire.Subprotocol}, ReadBufferSize: 1024, WriteBufferSize: 4096,
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, response, err := dialer.DialContext(ctx, c.url, http.Header{"Authorization": {"Bearer " + c.config.Token}})
	if err == nil {
		return conn, nil
	}
	if response == nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, 500))
	_ = response.Body.Close()
	refusal := wire.Closef(wire.GoingAway, "HTTP %s: %s", response.Status, text)
	switch response.StatusCode {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound:
		refusal.Code = wire.BadFrame
	case http.StatusUnauthorized:
		refusal.Code = wire.Unauthorized
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 && seconds <= 3600 {
		refusal.RetryAfter = time.Duration(seconds) * time.Second
	}
	return nil, refusal
}

// greet says hello, waits for the welcome, and resumes where it says.
func (s *session) greet() error {
	s.encoder = wire.NewEncoder(wire.DefaultLimits())
	epochs := s.spool.Epochs()
	hello := &wire.Hello{
		Agent: s.config.Agent, Epochs: epochs, Interval: time.Duration(s.interval.Load()), Time: time.Now().UnixMilli(),
	}
	if err := s.write(hello); err != nil {
		return fmt.Errorf("saying hello: %w", err)
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(welcomeTimeout))
	frame, err := s.next()
	if err != nil {
		return fmt.Errorf("waiting for the welcome: %w", err)
	}
	welcome, ok := frame.(*wire.Welcome)
	if !ok {
		return wire.Closef(wire.BadFrame, "the hub answered hello with %T", frame)
	}
	s.limits, s.window, s.liveOnly = welcome.Limits, max(welcome.Limits.MaxInFlight, 1), welcome.LiveOnly
	remembered := s.limits
	remembered.SeriesPerConnection = min(remembered.SeriesPerConnection, rememberedSeries)
	s.encoder, s.described = wire.NewEncoder(remembered), time.Now()
	s.spool.Resume(welcome.Epochs)
	for _, epoch := range epochs {
		stored, answered := welcome.Epochs[epoch]
		s.acked[epoch] = stored
		if !answered { // an ack will tell; until then it is shown only, so what was acknowledged before is left out
			stored = s.spool.Acknowledged(epoch)
		}
		s.cursors[epoch] = s.spool.Cursor(epoch, stored)
	}
	s.fresh = epochs[len(epochs)-1]
	s.log.Info("connected to the hub", "session", welcome.Session, "epochs", len(epochs), "live_only", s.liveOnly, "waiting_batches", s.spool.Stats().Batches)
	if s.spool.Waiting(s.fresh) > burst {
		return s.refresh()
	}
	return nil
}

// rememberedSeries bounds the memory that describing each series only once takes here: the
// processes of a host come and go.
const rememberedSeries = 10_000

// deliver sends what the spool holds, as far as the window allows, until the connection
// ends, or soft has ended and the fresh batches are acknowledged.
func (s *session) deliver(soft context.Context) error {
	stopping := soft.Done()
	for {
		if err := s.fill(stopping == nil); err != nil {
			return err
		}
		if stopping == nil && (s.liveOnly || s.spool.Waiting(s.fresh) == 0) {
			return s.leave()
		}
		select {
		case <-s.spool.Changed():
		case <-s.pace.C:
		case frame := <-s.frames:
			if err := s.handle(frame); err != nil {
				return err
			}
		case err := <-s.readEnd:
			return err
		case <-stopping:
			stopping = nil
		}
	}
}

// describeEvery is how often all series are described anew: the hub forgets those that have ended
// once it is not told of them any more.
const describeEvery = time.Hour

// fits encodes a batch and says whether the hub would take it.
func (s *session) fits(batch *wire.Batch) bool {
	var frameBytes int
	if time.Since(s.described) > describeEvery {
		s.encoder.Reset()
		s.described = time.Now()
	}
	s.message, frameBytes = s.encoder.Append(s.message[:0], batch)
	if frameBytes < s.limits.FrameBytes && len(batch.Samples) <= s.limits.SamplesPerBatch {
		return true
	}
	s.encoder.Reset() // the hub never sees what it describes
	return false
}

func (s *session) write(f wire.Frame) error {
	s.message, _ = s.encoder.Append(s.message[:0], f)
	return s.flush()
}

func (s *session) flush() error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return s.conn.WriteMessage(websocket.BinaryMessage, s.message)
}

// ending prefers the reason that the hub gave to the failure of a write, which came after it.
func (s *session) ending(writing error) error {
	select {
	case frame := <-s.frames:
		if e, ok := frame.(*wire.Error); ok {
			return closeErrorOf(e)
		}
	case err := <-s.readEnd:
		return err
	case <-time.After(time.Second):
	}
	return fmt.Errorf("sending: %w", writing)
}

// leave closes the connection in the usual way.
func (s *session) leave() error {
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = s.conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
	return errors.New("stopped")
}
