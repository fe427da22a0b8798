package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	defaultStep  = 1000                    // milliseconds, until hello tells
	defaultRetry = 1500 * time.Millisecond // until the stream tells
	silence      = 45 * time.Second        // three heartbeats
	headTimeout  = 30 * time.Second
)

// viewer is one of the audience.
type viewer struct {
	audience *audience
	index    int

	// The goroutine's own.
	position position
	retry    time.Duration
	refusal  string // why the hub asked to come back later
	hello    bool   // on this connection

	reached atomic.Int64 // position.last, for others to read
	step    atomic.Int64
}

// statusError is an answer that is no stream.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return "the stream was answered with " + e.text }

// final says that another try would end the same way.
func (e *statusError) final() bool {
	return e.code != http.StatusTooManyRequests && e.code < 500
}

// run follows the stream until ctx ends, coming back as a browser does.
func (v *viewer) run(ctx context.Context) error {
	v.step.Store(v.position.step)
	for {
		v.retry, v.refusal, v.hello = defaultRetry, "", false
		err := v.follow(ctx)
		if v.hello {
			v.audience.counts.connected.Add(-1)
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end of the run cut the connection
		}
		if status := (*statusError)(nil); errors.As(err, &status) && status.final() {
			return err
		}
		v.audience.trouble.turnedAway(v.refusal, err)
		if !sleep(ctx, v.retry+rand.N(v.retry/4+1)) {
			return nil
		}
	}
}

// follow reads one connection's stream to its end.
func (v *viewer) follow(ctx context.Context) error {
	conn, err := v.dial(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errDial, err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	response, err := v.ask(ctx, conn)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	var events eventReader
	var buffer [4096]byte
	for {
		if err := conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return err
		}
		n, err := response.Body.Read(buffer[:])
		now := time.Now()
		events.feed(buffer[:n], func(e *event) { v.take(e, now) })
		if err != nil {
			return fmt.Errorf("the stream ended: %w", err)
		}
	}
}

func (v *viewer) dial(ctx context.Context) (net.Conn, error) {
	a := v.audience
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	address := a.site.Host
	if a.site.Port() == "" {
		address = net.JoinHostPort(a.site.Hostname(), a.site.Scheme)
	}
	conn, err := a.traffic.dial(ctx, "tcp", address, v.index)
	if err != nil || a.tls == nil {
		return conn, err
	}
	secure := tls.Client(conn, a.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// ask requests the stream from where the viewer is.
func (v *viewer) ask(ctx context.Context, conn net.Conn) (*http.Response, error) {
	a := v.audience
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.site.Scheme+"://"+a.site.Host+a.target, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Cookie", a.cookie)
	if v.position.last > 0 {
		request.Header.Set("Last-Event-ID", strconv.FormatInt(v.position.last, 10))
	}
	if err := conn.SetDeadline(time.Now().Add(headTimeout)); err != nil {
		return nil, err
	}
	if err := request.Write(conn); err != nil {
		return nil, fmt.Errorf("asking for the stream: %w", err)
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 512), request)
	if err != nil {
		return nil, fmt.Errorf("asking for the stream: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 300))
		_ = response.Body.Close()
		return nil, &statusError{response.StatusCode, fmt.Sprintf("%s: %s", response.Status, text)}
	}
	return response, nil
}

// take counts an event that arrived at now.
func (v *viewer) take(e *event, now time.Time) {
	a, c := v.audience, &v.audience.counts
	if e.retry > 0 {
		v.retry = min(e.retry, time.Minute)
	}
	switch string(e.name) {
	case "":
		v.quiet(e)
		return
	case "hello":
		v.welcome(e)
		return
	case "tick":
		c.ticks.Add(1)
		a.publish(e.id)
		h, repeated := v.position.tick(e.id)
		if repeated {
			c.repeated.Add(1)
		}
		a.miss(h)
		if a.measuring.Load() {
			a.latency.add(now.Sub(time.UnixMilli(e.id).Add(a.delay)))
		}
	case "snapshot":
		c.snapshots.Add(1)
		a.miss(v.position.snapshot(e.id, numberIn(e.data, "since")))
	case "gap":
		c.gaps.Add(1)
		c.gapWindows.Add(v.position.gap(numberIn(e.data, "from"), numberIn(e.data, "to")))
	case "bye":
		c.byes.Add(1)
	default:
		c.notices.Add(1)
	}
	c.events.Add(1)
	v.reached.Store(v.position.last)
}

// welcome notes the beginning of a stream.
func (v *viewer) welcome(e *event) {
	v.audience.counts.connections.Add(1)
	v.audience.counts.connected.Add(1)
	v.hello = true
	if step := numberIn(e.data, "step_ms"); step > 0 {
		v.position.step = step
		v.step.Store(step)
	}
}

// quiet takes a block without an event: a heartbeat, or a comment that says why not now.
func (v *viewer) quiet(e *event) {
	if e.id > 0 {
		v.position.heartbeat(e.id)
		v.reached.Store(v.position.last)
	}
	if !v.hello && len(e.comment) > 0 {
		v.refusal = string(e.comment)
	}
}
