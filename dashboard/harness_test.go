package dashboard

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"telltale/aggregate"
	"telltale/dashboard/store"
	"telltale/stream"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp keeps the Date header current for as long as the process lives.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		// And so do its compressors, one for each processor.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp/stackless.funcWorker"),
	)
}

const (
	password = "correct horse battery"
	// patience is how long anything may take on a loaded machine.
	patience = 30 * time.Second
)

// past is a history of function fields.
type past struct {
	query  func(context.Context, HistoryQuery) (HistoryAnswer, error)
	agents func(context.Context) ([]KnownAgent, error)
	gaps   func(ctx context.Context, agent string, from, to time.Time) ([]Gap, error)
}

func (p past) Query(ctx context.Context, ask HistoryQuery) (HistoryAnswer, error) {
	return p.query(ctx, ask)
}

func (p past) Gaps(ctx context.Context, agent string, from, to time.Time) ([]Gap, error) {
	return p.gaps(ctx, agent, from, to)
}

func (p past) Agents(ctx context.Context) ([]KnownAgent, error) { return p.agents(ctx) }

// site is the whole dashboard on a port of its own. Windows close when told to.
type site struct {
	*App
	t        testing.TB
	nats     *nats.Conn
	registry *aggregate.Registry
	clock    testClock // half a second into a window: all before are closed
	url      string
}

// testClock is a clock that moves when told to.
type testClock struct{ ms atomic.Int64 }

func (c *testClock) now() time.Time { return time.UnixMilli(c.ms.Load()) }

func (c *testClock) add(d time.Duration) { c.ms.Add(d.Milliseconds()) }

type option func(*Config, *Parts)

// open starts a site with the user admin.
func open(t testing.TB, options ...option) *site {
	t.Helper()
	server, err := store.StartServer(t.TempDir(), discard)
	must(t, err)
	t.Cleanup(server.Close)
	nc, err := server.Connect()
	must(t, err)
	t.Cleanup(nc.Close)
	s := openOn(t, nc, options...)
	must(t, s.Store.Users.Create(t.Context(), "admin", password, store.Admin))
	return s
}

var discard = slog.New(slog.DiscardHandler)

// openOn starts a site on a store that others may use too, as after a restart.
func openOn(t testing.TB, nc *nats.Conn, options ...option) *site {
	t.Helper()
	kept, err := store.Open(t.Context(), nc, store.DefaultConfig(), discard)
	must(t, err)
	t.Cleanup(kept.Close)
	metrics := prometheus.NewRegistry()
	hub, err := stream.Open(stream.DefaultConfig(), metrics, discard)
	must(t, err)
	s := &site{t: t, nats: nc, registry: aggregate.NewRegistry(aggregate.Limits{})}
	cfg := Config{}
	parts := Parts{
		Store: kept, Live: aggregate.NewLive(aggregate.LiveConfig{}, s.registry), Streams: hub,
		History: past{
			query: func(context.Context, HistoryQuery) (HistoryAnswer, error) {
				return HistoryAnswer{}, &LimitError{Code: "no_history", Message: "this site has none"}
			},
			agents: func(context.Context) ([]KnownAgent, error) { return nil, nil },
		},
		Agents:       func() []DoorAgent { return nil },
		NotifyAgents: func(string, string) {},
		Page: fstest.MapFS{
			"index.html":           {Data: []byte("<!doctype html><title>the page</title>")},
			"build.txt":            {Data: []byte("secret\n")},
			"assets/app-1.js":      {Data: []byte(strings.Repeat("let a = 1;\n", 100))},
			"assets/style-1.css":   {Data: []byte("a{}")},
			"assets/inter-1.woff2": {Data: []byte("font")},
		},
		BuildID: "b1", Metrics: metrics,
		Register: func(r fiber.Router) {
			r.Get("/api/v1/ingest", func(c *fiber.Ctx) error { return c.SendString("the door") })
		},
	}
	for _, o := range options {
		o(&cfg, &parts)
	}
	s.App, err = New(cfg, parts, discard)
	must(t, err)
	s.serve()
	// The clock is behind, so that it can run ahead without passing the real one.
	s.clock.ms.Store(time.Now().Truncate(time.Second).UnixMilli() - 59_500)
	s.now = s.clock.now
	s.Live.Advance(s.now())
	return s
}

func (s *site) serve() {
	s.t.Helper()
	// Or its sweeper would sleep on for ten seconds after the shutdown, and look like a leak.
	s.Fiber().Server().MaxIdleWorkerDuration = 20 * time.Millisecond
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(s.t, err)
	s.url = "http://" + listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Fiber().Listener(listener) }()
	s.t.Cleanup(func() {
		s.close()
		_ = listener.Close() // the server knows it only once it serves, which it may not do yet
		if err := <-served; err != nil {
			s.t.Errorf("serve: %v", err)
		}
	})
}

func (s *site) close() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.topics.comparer.running.Wait()
	if err := s.Streams.Close(ctx); err != nil {
		s.t.Errorf("close the streams: %v", err)
	}
	s.topics.memory.close()
	if err := s.Fiber().ShutdownWithContext(ctx); err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "not running") {
		s.t.Errorf("shut down: %v", err)
	}
}

// send applies a sample of an agent, now.
func (s *site) send(agent, metric string, kind aggregate.Kind, value float64, labels ...aggregate.Label) {
	s.t.Helper()
	labels = append([]aggregate.Label{{Name: aggregate.AgentLabel, Value: agent}}, labels...)
	id, err := s.registry.Intern(aggregate.Series{Metric: metric, Kind: kind, Interval: time.Second, Labels: labels})
	must(s.t, err)
	s.Live.Apply(&aggregate.Batch{
		Agent: agent, Series: []aggregate.SeriesID{id}, TS: []int64{s.now().UnixMilli()}, Value: []float64{value}, N: []uint32{1},
	})
}

// tick lets a second pass and returns the end of the window that has closed with it.
func (s *site) tick() int64 {
	s.clock.add(time.Second)
	s.Live.Advance(s.now())
	s.topics.publish(s.t.Context(), s.now())
	return s.now().Truncate(time.Second).UnixMilli()
}

func (s *site) openTopics() int {
	s.topics.mu.Lock()
	defer s.topics.mu.Unlock()
	return len(s.topics.byKey)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls, far longer than it should take.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
