package agent

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"telltale/ingest/wire"
)

func TestDelivers(t *testing.T) {
	h := startHub(t)
	s := start(t, h.config("a"))
	s.feed(500)
	s.awaitEmpty()
	expectOnce(t, h.storage.all(), 500)
	if got := s.queue.statistics(); got != (Stats{Acknowledged: 500}) {
		t.Errorf("stats %+v", got)
	}
}

// The window of the hub: no more is sent than it grants.
func TestKeepsToTheWindow(t *testing.T) {
	h := startHub(t)
	h.storage.set(func(s *storage) { s.holding = true })
	s := start(t, h.config("a"))
	window := wire.DefaultLimits().MaxInFlight
	s.feed(3 * window)
	eventually(t, "filling the window", func() bool { return h.storage.taken() >= window })
	time.Sleep(20 * time.Millisecond)
	if got := h.storage.taken(); got != window {
		t.Errorf("%d batches in flight, want %d", got, window)
	}
	h.storage.set(func(s *storage) { s.holding = false })
	s.awaitEmpty()
	expectOnce(t, h.storage.all(), 3*window)
}

// A hub that restarts with batches taken and not stored: they come again.
func TestHubRestarts(t *testing.T) {
	h := startHub(t)
	s := start(t, h.config("a"))
	s.feed(10)
	s.awaitEmpty()
	for range 3 {
		h.storage.set(func(s *storage) { s.holding = true })
		s.feed(10)
		eventually(t, "taking", func() bool { return h.storage.taken() == 10 })
		h.stop()
		s.feed(10)
		h.storage.set(func(s *storage) { s.holding = false })
		h.start()
		s.awaitEmpty()
	}
	expectOnce(t, h.storage.all(), 70)
}

// cutter is a way to the hub that breaks at random places.
type cutter struct {
	listener net.Listener
	running  sync.WaitGroup
	cuts     int // how many connections to cut yet
}

func startCutter(t testing.TB, to string, cuts int) *cutter {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: listener, cuts: cuts}
	random := rand.New(rand.NewPCG(7, 8))
	c.running.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			limit := int64(1 << 40)
			if c.cuts > 0 {
				c.cuts--
				limit = 300 + random.Int64N(2000) // the handshake alone has some 300
			}
			up := random.IntN(2) == 0
			c.running.Go(func() { pass(out, in, up, limit) })
			c.running.Go(func() { pass(in, out, !up, limit) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		c.running.Wait()
	})
	return c
}

// pass copies until the limit, if it applies here, and then cuts both ways.
func pass(to, from net.Conn, cut bool, limit int64) {
	if !cut {
		limit = 1 << 40
	}
	_, _ = io.CopyN(to, from, limit)
	_ = to.Close()
	_ = from.Close()
}

func TestConnectionsThatBreak(t *testing.T) {
	h := startHub(t)
	const cuts = 6
	config := h.config("a")
	config.Hub = "ws://" + startCutter(t, h.address, cuts).listener.Addr().String()
	s := start(t, config)
	for range 40 {
		s.feed(25)
		time.Sleep(time.Millisecond)
	}
	s.awaitEmpty()
	expectOnce(t, h.storage.all(), 1000)
}

// Another connection under the same id takes over; the agent comes back.
func TestTakenOver(t *testing.T) {
	h := startHub(t)
	s := start(t, h.config("a"))
	s.feed(5)
	s.awaitEmpty()
	rival := start(t, h.config("a"))
	rival.series = &wire.Series{Metric: "rival"}
	eventually(t, "the rival's connection", func() bool { return len(h.storage.all()) >= 5 && connectedTwice(h) })
	rival.stop()
	s.feed(5)
	s.awaitEmpty()
	expectOnce(t, h.storage.all(), 10)
}

// connectedTwice says whether a session after the first has been welcomed.
func connectedTwice(h *testHub) bool {
	agents := h.server.Agents()
	return len(agents) == 1 && agents[0].LastBatch.IsZero()
}

