package agent

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"telltale/ingest/agent/spool"
	"telltale/ingest/wire"
)

// counting is a Collector whose one sample counts its calls.
type counting struct {
	series wire.Series
	ticks  atomic.Int64
	times  []time.Time
	made   []time.Duration
	closed int
}

func (c *counting) Collect(now time.Time, dst []wire.Sample) []wire.Sample {
	c.times = append(c.times, now)
	return append(dst, wire.Sample{Series: &c.series, TS: now.UnixMilli(), Value: float64(c.ticks.Add(1))})
}

func (c *counting) Close(context.Context) error {
	c.closed++
	return nil
}

func (c *counting) make(interval time.Duration) Collector {
	c.made = append(c.made, interval)
	return c
}

func TestAgentEndToEnd(t *testing.T) {
	h := startHub(t)
	c := &counting{series: wire.Series{Metric: "ticks"}}
	a, err := New(h.config("a"), c.make)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	eventually(t, "ticking", func() bool { return len(h.storage.all()) >= 5 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	expectOnce(t, h.storage.all(), int(c.ticks.Load()))
	if c.closed != 1 {
		t.Errorf("the collector was closed %d times", c.closed)
	}
	if len(h.storage.families) != 1 {
		t.Errorf("described %d series", len(h.storage.families))
	}
}

func TestTicksAreOneIntervalApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counting{series: wire.Series{Metric: "ticks"}}
		config := Config{
			Hub: "ws://hub", Interval: time.Second, Agent: wire.Agent{ID: "host-1"}, Log: testLog(t),
			SpoolDir: t.TempDir(), SpoolBytes: spool.MinBytes,
		}
		a, client := &Agent{config: config, collector: c.make}, testClient(t, config)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			a.collect(ctx, client)
		}()
		time.Sleep(10*time.Second + time.Millisecond)
		client.setInterval(5 * time.Second)
		time.Sleep(30 * time.Second)
		cancel()
		<-ended
		if err := client.spool.Close(); err != nil {
			t.Error(err)
		}
		if len(c.times) != 16 {
			t.Fatalf("%d ticks in 10 s at 1 s and 30 s at 5 s, want 16: %v", len(c.times), c.times)
		}
		phase := c.times[0].Nanosecond()
		if phase < 600e6 {
			t.Errorf("phase %d ns, want it within the last 400 ms of the second", phase)
		}
		for i, at := range c.times {
			want := time.Second
			if i >= 11 {
				want = 5 * time.Second
			}
			if at.Nanosecond() != phase || i > 0 && i != 10 && at.Sub(c.times[i-1]) != want {
				t.Errorf("tick %d at %v, the one before at %v", i, at, c.times[max(i-1, 0)])
			}
		}
		if fmt.Sprint(c.made) != "[1s 5s]" || c.closed != 2 {
			t.Errorf("collectors made %v, closed %d", c.made, c.closed)
		}
	})
}

func TestPhases(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	for _, interval := range []time.Duration{MinInterval, time.Second, 15 * time.Second} {
		phases := make(map[time.Duration]bool)
		for i := range 1000 {
			wait := untilTick(now, interval, fmt.Sprintf("host-%d", i))
			if wait <= 0 || wait > interval {
				t.Fatalf("untilTick = %v at %v", wait, interval)
			}
			at := time.Duration(now.Add(wait).UnixNano() % int64(interval))
			if at < interval-spread {
				t.Fatalf("a tick %v into an interval of %v", at, interval)
			}
			phases[at] = true
		}
		if len(phases) < 900 {
			t.Errorf("interval %v: only %d phases of 1000 agents", interval, len(phases))
		}
	}
}

// scripted is a hub that says what the test wants.
func scripted(t *testing.T, script func(conn *websocket.Conn)) Config {
	t.Helper()
	upgrader := websocket.Upgrader{Subprotocols: []string{wire.Subprotocol}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		if _, _, err := conn.ReadMessage(); err == nil {
			script(conn)
		}
	}))
	t.Cleanup(server.Close)
	return Config{Hub: server.URL, Token: "good", Interval: time.Second, SpoolDir: t.TempDir(), SpoolBytes: spool.MinBytes, Agent: wire.Agent{ID: "a"}, Log: testLog(t)}
}

func say(conn *websocket.Conn, f wire.Frame) {
	_ = conn.WriteMessage(websocket.BinaryMessage, wire.Binary(f))
}

func TestHeedsTheHub(t *testing.T) {
	config := scripted(t, func(conn *websocket.Conn) {
		limits := wire.DefaultLimits()
		limits.MaxInFlight = 1
		say(conn, &wire.Welcome{Session: "s", Limits: limits})
		say(conn, &wire.Notice{Level: "info", Text: "hello"})
		say(conn, &wire.Config{Interval: 5 * time.Second})
		say(conn, &wire.Config{Interval: time.Millisecond}) // is not heeded
		say(conn, &wire.Slow{MaxInFlight: 3})
		for range 3 {
			if _, _, err := conn.ReadMessage(); err != nil {
				t.Errorf("the granted window was not used: %v", err)
			}
		}
		say(conn, &wire.Error{Code: "overloaded", Message: "later", RetryAfter: 3 * time.Second})
	})
	c := testClient(t, config)
	for range 5 {
		c.spool.Add([]wire.Sample{{Series: &wire.Series{Metric: "m"}, Value: 1}})
	}
	_, err := c.connect(t.Context(), t.Context())
	var closing *wire.CloseError
	if !errors.As(err, &closing) || closing.Code != wire.Overloaded || closing.RetryAfter != 3*time.Second {
		t.Errorf("connect: %v", err)
	}
	if got := <-c.intervals; got != 5*time.Second {
		t.Errorf("interval %v", got)
	}
}

