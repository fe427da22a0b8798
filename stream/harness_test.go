package stream

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// enough is how long anything may take on a loaded machine before a test gives up.
const enough = 30 * time.Second

// site is a real server with one topic. Its topic's state is the list of published ids.
type site struct {
	t     testing.TB
	hub   *Hub
	topic *Topic
	addr  string
	tls   *tls.Config

	mu      sync.Mutex
	id      int64
	since   int64 // exclusive, as in Keyframe
	builds  int
	far     func(context.Context) Keyframe // what past gives
	asked   int                            // how often it was
	pad     string                         // makes frames as large as a test needs them
	expires time.Time

	transient bool // who connects closes: a cleanup for each of very many would be all that grows
}

type option func(*Config, *fiber.App, *site)

func withConfig(f func(*Config)) option { return func(c *Config, _ *fiber.App, _ *site) { f(c) } }

func withTLS(c *tls.Config) option { return func(_ *Config, _ *fiber.App, s *site) { s.tls = c } }

// openHub makes a hub with a topic, without a server.
func openHub(t testing.TB, opts ...option) *site {
	t.Helper()
	s := &site{t: t}
	s.openHub(fiber.New(), opts)
	t.Cleanup(s.close)
	return s
}

func (s *site) openHub(app *fiber.App, opts []option) {
	s.t.Helper()
	cfg := DefaultConfig()
	for _, o := range opts {
		o(&cfg, app, s)
	}
	hub, err := Open(cfg, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatal(err)
	}
	s.hub = hub
	s.topic = hub.NewTopic(s.keyframe, s.past)
}

func (s *site) close() {
	ctx, cancel := context.WithTimeout(context.Background(), enough)
	defer cancel()
	if err := s.hub.Close(ctx); err != nil {
		s.t.Errorf("close the hub: %v", err)
	}
}

