package stream

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// Ids are times, and clocks differ. One that lies further ahead is none of ours.
const maxAhead = 10 * time.Second

// Refusals are written by their own connection's goroutine, so they may take this long.
const refusalTimeout = 5 * time.Second

// Who is refused comes back after a random time within these.
const minRefusalRetry, maxRefusalRetry = 5 * time.Second, 20 * time.Second

// Request is one viewer's wish, checked by the caller.
type Request struct {
	Topic   *Topic
	Session string    // a key for [Hub.End]
	User    string    // who the streams are counted for
	Expires time.Time // when the session ends by itself; zero: it does not
	Hello   []byte    // data of the first event
}

// Serve answers c with an event stream and returns at once: the stream goes on after the
// handler has returned. Headers set on the response before are sent with it. It works with
// any server settings; the response must not be touched afterwards. Nothing in r is kept
// that belongs to c.
func (h *Hub) Serve(c *fasthttp.RequestCtx, r Request) {
	gzip := acceptsGzip(string(c.Request.Header.Peek(fasthttp.HeaderAcceptEncoding)))
	head := responseHead(&c.Response.Header, gzip)
	if c.IsHead() {
		return
	}
	age := jitter(h.cfg.MaxAge*8/10, h.cfg.MaxAge)
	v := &viewer{
		topic:   r.Topic,
		session: strings.Clone(r.Session),
		user:    strings.Clone(r.User),
		gzip:    gzip,
		lastID:  lastEventID(c),
		rest:    append(head, wrap(gzip, h.hello(r.Hello))...),
		silence: jitter(h.cfg.Heartbeat*8/10, h.cfg.Heartbeat-h.cfg.scanEvery()),
		endsAt:  time.Now().Add(age),
		endsAs:  byeMaxAge,
	}
	if !r.Expires.IsZero() && r.Expires.Before(v.endsAt) {
		v.endsAt, v.endsAs = r.Expires, byeExpired
	}
	c.HijackSetNoResponse(true)
	c.Hijack(func(conn net.Conn) { h.take(unwrap(conn), v, len(head)) })
}

// take makes an admitted viewer's connection its writer's. The server closes c when take
// returns, unless it is set to keep hijacked connections; then take is the one who closes it.
func (h *Hub) take(c net.Conn, v *viewer, headBytes int) {
	defer func() { _ = c.Close() }()
	if refusal := h.admit(v); refusal != "" {
		h.refuse(c, v, v.rest[:headBytes], refusal)
		return
	}
	defer h.running.Done()
	if s, ok := newSocket(c, h.poller, v, h.cfg.Stall); ok {
		v.conn = s
		h.hand(v)
		return
	}
	r := newRelay(c, v, h.cfg.Stall)
	v.conn = r
	h.hand(v)
	r.run()
}

func (h *Hub) hand(v *viewer) {
	if !v.writer.signal(v, joined) {
		v.conn.close(true)
		h.release(v)
	}
}

// refuse turns a viewer away for now. For an EventSource any other status is final.
func (h *Hub) refuse(c net.Conn, v *viewer, head []byte, reason string) {
	h.metrics.refused.WithLabelValues(reason).Inc()
	var retry time.Duration
	switch reason {
	case "closed":
		retry = h.retryAfterShutdown()
	case "topic_closed":
		retry = h.cfg.Retry
	default:
		retry = jitter(minRefusalRetry, maxRefusalRetry)
	}
	block := fmt.Appendf(nil, ": refused for now: %s\n", reason)
	block = append(appendRetry(block, retry), '\n')
	// A viewer that does not take it has left or will be told again.
	_ = c.SetWriteDeadline(time.Now().Add(refusalTimeout))
	_, _ = c.Write(append(head[:len(head):len(head)], wrap(v.gzip, block)...))
}

// responseHead completes the header and returns it as bytes, gzip's own header included.
func responseHead(header *fasthttp.ResponseHeader, gzip bool) []byte {
	header.SetStatusCode(fasthttp.StatusOK)
	header.SetContentType("text/event-stream")
	header.Set(fasthttp.HeaderCacheControl, "no-store, no-transform")
	header.Set("X-Accel-Buffering", "no")
	header.Add(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
	// Neither a length nor chunks: one frame stays one byte string for all, and the end of
	// the connection is the end of the stream.
	header.SetContentLength(-2)
	if !gzip {
		return append([]byte(nil), header.Header()...)
	}
	header.SetContentEncoding("gzip")
	return append(append([]byte(nil), header.Header()...), gzipHeader...)
}

// hello is the first block. Its retry differs from viewer to viewer, for they may all be
// cut off at once.
func (h *Hub) hello(data []byte) []byte {
	return appendEvent(appendRetry(nil, jitter(h.cfg.Retry, 2*h.cfg.Retry)), 0, "hello", data)
}

// lastEventID is the id a returning viewer has, or zero. A new EventSource cannot set the
// header, so the query may give it; the header wins, for the browser keeps it current.
func lastEventID(c *fasthttp.RequestCtx) int64 {
	text := c.Request.Header.Peek("Last-Event-ID")
	if text == nil {
		text = c.QueryArgs().Peek("last_event_id")
	}
	id, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || id < 0 || id > time.Now().Add(maxAhead).UnixMilli() {
		return 0
	}
	return id
}

// acceptsGzip reads an Accept-Encoding header.
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, weight, weighted := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			continue
		}
		_, q, _ := strings.Cut(weight, "=")
		value, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
		return !weighted || err == nil && value > 0
	}
	return false
}

// unwrap returns the connection beneath the server's wrapper, which it may reuse.
func unwrap(c net.Conn) net.Conn {
	if w, ok := c.(interface{ UnsafeConn() net.Conn }); ok {
		return w.UnsafeConn()
	}
	return c
}