func TestHubThatTalksNonsense(t *testing.T) {
	f := func(script func(conn *websocket.Conn), says string) {
		t.Helper()
		c := testClient(t, scripted(t, script))
		if _, err := c.connect(t.Context(), t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("connect: %v, want %q", err, says)
		}
	}
	f(func(conn *websocket.Conn) { say(conn, &wire.Notice{}) }, "answered hello with *wire.Notice")
	f(func(conn *websocket.Conn) { _ = conn.WriteMessage(websocket.TextMessage, []byte("<html>")) }, "invalid character")
	f(func(conn *websocket.Conn) { say(conn, &wire.Error{Code: "clock_skew", Message: "set it"}) }, "clock_skew: set it")
	f(func(*websocket.Conn) {}, "connection lost")
}

func TestConfigValidate(t *testing.T) {
	good := Config{Hub: "ws://hub:8080", Token: "t", Interval: time.Second, SpoolDir: "spool", SpoolBytes: spool.DefaultBytes, Agent: wire.Agent{ID: "a"}}
	if err := good.Validate(); err != nil {
		t.Errorf("a good config: %v", err)
	}
	f := func(change func(*Config), says string) {
		t.Helper()
		c := good
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
	f(func(c *Config) { c.Hub = "hub:8080" }, "use ws://HOST:PORT")
	f(func(c *Config) { c.Hub = "ftp://hub" }, "use ws://HOST:PORT")
	f(func(c *Config) { c.Hub = "ws://" }, "names no host")
	f(func(c *Config) { c.Hub = "ws://hub?token=t" }, "ends up in logs")
	f(func(c *Config) { c.Hub = "ws://me:secret@hub" }, "ends up in logs")
	f(func(c *Config) { c.Token = "" }, "telltale token create")
	f(func(c *Config) { c.Token = "a b" }, "cut or quoted")
	f(func(c *Config) { c.Interval = time.Millisecond }, "interval")
	f(func(c *Config) { c.SpoolDir = "" }, "--spool")
	f(func(c *Config) { c.SpoolBytes = 1000 }, "--spool-bytes")
	f(func(c *Config) { c.BacklogRate = -1 }, "backlog rate")
	f(func(c *Config) { c.BacklogRate = math.NaN() }, "backlog rate")
	f(func(c *Config) { c.Agent.ID = "" }, "agent.id")
	f(func(c *Config) { c.Agent.Labels = []wire.Label{{Name: "agent", Value: "x"}} }, "reserved_label")
}

func TestHubURL(t *testing.T) {
	f := func(hub, want string) {
		t.Helper()
		if got, err := hubURL(hub); err != nil || got != want {
			t.Errorf("hubURL(%q) = %q, %v; want %q", hub, got, err, want)
		}
	}
	f("ws://hub:8080", "ws://hub:8080/api/v1/ingest")
	f("ws://hub:8080/", "ws://hub:8080/api/v1/ingest")
	f("https://hub", "wss://hub/api/v1/ingest")
	f("http://hub", "ws://hub/api/v1/ingest")
	f("wss://hub/telltale", "wss://hub/telltale/api/v1/ingest")
	f("wss://hub/api/v1/ingest", "wss://hub/api/v1/ingest")
}

func TestIdentity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if id, err := Identity(dir); err != nil || id != host {
			t.Errorf("Identity = %q, %v; want %q", id, err, host)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, identityFile), []byte("kept\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if id, err := Identity(dir); err != nil || id != "kept" {
		t.Errorf("Identity = %q, %v; want the one kept", id, err)
	}
	// Below a file no directory can be: the id is good for now, and the error says so.
	if id, err := Identity(filepath.Join(dir, identityFile, "state")); err == nil || id != "" && id != host {
		t.Errorf("a state directory that cannot be: %q, %v", id, err)
	}
}

func TestBackoff(t *testing.T) {
	var b backoff
	longest := time.Duration(0)
	for try := range 20 {
		wait := b.next(nil)
		want := min(firstWait<<min(try, 10), maxWait)
		if wait < want/2 || wait > want {
			t.Errorf("try %d: %v, want %v to %v", try, wait, want/2, want)
		}
		longest = max(longest, wait)
	}
	if longest > maxWait {
		t.Errorf("waits up to %v", longest)
	}
	b.reset()
	if wait := b.next(nil); wait > firstWait {
		t.Errorf("after a reset: %v", wait)
	}
	if wait := b.next(&wire.CloseError{Code: wire.Overloaded, RetryAfter: 7 * time.Second}); wait < 7*time.Second || wait > 14*time.Second {
		t.Errorf("told to come back in 7s: %v", wait)
	}
	if wait := b.next(wire.Closef(wire.Unauthorized, "")); wait < finalWait/2 {
		t.Errorf("unauthorized: %v", wait)
	}
	if wait := b.next(wire.Closef(wire.OutOfOrder, "")); wait > maxWait {
		t.Errorf("out of order: %v", wait)
	}
}
