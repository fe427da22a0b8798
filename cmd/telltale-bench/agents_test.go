package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"

	"telltale/ingest"
	"telltale/ingest/wire"
)

// door is the hub's real door behind a real listener, over a store in memory.
type door struct {
	server *ingest.Server
	url    string

	mu      sync.Mutex // guards what follows
	metrics []string   // by id of the series, from 1
	batches map[string][]*ingest.Batch
	stored  map[string]map[string]uint64 // by agent and epoch
	refuse  string                       // the metric whose series are refused
	full    int                          // this many batches are turned away yet
	deaf    bool                         // what is taken is never stored
	forgets bool                         // the store loses what it acknowledged
}

func (d *door) Series(s wire.Series) (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.Metric == d.refuse {
		return 0, wire.SeriesLimit
	}
	d.metrics = append(d.metrics, s.Metric)
	return uint64(len(d.metrics)), nil
}

func (d *door) Admit(_ context.Context, a wire.Agent) (map[string]uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	progress := make(map[string]uint64)
	for epoch, seq := range d.stored[a.ID] {
		if !d.forgets {
			progress[epoch] = seq
		}
	}
	return progress, nil
}

func (d *door) Take(b *ingest.Batch) error {
	d.mu.Lock()
	if d.full > 0 && b.Seq > 1 {
		d.full--
		d.mu.Unlock()
		return errors.New("the storage is being taken away")
	}
	d.batches[b.Agent] = append(d.batches[b.Agent], b)
	if d.deaf {
		d.mu.Unlock()
		return nil
	}
	if d.stored[b.Agent] == nil {
		d.stored[b.Agent] = make(map[string]uint64)
	}
	d.stored[b.Agent][b.Epoch] = b.Seq
	d.mu.Unlock()
	d.server.Stored([]ingest.Stored{{Agent: b.Agent, Epoch: b.Epoch, Seq: b.Seq}})
	return nil
}

func (d *door) Forget(string) {}

func (d *door) Detach(string) {}

func (d *door) TakeGap(*ingest.Gap) error { return nil }

func (d *door) Live(*ingest.Batch) {}

func (d *door) Fill(string) float64 { return 0 }

func (d *door) Agent(_ context.Context, token string) (string, bool, error) {
	return "id", token == "good", nil
}

func (d *door) of(agent string) []*ingest.Batch {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.batches[agent])
}

func startDoor(t *testing.T, d *door) *door {
	t.Helper()
	d.batches, d.stored = make(map[string][]*ingest.Batch), make(map[string]map[string]uint64)
	config := ingest.DefaultConfig()
	config.RetryAfter = 20 * time.Millisecond
	server, err := ingest.New(config, d, d, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d.server = server
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	server.Register(app)
	d.url = "ws://" + serve(t, app, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		_ = server.Close(ctx) // a test may leave batches unstored
	})
	return d
}

