package ingest

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
	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"telltale/ingest/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		// Sleeps for ten seconds, and ends then.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// patience is how long a test waits for what must happen; it is long for slow machines.
const patience = 20 * time.Second

type fakeSink struct {
	series func(wire.Series) (uint64, error)
	admit  func(context.Context, wire.Agent) (map[string]uint64, error)
	take   func(*Batch) error
	gap    func(*Gap) error
	live   func(*Batch)
	fill   func() float64
	forget func(string)
	detach func(string)
}

func (f *fakeSink) Series(s wire.Series) (uint64, error) { return f.series(s) }
func (f *fakeSink) Admit(ctx context.Context, a wire.Agent) (map[string]uint64, error) {
	return f.admit(ctx, a)
}
func (f *fakeSink) Take(b *Batch) error  { return f.take(b) }
func (f *fakeSink) TakeGap(g *Gap) error { return f.gap(g) }
func (f *fakeSink) Live(b *Batch)        { f.live(b) }
func (f *fakeSink) Fill(string) float64  { return f.fill() }
func (f *fakeSink) Forget(agent string)  { f.forget(agent) }
func (f *fakeSink) Detach(agent string)  { f.detach(agent) }

// hub is a Server behind a real listener, with a Sink that remembers what it is given and
// stores it when the test says so, or at once.
type hub struct {
	t        testing.TB
	server   *Server
	url      string
	registry *prometheus.Registry
	sink     *fakeSink

	mu        sync.Mutex
	known     []wire.Series // id is the index + 1
	batches   []*Batch
	gaps      []*Gap
	shown     []*Batch
	used      float64                      // of the bound on unstored samples
	stored    map[string]map[string]uint64 // by agent and epoch
	forgotten []string
	detached  []string
	storing   bool // Take stores at once
}

const goodToken = "good-token"

type tokens map[string]string

func (k tokens) Agent(_ context.Context, token string) (string, bool, error) {
	id, ok := k[token]
	return id, ok, nil
}

func startHub(t testing.TB, configure ...func(*Config, *fakeSink)) *hub {
	t.Helper()
	h := &hub{t: t, registry: prometheus.NewRegistry(), stored: make(map[string]map[string]uint64), storing: true}
	h.sink = &fakeSink{series: h.series, admit: h.admit, take: h.take, gap: h.takeGap, live: h.live, fill: h.fill, forget: h.forget, detach: h.detach}
	config := DefaultConfig()
	for _, c := range configure {
		c(&config, h.sink)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	known := tokens{goodToken: "token-1", "second-token": "token-2"}
	server, err := New(config, h.sink, known, h.registry, log)
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
	h.url = "ws://" + listener.Addr().String() + wire.Path
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		_ = server.Close(ctx) // a test may leave batches unstored
		if err := app.ShutdownWithTimeout(patience); err != nil {
			t.Errorf("stopping the app: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return h
}

func (h *hub) series(s wire.Series) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = append(h.known, s)
	return uint64(len(h.known)), nil
}

func (h *hub) admit(_ context.Context, a wire.Agent) (map[string]uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	progress := make(map[string]uint64)
	for epoch, seq := range h.stored[a.ID] {
		progress[epoch] = seq
	}
	return progress, nil
}

func (h *hub) take(b *Batch) error {
	h.mu.Lock()
	h.batches = append(h.batches, b)
	storing := h.storing
	h.mu.Unlock()
	if storing {
		h.store(b.Agent, b.Epoch, b.Seq)
	}
	return nil
}

func (h *hub) takeGap(g *Gap) error {
	h.mu.Lock()
	h.gaps = append(h.gaps, g)
	storing := h.storing
	h.mu.Unlock()
	if storing {
		h.store(g.Agent, g.Epoch, g.ToSeq)
	}
	return nil
}

func (h *hub) live(b *Batch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.shown = append(h.shown, b)
}

func (h *hub) fill() float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.used
}

// setFill changes what Fill says.
func (h *hub) setFill(share float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.used = share
}

// shownSeqs returns what the live state was given of an epoch.
func (h *hub) shownSeqs(agent, epoch string) []uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var seqs []uint64
	for _, b := range h.shown {
		if b.Agent == agent && b.Epoch == epoch {
			seqs = append(seqs, b.Seq)
		}
	}
	return seqs
}

