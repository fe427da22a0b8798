package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"telltale/ingest"
	"telltale/ingest/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		// Sleeps for ten seconds, and ends then.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// hub stores everything at once and remembers which metrics it saw.
type hub struct {
	server *ingest.Server

	mu      sync.Mutex
	agent   wire.Agent
	series  []wire.Series
	samples int
}

func (h *hub) Agent(_ context.Context, token string) (string, bool, error) {
	return "id", token == "good", nil
}

func (h *hub) Series(s wire.Series) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.series = append(h.series, s)
	return uint64(len(h.series)), nil
}

func (h *hub) Admit(_ context.Context, a wire.Agent) (map[string]uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.agent = a
	return nil, nil
}

func (h *hub) Take(b *ingest.Batch) error {
	h.mu.Lock()
	h.samples += len(b.Series)
	h.mu.Unlock()
	h.server.Stored([]ingest.Stored{{Agent: b.Agent, Epoch: b.Epoch, Seq: b.Seq}})
	return nil
}

func (h *hub) TakeGap(g *ingest.Gap) error {
	h.server.Stored([]ingest.Stored{{Agent: g.Agent, Epoch: g.Epoch, Seq: g.ToSeq}})
	return nil
}

func (h *hub) Live(*ingest.Batch)  {}
func (h *hub) Fill(string) float64 { return 0 }
func (h *hub) Forget(string)       {}
func (h *hub) Detach(string)       {}

func (h *hub) saw(metric string) (wire.Series, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.series {
		if s.Metric == metric {
			return s, true
		}
	}
	return wire.Series{}, false
}

func startHub(t *testing.T) (*hub, string) {
	t.Helper()
	h := &hub{}
	server, err := ingest.New(ingest.DefaultConfig(), h, h, prometheus.NewRegistry(), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	h.server = server
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	server.Register(app)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- app.Listener(listener) }()
	t.Cleanup(func() {
		if err := server.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := app.Shutdown(); err != nil {
			t.Error(err)
		}
		<-served
	})
	return h, "ws://" + listener.Addr().String()
}

// The command as it is started, against a real door: this host's metrics arrive.
func TestDeliversThisHost(t *testing.T) {
	h, address := startHub(t)
	state := filepath.Join(t.TempDir(), "state")
	t.Setenv("TELLTALE_TOKEN", "good")
	t.Setenv("TELLTALE_LABEL", "region=eu,shop=de")
	ctx, cancel := context.WithCancel(context.Background())
	exit := make(chan int, 1)
	go func() { exit <- run(ctx, []string{"--hub", address, "--spool", state, "--interval", "100ms"}) }()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, ok := h.saw("system.cpu.load_average.1m"); ok {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the load average did not arrive")
		}
	}
	cancel()
	if code := <-exit; code != exitDone {
		t.Errorf("exit code %d", code)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if h.agent.ID != host || len(h.agent.Attributes) == 0 {
		t.Errorf("agent %+v, want id %q and host facts", h.agent, host)
	}
	load, _ := h.saw("system.cpu.load_average.1m")
	want := []wire.Label{{Name: "agent", Value: host}, {Name: "region", Value: "eu"}, {Name: "shop", Value: "de"}}
	if len(load.Labels) != 3 || load.Labels[0] != want[0] || load.Labels[1] != want[1] || load.Labels[2] != want[2] {
		t.Errorf("labels %v, want %v", load.Labels, want)
	}
	if _, err := os.Stat(filepath.Join(state, "agent-id")); err != nil {
		t.Error(err)
	}
}

func TestWrongUsage(t *testing.T) {
	f := func(args ...string) {
		t.Helper()
		if code := run(t.Context(), append(args, "--spool", t.TempDir())); code != exitUsage {
			t.Errorf("%v: exit code %d, want %d", args, code, exitUsage)
		}
	}
	f()
	f("--hub", "ws://hub")
	f("--hub", "hub:8080", "--token", "t")
	f("--hub", "ws://hub?token=t", "--token", "t")
	f("--hub", "ws://hub", "--token", "t", "--interval", "1ms")
	f("--hub", "ws://hub", "--token", "t", "--label", "agent=x")
	f("--hub", "ws://hub", "--token", "t", "--spool-bytes", "1000")
	f("--hub", "ws://hub", "--token", "t", "--no-such-flag")
}

// Without a hub an agent stops in good order too: what it read is on disk. Another start
// delivers it, though only the newest is waited for.
func TestStopsWithoutAHub(t *testing.T) {
	state := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if code := run(ctx, []string{"--hub", "ws://127.0.0.1:1", "--token", "t", "--spool", state, "--interval", "100ms"}); code != exitDone {
		t.Errorf("exit code %d, want %d", code, exitDone)
	}
	segments, err := filepath.Glob(filepath.Join(state, "*.seg"))
	if err != nil || len(segments) != 1 {
		t.Errorf("segments %v, %v; want one", segments, err)
	}
}

// An agent that can neither deliver nor write says so by its exit code.
func TestStopsWithoutAHubAndADisk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if code := run(ctx, []string{"--hub", "ws://127.0.0.1:1", "--token", "t", "--id", "a", "--spool", filepath.Join(file, "x"), "--interval", "100ms"}); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
}