// serve serves the app until the test ends, which first calls stop, and returns its address.
func serve(t *testing.T, app *fiber.App, stop func()) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- app.Listener(listener) }()
	t.Cleanup(func() {
		stop()
		if err := app.ShutdownWithTimeout(patience); err != nil {
			t.Errorf("stopping the app: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return listener.Addr().String()
}

// runAgents runs a small fleet and returns the exit code, its figures and what it complains of.
func runAgents(t *testing.T, d *door, more ...string) (code int, r agentsReport, complaint string) {
	t.Helper()
	args := []string{"agents", "--hub", d.url, "--token", "good", "--agents", "12", "--series", "30", "--interval", "100ms",
		"--ramp", "50ms", "--duration", "700ms", "--wait", "20s", "--json", "--pid", strconv.Itoa(os.Getpid())}
	code, out, complaint := command(t.Context(), append(args, more...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %v\n%s\n%s", args, err, out, complaint)
	}
	return code, r, complaint
}

// checkBatches sees that each agent's batches came once, in order, a tick apart, and with
// two decimals, and returns how many samples they hold.
func (d *door) checkBatches(t *testing.T, agents int) (samples int64) {
	t.Helper()
	for i := range agents {
		batches := d.of(agentID("bench", i))
		if len(batches) == 0 {
			t.Errorf("agent %d sent nothing", i)
		}
		for n, b := range batches {
			samples += int64(len(b.Value))
			if b.Seq != uint64(n+1) || b.Epoch != batches[0].Epoch {
				t.Fatalf("agent %d, batch %d: epoch %s seq %d", i, n, b.Epoch, b.Seq)
			}
			if n > 0 && b.TS[0]-batches[n-1].TS[0] != 100 {
				t.Errorf("agent %d: %d ms between two ticks", i, b.TS[0]-batches[n-1].TS[0])
			}
			for _, v := range b.Value {
				if round(v, 2) != v {
					t.Fatalf("value %v has more than two decimals", v)
				}
			}
		}
	}
	return samples
}

func TestAgents(t *testing.T) {
	d := startDoor(t, &door{})
	code, r, complaint := runAgents(t, d)
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, complaint)
	}
	samples := d.checkBatches(t, 12)
	if r.SamplesSent != samples || r.SamplesAcknowledged != samples || r.BatchesSent != samples/30 {
		t.Errorf("the hub took %d samples, the figures are %+v", samples, r)
	}
	if r.Agents != 12 || r.Connected != 12 || r.Connections != 12 || len(r.Disconnects) > 0 || len(r.SamplesRefused) > 0 ||
		r.SamplesOutstanding != 0 || r.SamplesResent != 0 || r.SamplesLost != 0 || r.SamplesSkipped != 0 {
		t.Errorf("figures of a run without trouble: %+v", r)
	}
	if r.MeasuredSeconds < 0.7 || r.AcknowledgedPerSecond <= 0 || r.Lag.Count == 0 || r.Lag.P50 > r.Lag.Max || r.Late.Count != r.Lag.Count {
		t.Errorf("measured: %+v", r)
	}
	// The first batch describes each series; the others are about two bytes a sample and a frame's head.
	if r.WireBytesPerSample < 0.5 || r.WireBytesPerSampleAll <= r.WireBytesPerSample || r.WireBytesPerSampleAll > 100 || r.WireBytesReceived <= 0 {
		t.Errorf("bytes on the wire: %+v", r)
	}
	if len(r.Processes) != 2 || r.Processes[0].PID != os.Getpid() || r.Processes[0].ResidentBytes == 0 {
		t.Errorf("processes: %+v", r.Processes)
	}
	if !strings.Contains(complaint, "samples acknowledged") {
		t.Errorf("no table beside the JSON: %s", complaint)
	}
}

// The same seed sends the same values, whatever the epoch.
func TestSeed(t *testing.T) {
	first, second := startDoor(t, &door{}), startDoor(t, &door{})
	runAgents(t, first, "--seed", "9")
	runAgents(t, second, "--seed", "9")
	a, b := first.of("bench-00003"), second.of("bench-00003")
	if a[0].Epoch == b[0].Epoch {
		t.Error("two runs use one epoch")
	}
	for i := range min(len(a), len(b)) {
		if !slices.Equal(a[i].Value, b[i].Value) {
			t.Fatalf("batch %d differs", i)
		}
	}
}

func TestRefusedSamples(t *testing.T) {
	d := startDoor(t, &door{refuse: "bench.metric_03"}) // two of the thirty series of each agent
	code, r, complaint := runAgents(t, d)
	refused := r.SamplesRefused[string(wire.SeriesLimit)]
	if code != exitFailed || refused != r.BatchesSent*2 || !strings.Contains(complaint, "samples were refused") {
		t.Errorf("exit code %d, refused %d of %+v: %s", code, refused, r, complaint)
	}
	if samples := d.checkBatches(t, 12); r.SamplesAcknowledged != samples || r.SamplesSent != samples+refused {
		t.Errorf("the hub took %d samples, the figures are %+v", samples, r)
	}
}

// Agents that are turned away come back, and what was not acknowledged is sent again.
func TestReconnect(t *testing.T) {
	d := startDoor(t, &door{full: 5})
	code, r, complaint := runAgents(t, d)
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, complaint)
	}
	samples := d.checkBatches(t, 12)
	if r.SamplesAcknowledged != samples || r.SamplesSent != samples || r.SamplesResent == 0 {
		t.Errorf("the hub took %d samples, the figures are %+v", samples, r)
	}
	if r.Disconnects[wire.Overloaded.String()] != 5 || r.Connections != 12+5 {
		t.Errorf("disconnects %v and %d connections, want 5 and 17", r.Disconnects, r.Connections)
	}
}

