package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"telltale/ingest/wire"
)

const (
	dialTimeout    = 15 * time.Second
	welcomeTimeout = 60 * time.Second // the hub may have to ask its storage first
	idleTimeout    = 75 * time.Second // three of the hub's pings
)

// errDial marks that no connection came about.
var errDial = errors.New("connecting")

type agentIndex struct{}

// newDialer makes the dialer of all agents. They share write buffers, and read little.
func (f *fleet) newDialer() websocket.Dialer {
	return websocket.Dialer{
		HandshakeTimeout: dialTimeout, Subprotocols: []string{wire.Subprotocol},
		ReadBufferSize: 256, WriteBufferSize: 16 << 10, WriteBufferPool: &sync.Pool{},
		NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			i, _ := ctx.Value(agentIndex{}).(int)
			return f.traffic.dial(ctx, network, address, i)
		},
	}
}

// run keeps the agent connected until ctx ends. Its error is the hub's word that another
// try would end the same way.
func (a *agent) run(ctx context.Context) error {
	var retry backoff
	for {
		welcomed, err := a.connect(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end of the run cut the connection
		}
		a.fleet.trouble.disconnect(err)
		var closing *wire.CloseError
		if errors.As(err, &closing) && closing.Code.Final() {
			return fmt.Errorf("agent %s: %w", a.id, err)
		}
		if welcomed {
			retry.tries = 0
		}
		if !sleep(ctx, retry.next(closing)) {
			return nil
		}
	}
}

// connect serves one connection until it ends, and returns whether the hub welcomed the
// agent, and why it ended.
func (a *agent) connect(ctx context.Context) (welcomed bool, err error) {
	conn, err := a.dial(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() {
		bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
		_ = conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
		_ = conn.Close()
	})()
	decoder := wire.NewDecoder(wire.DefaultLimits())
	welcome, err := a.greet(conn, decoder)
	if err != nil {
		return false, err
	}
	if err := keepAlive(conn); err != nil {
		return false, err
	}
	counts := &a.fleet.counts
	counts.connections.Add(1)
	counts.connected.Add(1)
	defer counts.connected.Add(-1)
	defer a.leave()
	a.resume(conn, welcome)
	for {
		frame, err := next(conn, decoder)
		if err != nil {
			return true, err
		}
		switch frame := frame.(type) {
		case *wire.Ack:
			a.acknowledge(frame)
		case *wire.Slow:
			a.keepPace(frame)
		case *wire.Error:
			return true, closeError(frame)
		}
	}
}

// dial opens the WebSocket. A refusal comes back as a CloseError with the code that says the same.
func (a *agent) dial(ctx context.Context) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, agentIndex{}, a.index), dialTimeout)
	defer cancel()
	conn, response, err := a.fleet.dialer.DialContext(ctx, a.fleet.door, http.Header{"Authorization": {"Bearer " + a.fleet.token}})
	if err == nil {
		return conn, nil
	}
	if response == nil {
		return nil, fmt.Errorf("%w: %w", errDial, err)
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, 500))
	_ = response.Body.Close()
	refusal := wire.Closef(wire.BadFrame, "HTTP %s: %s", response.Status, bytes.TrimSpace(text))
	switch {
	case response.StatusCode == http.StatusUnauthorized:
		refusal.Code = wire.Unauthorized
	case response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= 500:
		refusal.Code = wire.GoingAway
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 && seconds <= 3600 {
		refusal.RetryAfter = time.Duration(seconds) * time.Second
	}
	return nil, refusal
}

// greet says hello and waits for the welcome.
func (a *agent) greet(conn *websocket.Conn, decoder *wire.Decoder) (*wire.Welcome, error) {
	hello := &wire.Hello{Agent: wire.Agent{ID: a.id}, Epochs: a.epochs(), Interval: a.fleet.interval, Time: time.Now().UnixMilli()}
	if err := send(conn, wire.Binary(hello)); err != nil {
		return nil, fmt.Errorf("saying hello: %w", err)
	}
	conn.SetReadLimit(wire.MaxFrameBytes)
	if err := conn.SetReadDeadline(time.Now().Add(welcomeTimeout)); err != nil {
		return nil, err
	}
	frame, err := next(conn, decoder)
	if err != nil {
		return nil, err
	}
	switch frame := frame.(type) {
	case *wire.Welcome:
		if most := frame.Limits.SamplesPerBatch; most < len(a.fleet.series) {
			return nil, wire.Closef(wire.LimitExceeded, "the hub takes %d samples a batch: use fewer --series", most)
		}
		return frame, nil
	case *wire.Error:
		return nil, closeError(frame)
	default:
		return nil, wire.Closef(wire.BadFrame, "the hub answered hello with %T", frame)
	}
}

// keepAlive ends a connection on which the hub's pings do not come.
func keepAlive(conn *websocket.Conn) error {
	conn.SetPingHandler(func(payload string) error {
		if err := conn.SetReadDeadline(time.Now().Add(idleTimeout)); err != nil {
			return err
		}
		// A pong that cannot be written is a connection that cannot be read soon.
		_ = conn.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(time.Second))
		return nil
	})
	return conn.SetReadDeadline(time.Now().Add(idleTimeout))
}

// messages holds messages while they are decoded.
var messages = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// next reads one frame. Its error is a CloseError where the hub has closed.
func next(conn *websocket.Conn, decoder *wire.Decoder) (wire.Frame, error) {
	kind, reader, err := conn.NextReader()
	if err != nil {
		var closing *websocket.CloseError
		if errors.As(err, &closing) && closing.Code >= 4000 {
			return nil, &wire.CloseError{Code: wire.CloseCode(closing.Code), Message: closing.Text}
		}
		return nil, fmt.Errorf("connection lost: %w", err)
	}
	if kind != websocket.BinaryMessage {
		return nil, wire.Closef(wire.BadFrame, "the hub sent text to a binary client")
	}
	buffer := messages.Get().(*bytes.Buffer)
	defer messages.Put(buffer)
	buffer.Reset()
	if _, err := buffer.ReadFrom(reader); err != nil {
		return nil, fmt.Errorf("connection lost: %w", err)
	}
	return decoder.Binary(buffer.Bytes())
}

// closeError makes an error of the frame, which tells more than the close frame after it.
func closeError(e *wire.Error) *wire.CloseError {
	return &wire.CloseError{Code: wire.CloseCodeOf(e.Code), Message: e.Message, RetryAfter: e.RetryAfter}
}

const (
	firstWait = 500 * time.Millisecond
	maxWait   = 15 * time.Second
)

// backoff is how long to wait before the next try: doubled each time, and jittered, so that
// the agents of a hub that restarts do not come back at once.
type backoff struct{ tries int }

func (b *backoff) next(closing *wire.CloseError) time.Duration {
	if closing != nil && closing.RetryAfter > 0 {
		return closing.RetryAfter + rand.N(closing.RetryAfter)
	}
	wait := min(firstWait<<min(b.tries, 10), maxWait)
	b.tries++
	return wait/2 + rand.N(wait/2)
}