// status returns an agent's.
func (h *hub) status(agent string) AgentStatus {
	for _, st := range h.server.Agents() {
		if st.ID == agent {
			return st
		}
	}
	return AgentStatus{}
}

func (h *hub) forget(agent string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgotten = append(h.forgotten, agent)
}

func (h *hub) detach(agent string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.detached = append(h.detached, agent)
}

// store stores an epoch up to seq.
func (h *hub) store(agent, epoch string, seq uint64) {
	h.mu.Lock()
	if h.stored[agent] == nil {
		h.stored[agent] = make(map[string]uint64)
	}
	h.stored[agent][epoch] = seq
	h.mu.Unlock()
	h.server.Stored([]Stored{{Agent: agent, Epoch: epoch, Seq: seq}})
}

// hold makes batches wait for store.
func (h *hub) hold() {
	h.mu.Lock()
	h.storing = false
	h.mu.Unlock()
}

// taken returns the batches of an agent in the order they arrived.
func (h *hub) taken(agent string) []*Batch {
	h.mu.Lock()
	defer h.mu.Unlock()
	var of []*Batch
	for _, b := range h.batches {
		if b.Agent == agent {
			of = append(of, b)
		}
	}
	return of
}

func (h *hub) seqs(agent string) []uint64 {
	var seqs []uint64
	for _, b := range h.taken(agent) {
		seqs = append(seqs, b.Seq)
	}
	return seqs
}

// describe returns the series with this id.
func (h *hub) describe(id uint64) wire.Series {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known[id-1]
}

// counter returns a metric of the server, such as `closed_total{bad_frame}`.
func (h *hub) counter(name string) float64 {
	h.t.Helper()
	name, label, _ := strings.Cut(strings.TrimSuffix(name, "}"), "{")
	m := h.server.metrics
	switch name {
	case "closed_total":
		return testutil.ToFloat64(m.closed.WithLabelValues(label))
	case "refused_samples_total":
		return testutil.ToFloat64(m.refused[label])
	case "rejected_total":
		return testutil.ToFloat64(m.rejected.WithLabelValues(label))
	case "frames_total":
		return testutil.ToFloat64(m.frames.WithLabelValues(label))
	case "duplicate_batches_total":
		return testutil.ToFloat64(m.duplicates)
	case "gap_batches_total":
		return testutil.ToFloat64(m.gapBatches)
	case "samples_total":
		return testutil.ToFloat64(m.samples)
	case "stalls_total":
		return testutil.ToFloat64(m.stalls)
	case "full_total":
		return testutil.ToFloat64(m.full)
	case "duplicate_agents_total":
		return testutil.ToFloat64(m.duplicateAgents)
	case "live_only_agents":
		return testutil.ToFloat64(m.liveOnlyAgents)
	case "live_only_batches_total":
		return testutil.ToFloat64(m.liveOnlyBatches)
	case "in_flight_batches":
		return testutil.ToFloat64(m.inFlight)
	case "received_samples_total":
		return testutil.ToFloat64(m.received)
	case "stored_samples_total":
		return testutil.ToFloat64(m.stored)
	case "gap_samples_total":
		return testutil.ToFloat64(m.gapSamples[label])
	case "connections":
		return testutil.ToFloat64(m.connections)
	}
	h.t.Fatalf("no metric %q", name)
	return 0
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// client is an agent made by hand.
type client struct {
	t    testing.TB
	conn *websocket.Conn
	*wire.Decoder
	*wire.Encoder
}

func (h *hub) dial(header http.Header) (*client, *http.Response, error) {
	dialer := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}, HandshakeTimeout: patience}
	conn, response, err := dialer.Dial(h.url, header)
	if err != nil {
		return nil, response, err
	}
	c := &client{t: h.t, conn: conn, Decoder: wire.NewDecoder(wire.DefaultLimits()), Encoder: wire.NewEncoder(wire.DefaultLimits())}
	h.t.Cleanup(func() { _ = conn.Close() })
	return c, response, nil
}