// After an outage the newest go first, and the rest comes beside them, not all at once.
func TestBacklog(t *testing.T) {
	d := startDoor(t, &door{})
	time.AfterFunc(300*time.Millisecond, func() { d.server.SetLiveOnly(true) })
	time.AfterFunc(1500*time.Millisecond, func() { d.server.SetLiveOnly(false) })
	code, r, complaint := runAgents(t, d, "--duration", "2500ms")
	if code != exitDone || r.SamplesResent == 0 || r.SamplesOutstanding != 0 || r.SamplesAcknowledged != r.SamplesSent {
		t.Fatalf("exit code %d, figures %+v: %s", code, r, complaint)
	}
	for i := range 12 {
		next := map[string]uint64{}
		var epochs []string // in the order in which they are stored
		for _, b := range d.of(agentID("bench", i)) {
			if next[b.Epoch]++; b.Seq != next[b.Epoch] {
				t.Fatalf("agent %d: seq %d of epoch %s, want %d", i, b.Seq, b.Epoch, next[b.Epoch])
			}
			epochs = append(epochs, b.Epoch)
		}
		if len(next) < 2 {
			t.Fatalf("agent %d has sent in the epochs %v, want one more since the outage", i, next)
		}
		last := epochs[len(epochs)-1]
		if old := slices.Index(epochs, last); slices.Index(epochs[old:], epochs[0]) < 0 {
			t.Errorf("agent %d: what was fresh waited for the backlog: %v", i, epochs)
		}
	}
}

func TestNeverAcknowledged(t *testing.T) {
	d := startDoor(t, &door{deaf: true})
	code, r, complaint := runAgents(t, d, "--wait", "50ms")
	if code != exitFailed || r.SamplesAcknowledged != 0 || r.SamplesOutstanding < r.SamplesSent || r.SamplesSent == 0 ||
		!strings.Contains(complaint, "never acknowledged") {
		t.Errorf("exit code %d, figures %+v: %s", code, r, complaint)
	}
	d.checkBatches(t, 12)
}

// A hub that does not know any more what it acknowledged is found out.
func TestLostByTheHub(t *testing.T) {
	d := startDoor(t, &door{full: 1, forgets: true})
	code, r, complaint := runAgents(t, d)
	if code != exitFailed || r.SamplesLost == 0 || r.SamplesLost%30 != 0 || r.SamplesOutstanding != 0 || !strings.Contains(complaint, "unknown to the hub") {
		t.Errorf("exit code %d, figures %+v: %s", code, r, complaint)
	}
}

// A refusal that no other try would mend ends the run at once.
func TestWrongToken(t *testing.T) {
	d := startDoor(t, &door{})
	begun := time.Now()
	code, r, complaint := runAgents(t, d, "--token", "bad", "--duration", "1h")
	if code != exitFailed || r.Connected != 0 || !strings.Contains(complaint, "unknown agent token") || time.Since(begun) > settleTime {
		t.Errorf("exit code %d after %v, figures %+v: %s", code, time.Since(begun), r, complaint)
	}
}

// An interrupted run still prints its figures, and waits for its acks.
func TestInterrupted(t *testing.T) {
	d := startDoor(t, &door{})
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	go func() {
		for len(d.of("bench-00000")) < 3 && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		interrupt()
	}()
	code, out, complaint := command(ctx, "agents", "--hub", d.url, "--token", "good", "--agents", "1", "--series", "5", "--interval", "100ms", "--duration", "1h")
	if code != exitDone || !strings.Contains(out, "samples acknowledged") {
		t.Errorf("exit code %d: %s%s", code, out, complaint)
	}
}

func TestNoHub(t *testing.T) {
	flags := &agentsCommand{Hub: "ws://127.0.0.1:1", Token: "good", Agents: 2, Series: 1, Interval: time.Second, loadFlags: loadFlags{Duration: time.Hour}}
	f, err := newFleet(flags, &meter{})
	if err != nil {
		t.Fatal(err)
	}
	r := f.report(driveUntil(t, &flags.loadFlags, f, 2, func() bool { return f.trouble.disconnected() >= 2 }))
	if err := r.failure(); r.Disconnects["no_connection"] < 2 || err == nil ||
		!strings.Contains(err.Error(), "0 of 2 agents were connected") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("figures %+v, failure %v", r, err)
	}
}
