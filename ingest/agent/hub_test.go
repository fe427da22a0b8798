package agent

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"telltale/ingest"
	"telltale/ingest/agent/spool"
	"telltale/ingest/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		// Sleeps for ten seconds, and ends then.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// patience is how long a test waits for what must happen; it is long for slow machines.
const patience = 30 * time.Second

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// storage outlives the hubs of a test. It is a Sink that stores at once, or when told.
type storage struct {
	mu       sync.Mutex
	server   *ingest.Server
	stored   map[string]map[string]uint64 // by agent and epoch
	values   []float64                    // of all stored samples
	live     []float64                    // of all samples that were shown
	gaps     []ingest.Gap
	waiting  []*ingest.Batch // taken, not stored
	fill     float64
	holding  bool
	full     bool
	away     bool // cannot say what is stored
	poisoned bool // what is stored is set aside instead
	families []wire.Series
}

// ownSeries is the id of the agent's own metrics, which are not kept.
const ownSeries = 1 << 32

func (s *storage) Series(d wire.Series) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.HasPrefix(d.Metric, "telltale.agent.") {
		return ownSeries, nil
	}
	s.families = append(s.families, d)
	return uint64(len(s.families)), nil
}

func (s *storage) Admit(_ context.Context, a wire.Agent) (map[string]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return nil, errors.New("the storage is away")
	}
	progress := make(map[string]uint64)
	for epoch, seq := range s.stored[a.ID] {
		progress[epoch] = seq
	}
	return progress, nil
}

func (s *storage) Take(b *ingest.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return ingest.ErrFull
	}
	s.waiting = append(s.waiting, b)
	if !s.holding {
		s.storeLocked()
	}
	return nil
}

// TakeGap stores the gap as a batch without rows.
func (s *storage) TakeGap(g *ingest.Gap) error {
	s.mu.Lock()
	s.gaps = append(s.gaps, *g)
	s.mu.Unlock()
	return s.Take(&ingest.Batch{Agent: g.Agent, Epoch: g.Epoch, Seq: g.ToSeq})
}

func (s *storage) Live(b *ingest.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, v := range b.Value {
		if b.Series[i] != ownSeries {
			s.live = append(s.live, v)
		}
	}
}

func (s *storage) Fill(string) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fill
}

func (s *storage) Forget(string) {}

func (s *storage) Detach(string) {}

// storeLocked stores all that waits.
func (s *storage) storeLocked() {
	for _, b := range s.waiting {
		if s.stored[b.Agent] == nil {
			s.stored[b.Agent] = make(map[string]uint64)
		}
		s.stored[b.Agent][b.Epoch] = b.Seq
		for i, v := range b.Value {
			if b.Series[i] != ownSeries && !s.poisoned {
				s.values = append(s.values, v)
			}
		}
		s.server.Stored([]ingest.Stored{{Agent: b.Agent, Epoch: b.Epoch, Seq: b.Seq, Quarantined: s.poisoned}})
	}
	s.waiting = nil
}

// storeUnheard stores all that waits, and the hub ends before it can say so.
func (s *storage) storeUnheard() {
	for _, b := range s.waiting {
		s.stored[b.Agent][b.Epoch] = b.Seq
		for i, v := range b.Value {
			if b.Series[i] != ownSeries {
				s.values = append(s.values, v)
			}
		}
	}
	s.waiting = nil
}

// set changes the storage's behaviour; letting go stores all that waits.
func (s *storage) set(change func(*storage)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
	if !s.holding {
		s.storeLocked()
	}
}

func (s *storage) all() []float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.values)
}

func (s *storage) shown() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}

func (s *storage) taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

// testHub is a real door over a storage. It can be stopped and started at one address.
type testHub struct {
	t       testing.TB
	address string
	storage *storage
	server  *ingest.Server
	app     *fiber.App
	served  chan error
}

type tokens struct{}

func (tokens) Agent(_ context.Context, token string) (string, bool, error) {
	return "id", token == "good", nil
}