func open(t testing.TB, opts ...option) *site {
	t.Helper()
	s := &site{t: t}
	app := fiber.New(fiber.Config{
		DisableStartupMessage: true,
		ReadTimeout:           10 * time.Second,
		WriteTimeout:          10 * time.Second,
		IdleTimeout:           10 * time.Second,
	})
	// Or its sweeper would sleep on for ten seconds after the shutdown, and look like a leak.
	app.Server().MaxIdleWorkerDuration = 20 * time.Millisecond
	s.openHub(app, opts)
	app.Get("/stream", s.handle)
	app.Get("/ready", func(*fiber.Ctx) error { return nil })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	if s.tls != nil {
		ln = tls.NewListener(ln, s.tls)
	}
	served := make(chan error, 1)
	go func() { served <- app.Listener(ln) }()
	t.Cleanup(func() {
		s.close()
		ctx, cancel := context.WithTimeout(context.Background(), enough)
		defer cancel()
		_ = ln.Close() // the server knows it only once it serves, which it may not do yet
		if err := app.ShutdownWithContext(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("shut the server down: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

func (s *site) handle(c *fiber.Ctx) error {
	c.Set("X-Content-Type-Options", "nosniff")
	c.Cookie(&fiber.Cookie{Name: "seen", Value: "yes"})
	s.mu.Lock()
	expires := s.expires
	s.mu.Unlock()
	s.hub.Serve(c.Context(), Request{
		Topic:   s.topic,
		Session: c.Query("session", "s"),
		User:    c.Query("user", "u"),
		Expires: expires,
		Hello:   []byte(`{"version":1}`),
	})
	return nil
}

func (s *site) keyframe(context.Context) Keyframe {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.builds++
	if s.id == 0 {
		return Keyframe{}
	}
	return Keyframe{ID: s.id, Since: s.since, Data: fmt.Appendf(nil, `{"end":%d,"pad":"%s"}`, s.id, s.pad)}
}

func (s *site) past(ctx context.Context) Keyframe {
	s.mu.Lock()
	s.asked++
	far := s.far
	s.mu.Unlock()
	if far == nil {
		return Keyframe{}
	}
	return far(ctx)
}

// publish makes ticks up to id, each one after its predecessor.
func (s *site) publish(id int64) {
	s.t.Helper()
	for {
		s.mu.Lock()
		if s.id >= id {
			s.mu.Unlock()
			return
		}
		s.id++
		data := fmt.Appendf(nil, `{"end":%d,"pad":"%s"}`, s.id, s.pad)
		next := s.id
		s.mu.Unlock()
		if err := s.topic.Publish(next, data); err != nil {
			s.t.Fatal(err)
		}
	}
}

// tick publishes data under an id.
func (s *site) tick(id int64, data string) {
	s.t.Helper()
	s.mu.Lock()
	s.id = id
	s.mu.Unlock()
	if err := s.topic.Publish(id, []byte(data)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) setState(id, since int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.since = id, since
}

func (s *site) open() int {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return s.hub.open
}

func (s *site) refused(reason string) int {
	return int(testutil.ToFloat64(s.hub.metrics.refused.WithLabelValues(reason)))
}

func (s *site) gone(reason string) int {
	return int(testutil.ToFloat64(s.hub.metrics.gone.WithLabelValues(reason)))
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(enough); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", enough, what)
		}
	}
}

// event is one block as a client understands it.
type event struct {
	id    string
	name  string
	data  string
	retry string
}

// peer is a client on a connection of its own.
type peer struct {
	t    testing.TB
	conn net.Conn
	resp *http.Response
	body *bufio.Reader
}

// connect sends a request and reads the response's head.
func (s *site) connect(query string, header ...string) *peer {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.request(conn, query, header...)
}

func (s *site) request(conn net.Conn, query string, header ...string) *peer {
	s.t.Helper()
	if s.tls != nil {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	if !s.transient {
		s.t.Cleanup(func() { _ = conn.Close() })
	}
	_ = conn.SetDeadline(time.Now().Add(enough))
	lines := append([]string{"GET /stream" + query + " HTTP/1.1", "Host: hub"}, header...)
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		s.t.Fatal(err)
	}
	p := &peer{t: s.t, conn: conn}
	var err error
	raw := bufio.NewReaderSize(conn, 1024)
	if p.resp, err = http.ReadResponse(raw, nil); err != nil {
		s.t.Fatal(err)
	}
	if p.resp.StatusCode != 200 {
		s.t.Fatalf("status %s", p.resp.Status)
	}
	p.body = bufio.NewReader(p.resp.Body)
	if p.resp.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(p.resp.Body)
		if err != nil {
			s.t.Fatal(err)
		}
		p.body = bufio.NewReader(z)
	}
	return p
}

// readFrom is a peer on a response that a client of Go's has, decompressed.
func readFrom(t testing.TB, response *http.Response) *peer {
	return &peer{t: t, resp: response, body: bufio.NewReader(response.Body)}
}

// read returns the next block, or an error at the end.
func (p *peer) read() (event, error) {
	var e event
	var data []string
	for {
		line, err := p.body.ReadString('\n')
		if err != nil {
			return e, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			e.data = strings.Join(data, "\n")
			return e, nil
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			data = append(data, value)
		case "retry":
			e.retry = value
		}
	}
}

// next returns the next block that is no heartbeat.
func (p *peer) next() event {
	p.t.Helper()
	for {
		e, err := p.read()
		if err != nil {
			p.t.Fatalf("read the stream: %v", err)
		}
		if e.name != "" || e.retry != "" {
			return e
		}
	}
}

// want checks the next event's name and id (0: none) and returns its data.
func (p *peer) want(name string, id int64) string {
	p.t.Helper()
	e := p.next()
	text := ""
	if id != 0 {
		text = strconv.FormatInt(id, 10)
	}
	if e.name != name || e.id != text {
		p.t.Fatalf("got event %q id %q data %.80s, want %q id %q", e.name, e.id, e.data, name, text)
	}
	return e.data
}

// ended checks that nothing follows.
func (p *peer) ended() {
	p.t.Helper()
	e, err := p.read()
	// A compressed stream has no trailer.
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		p.t.Fatalf("got %+v and error %v, want the end", e, err)
	}
}