func (h *hub) connect() *client {
	h.t.Helper()
	c, _, err := h.dial(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// agent connects and says hello in JSON.
func (h *hub) agent(id string, epochs ...string) *client {
	h.t.Helper()
	c := h.connect()
	c.send(&wire.Hello{Token: goodToken, Agent: wire.Agent{ID: id}, Epochs: epochs})
	return c
}

// welcomed is an agent that has read its welcome.
func (h *hub) welcomed(id string, epochs ...string) *client {
	h.t.Helper()
	c := h.agent(id, epochs...)
	expect[*wire.Welcome](c)
	return c
}

func (c *client) text(message string) {
	c.t.Helper()
	if err := c.conn.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) binary(message []byte) {
	c.t.Helper()
	if err := c.conn.WriteMessage(websocket.BinaryMessage, message); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) send(f wire.Frame) {
	c.t.Helper()
	message, err := wire.Text(f)
	if err != nil {
		c.t.Fatal(err)
	}
	c.text(string(message))
}

func (c *client) sendBinary(f wire.Frame) {
	c.t.Helper()
	message, _ := c.Append(nil, f)
	c.binary(message)
}

func (c *client) read() (wire.Frame, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	kind, message, err := c.conn.ReadMessage()
	if err != nil {
		return nil, err
	}
	if kind == websocket.TextMessage {
		return c.Text(message)
	}
	return c.Binary(message)
}

// expect reads the next frame, which must be an F, unless it only changes the window.
func expect[F wire.Frame](c *client) F {
	c.t.Helper()
	frame, err := c.read()
	if err != nil {
		c.t.Fatalf("waiting for a %T: %v", *new(F), err)
	}
	f, ok := frame.(F)
	if slow, paced := frame.(*wire.Slow); !ok && paced && !slow.LiveOnly {
		return expect[F](c)
	}
	if !ok {
		c.t.Fatalf("got %T %+v, want a %T", frame, frame, f)
	}
	return f
}

// closed reads until the connection is closed and returns the last error frame and the code.
func (c *client) closed() (*wire.Error, wire.CloseCode) {
	c.t.Helper()
	var last *wire.Error
	for {
		frame, err := c.read()
		var closing *websocket.CloseError
		if errors.As(err, &closing) {
			return last, wire.CloseCode(closing.Code)
		}
		if err != nil {
			c.t.Fatalf("waiting for a close frame: %v", err)
		}
		if e, ok := frame.(*wire.Error); ok {
			last = e
		}
	}
}

// expectClose checks code, error frame and counter of a closed connection.
func (h *hub) expectClose(c *client, code wire.CloseCode, says string) {
	h.t.Helper()
	last, got := c.closed()
	if got != code {
		h.t.Errorf("closed with %v, want %v", got, code)
	}
	if last == nil || last.Code != code.String() || !strings.Contains(last.Message, says) {
		h.t.Errorf("error frame %+v, want code %v and a message with %q", last, code, says)
	}
	_ = c.conn.Close()
	eventually(h.t, "counting "+code.String(), func() bool { return h.counter("closed_total{"+code.String()+"}") >= 1 })
}

func one(epoch string, seq uint64, value float64) *wire.Batch {
	return &wire.Batch{Epoch: epoch, Seq: seq, Samples: []wire.Sample{{Series: &wire.Series{Metric: "m"}, Value: value}}}
}

// witness is an agent beside the one that misbehaves: it must not notice.
func (h *hub) witness() func() {
	h.t.Helper()
	w := h.welcomed("witness", "w")
	seq := uint64(0)
	check := func() {
		h.t.Helper()
		seq++
		w.send(one("w", seq, float64(seq)))
		if ack := expect[*wire.Ack](w); ack.Seq != seq || len(ack.Refused) > 0 {
			h.t.Errorf("the other agent was disturbed: %+v", ack)
		}
		if b := h.taken("witness"); !slices.Equal(b[len(b)-1].Value, []float64{float64(seq)}) {
			h.t.Errorf("the other agent's batch is %+v", b[len(b)-1])
		}
	}
	check()
	return check
}