func startHub(t testing.TB) *testHub {
	h := &testHub{t: t, address: "127.0.0.1:0", storage: &storage{stored: make(map[string]map[string]uint64)}}
	h.start()
	t.Cleanup(h.stop)
	return h
}

func (h *testHub) start() {
	h.t.Helper()
	config := ingest.DefaultConfig()
	config.LiveOnlyTime, config.RetryAfter = 100*time.Millisecond, 50*time.Millisecond
	server, err := ingest.New(config, h.storage, tokens{}, prometheus.NewRegistry(), testLog(h.t).With("end", "hub"))
	if err != nil {
		h.t.Fatal(err)
	}
	var listener net.Listener
	eventually(h.t, "listening again", func() bool {
		listener, err = net.Listen("tcp", h.address)
		return err == nil
	})
	h.address = listener.Addr().String()
	h.storage.set(func(s *storage) { s.server = server })
	h.server, h.app, h.served = server, fiber.New(fiber.Config{DisableStartupMessage: true}), make(chan error, 1)
	server.Register(h.app)
	go func() { h.served <- h.app.Listener(listener) }()
	// Until it has answered once, a Shutdown would come too early and be forgotten.
	response, err := http.Get("http://" + h.address)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = response.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

// stop ends the hub; what was taken and not stored is lost with it, as in a crash.
func (h *testHub) stop() {
	if h.app == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := h.server.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		h.t.Error(err)
	}
	if err := h.app.ShutdownWithTimeout(patience); err != nil {
		h.t.Error(err)
	}
	if err := <-h.served; err != nil {
		h.t.Error(err)
	}
	h.app = nil
	h.storage.set(func(s *storage) { s.waiting = nil })
}

func (h *testHub) config(id string) Config {
	return Config{
		Hub: "ws://" + h.address, Token: "good", Interval: MinInterval, BacklogRate: 1e6,
		SpoolDir: h.t.TempDir(), SpoolBytes: spool.DefaultBytes,
		Agent: wire.Agent{ID: id}, Log: testLog(h.t).With("end", id),
	}
}

// testClient makes a client with a spool of its own.
func testClient(t testing.TB, config Config) *client {
	t.Helper()
	held, err := spool.Open(spool.Config{Dir: config.SpoolDir, Bytes: config.SpoolBytes, Log: config.Log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = held.Close() })
	c, err := newClient(config, held)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sender is a client to which the test feeds 1, 2, 3, ...
type sender struct {
	*client
	t      testing.TB
	series *wire.Series
	last   float64
	cancel context.CancelFunc
	ended  chan struct{}
}

// start runs a client; stop it with stop, or the test's end does.
func start(t testing.TB, config Config) *sender {
	t.Helper()
	c := testClient(t, config)
	ctx, cancel := context.WithCancel(context.Background())
	s := &sender{client: c, t: t, series: &wire.Series{Metric: "m"}, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		c.run(ctx)
	}()
	t.Cleanup(s.stop)
	return s
}

func (s *sender) stop() {
	s.cancel()
	<-s.ended
	if err := s.spool.Close(); err != nil {
		s.t.Error(err)
	}
}

// feed adds n batches of one sample.
func (s *sender) feed(n int) {
	for range n {
		s.last++
		s.spool.Add([]wire.Sample{{Series: s.series, TS: time.Now().UnixMilli(), Value: s.last}})
	}
}

func (s *sender) awaitEmpty() {
	s.t.Helper()
	eventually(s.t, "acknowledging everything", func() bool { return s.spool.Stats().Batches == 0 })
}

// expectOnce checks that 1 to n are stored, each once.
func expectOnce(t testing.TB, values []float64, n int) {
	t.Helper()
	if len(values) != n {
		t.Fatalf("%d values stored, want %d: %v", len(values), n, values)
	}
	sorted := slices.Sorted(slices.Values(values))
	for i, v := range sorted {
		if v != float64(i+1) {
			t.Fatalf("value %d is %v: not each once: %v", i, v, values)
		}
	}
}