// With no hub for long, the oldest is dropped and declared as a gap.
func TestFullQueueBecomesAGap(t *testing.T) {
	h := startHub(t)
	config := h.config("a")
	config.QueuedSamples = 10
	h.stop()
	s := start(t, config)
	s.feed(25)
	if got := s.queue.statistics(); got != (Stats{Dropped: 15, Waiting: 10}) {
		t.Errorf("stats %+v", got)
	}
	h.start()
	s.awaitEmpty()
	values := h.storage.all()
	if len(values) != 10 || values[0] != 16 || values[9] != 25 {
		t.Errorf("stored %v, want 16 to 25", values)
	}
	s.feed(3) // and on it goes
	s.awaitEmpty()
	if values := h.storage.all(); len(values) != 13 {
		t.Errorf("stored %v", values)
	}
}

// Dropped while in flight: what is lost in the end is declared, nothing comes twice.
func TestDropsWhileInFlight(t *testing.T) {
	h := startHub(t)
	config := h.config("a")
	config.QueuedSamples = 10
	h.storage.set(func(s *storage) { s.holding = true })
	s := start(t, config)
	s.feed(8)
	eventually(t, "taking", func() bool { return h.storage.taken() == 8 })
	s.feed(100) // drops what is in flight, and more
	h.stop()    // loses the eight
	h.storage.set(func(s *storage) { s.holding = false })
	h.start()
	s.awaitEmpty()
	values := h.storage.all()
	if n := len(values); n < 10 || values[n-1] != 108 {
		t.Fatalf("stored %v, want at least 99 to 108", values)
	}
	for i := 1; i < len(values); i++ {
		if values[i] <= values[i-1] {
			t.Fatalf("stored %v: twice or out of order", values)
		}
	}
}

// A hub that has lost what it acknowledged: the agent goes on in a new epoch.
func TestHubThatForgot(t *testing.T) {
	h := startHub(t)
	s := start(t, h.config("a"))
	s.feed(5)
	s.awaitEmpty()
	before := s.queue.currentEpoch()
	h.stop()
	s.feed(5)
	h.storage.set(func(s *storage) { clear(s.stored) })
	h.start()
	s.awaitEmpty()
	expectOnce(t, h.storage.all(), 10)
	if s.queue.currentEpoch() == before {
		t.Error("no new epoch")
	}
}

func TestHubThatIsFull(t *testing.T) {
	h := startHub(t)
	h.storage.set(func(s *storage) { s.full = true })
	c, err := newClient(h.config("a"))
	if err != nil {
		t.Fatal(err)
	}
	c.queue.add([]wire.Sample{{Series: &wire.Series{Metric: "m"}, Value: 1}})
	welcomed, err := c.connect(t.Context(), t.Context())
	var closing *wire.CloseError
	if !welcomed || !errors.As(err, &closing) || closing.Code != wire.Overloaded || closing.RetryAfter != 5*time.Second {
		t.Errorf("connect = %v, %#v; want overloaded, back in 5s", welcomed, err)
	}
}

func TestWrongToken(t *testing.T) {
	h := startHub(t)
	config := h.config("a")
	config.Token = "bad"
	c, err := newClient(config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.connect(t.Context(), t.Context())
	var closing *wire.CloseError
	if !errors.As(err, &closing) || closing.Code != wire.Unauthorized || !strings.Contains(closing.Message, "telltale token create") {
		t.Errorf("connect: %v", err)
	}
}

// A batch that the hub would never take is declared lost, and does not stop the others.
func TestBatchThatIsTooBig(t *testing.T) {
	h := startHub(t)
	s := start(t, h.config("a"))
	s.feed(1)
	huge := make([]wire.Sample, wire.DefaultLimits().SamplesPerBatch+1)
	for i := range huge {
		huge[i] = wire.Sample{Series: s.series, TS: 1, Value: -1}
	}
	s.queue.add(huge)
	s.feed(2)
	s.awaitEmpty()
	expectOnce(t, h.storage.all(), 3)
	if got := s.queue.statistics(); got.Dropped != uint64(len(huge)) || got.Acknowledged != 3 {
		t.Errorf("stats %+v", got)
	}
}

// Stopping delivers what is still held, also to a hub that comes back meanwhile.
func TestStopDelivers(t *testing.T) {
	h := startHub(t)
	h.storage.set(func(s *storage) { s.holding = true })
	s := start(t, h.config("a"))
	s.feed(20)
	eventually(t, "taking", func() bool { return h.storage.taken() == 20 })
	s.cancel()
	h.storage.set(func(s *storage) { s.holding = false })
	<-s.ended
	expectOnce(t, h.storage.all(), 20)
	if !s.queue.empty() {
		t.Error("stopped before the acknowledgement came")
	}
}
