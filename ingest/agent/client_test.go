package agent

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"telltale/ingest/agent/spool"
	"telltale/ingest/wire"
)

func TestDelivers(t *testing.T) {
	h := startHub(t)
	s := start(t, h.config("a"))
	s.feed(500)
	s.awaitEmpty()
	expectOnce(t, h.storage.all(), 500)
	if got := s.spool.Stats(); got.Acknowledged != 500 || got.Dropped != 0 || got.Gaps != 0 {
		t.Errorf("stats %+v", got)
	}
}

// What the hub sets aside is passed, and counted.
func TestCountsWhatIsRefused(t *testing.T) {
	h := startHub(t)
	s := start(t, h.config("a"))
	s.feed(3)
	s.awaitEmpty()
	h.storage.set(func(s *storage) { s.poisoned = true })
	s.feed(2)
	s.awaitEmpty()
	if got := s.refused.Load(); got != 2 {
		t.Errorf("%d samples counted as refused, want 2", got)
	}
	expectOnce(t, h.storage.all(), 3)
	var own ownMetrics
	for _, want := range []float64{2, 0} { // a counter's sample is the increase
		for _, sample := range own.collect(time.Now(), s.spool.Stats(), s.refused.Load(), nil) {
			if sample.Series == &refusedTotal && sample.Value != want {
				t.Errorf("the metric says %v, want %v", sample.Value, want)
			}
		}
	}
}

// The window of the hub: no more is sent than it grants.
func TestKeepsToTheWindow(t *testing.T) {
	h := startHub(t)
	h.storage.set(func(s *storage) { s.holding = true })
	s := start(t, h.config("a"))
	window := wire.DefaultLimits().MaxInFlight
	s.feed(3 * window)
	eventually(t, "sending", func() bool { return h.storage.taken() >= 4 })
	time.Sleep(50 * time.Millisecond)
	if got := h.storage.taken(); got > window {
		t.Errorf("%d batches in flight, more than %d", got, window)
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
		eventually(t, "taking", func() bool { return h.storage.taken() > 3 })
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
	rival := start(t, h.config("a")) // with a spool of its own
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
func TestFullSpoolBecomesAGap(t *testing.T) {
	h := startHub(t)
	config := h.config("a")
	config.SpoolBytes = spool.MinBytes
	h.stop()
	s := start(t, config)
	const fed = 5000
	s.feed(fed)
	dropped := int(s.spool.Stats().Dropped)
	if dropped == 0 {
		t.Fatal("nothing was dropped")
	}
	h.start()
	s.awaitEmpty()
	values := slices.Sorted(slices.Values(h.storage.all()))
	if len(values) != fed-dropped || values[0] != float64(dropped+1) || values[len(values)-1] != fed {
		t.Errorf("%d values stored, from %v on, and %d dropped", len(values), values[0], dropped)
	}
	s.feed(3) // and on it goes
	s.awaitEmpty()
	if got := len(h.storage.all()); got != len(values)+3 {
		t.Errorf("%d values stored, want 3 more than %d", got, len(values))
	}
}

// Dropped while in flight: what is lost in the end is declared, nothing comes twice.
func TestDropsWhileInFlight(t *testing.T) {
	h := startHub(t)
	config := h.config("a")
	config.SpoolBytes = spool.MinBytes
	h.storage.set(func(s *storage) { s.holding = true })
	s := start(t, config)
	s.feed(8)
	eventually(t, "taking", func() bool { return h.storage.taken() > 3 })
	s.feed(5000) // drops what is in flight, and more
	h.stop()     // loses the eight
	h.storage.set(func(s *storage) { s.holding = false })
	h.start()
	s.awaitEmpty()
	values := slices.Sorted(slices.Values(h.storage.all()))
	if n := len(values); n < 100 || values[n-1] != 5008 {
		t.Fatalf("%d values stored, want the newest", n)
	}
	for i := 1; i < len(values); i++ {
		if values[i] == values[i-1] {
			t.Fatalf("%v came twice", values[i])
		}
	}
}

// A hub that has lost what it acknowledged is told so, and gets the rest.
func TestHubThatForgot(t *testing.T) {
	h := startHub(t)
	s := start(t, h.config("a"))
	s.feed(3)
	s.awaitEmpty()
	h.stop()
	s.feed(3)
	h.storage.set(func(s *storage) { clear(s.stored); s.values = nil })
	h.start()
	s.awaitEmpty()
	// The first three are still in the segment: they come again too.
	expectOnce(t, h.storage.all(), 6)
}

// After an outage that a restart of the agent falls into, everything is delivered once,
// and what is fresh does not wait for the rest.
func TestFreshGoesBeforeTheBacklog(t *testing.T) {
	h := startHub(t)
	config := h.config("a")
	config.BacklogRate = 50
	s := start(t, config)
	s.feed(10)
	s.awaitEmpty()
	h.stop()
	s.feed(20)
	last := s.last
	s.stop()
	s = start(t, config)
	s.last = last
	s.feed(20)
	h.start()
	eventually(t, "reconnecting", func() bool { return len(h.storage.all()) > 10 })
	s.feed(1)
	s.awaitEmpty()
	values := h.storage.all()
	expectOnce(t, values, 51)
	if at := slices.Index(values, 51); at > 25 {
		t.Errorf("the fresh batch came as number %d of 51: %v", at+1, values)
	}
	if at := slices.Index(values, 30); at > slices.Index(values, 31) {
		t.Errorf("the backlog is not in order: %v", values)
	}
}

// A hub that cannot store: what is new is shown all the time, once, and stored once when
// the hub can again.
func TestHubThatOnlyShows(t *testing.T) {
	h := startHub(t)
	s := start(t, h.config("a"))
	s.feed(3)
	s.awaitEmpty()
	for range 2 {
		before := s.spool.Epochs()
		h.storage.set(func(s *storage) { s.full = true })
		for range 20 {
			s.feed(1)
			eventually(t, "being shown", func() bool { return h.storage.shown() == int(s.last) })
		}
		if got := len(h.storage.all()); got > int(s.last)-20 {
			t.Fatalf("%d stored by a hub that is full", got)
		}
		h.storage.set(func(s *storage) { s.full = false })
		eventually(t, "storing again", func() bool {
			s.feed(1)
			time.Sleep(20 * time.Millisecond)
			return len(h.storage.all()) >= int(s.last)-5
		})
		s.awaitEmpty()
		if after := s.spool.Epochs(); slices.Equal(before, after) {
			t.Errorf("epochs %v: no new one after the hub only showed", after)
		}
	}
	expectOnce(t, h.storage.all(), int(s.last))
	h.storage.mu.Lock()
	defer h.storage.mu.Unlock()
	expectOnce(t, h.storage.live, int(s.last))
}

// A hub whose storage is away when it starts: what comes is shown at once, and stored once
// when storage is back.
func TestHubThatCannotAnswer(t *testing.T) {
	h := startHub(t)
	s := start(t, h.config("a"))
	s.feed(3)
	s.awaitEmpty()
	h.storage.set(func(s *storage) { s.holding = true })
	s.feed(4) // taken, and stored by the hub's end, of which the agent does not hear
	eventually(t, "taking", func() bool { return h.storage.taken() == 4 })
	h.storage.set(func(s *storage) { s.storeUnheard(); s.away = true })
	h.stop()
	before := h.storage.shown()
	s.feed(20)
	h.start()
	eventually(t, "being shown", func() bool { // what was held is not fresh, and waits
		s.feed(1)
		time.Sleep(10 * time.Millisecond)
		return h.storage.shown() > before
	})
	for range 20 {
		shown := h.storage.shown()
		s.feed(1)
		eventually(t, "being shown", func() bool { return h.storage.shown() > shown })
	}
	if got := len(h.storage.all()); got != 7 {
		t.Fatalf("%d stored, want the 7 of the hub before", got)
	}
	h.storage.set(func(s *storage) { s.away, s.holding = false, false })
	s.awaitEmpty()
	expectOnce(t, h.storage.all(), int(s.last))
}

func TestWrongToken(t *testing.T) {
	h := startHub(t)
	config := h.config("a")
	config.Token = "bad"
	c := testClient(t, config)
	_, err := c.connect(t.Context(), t.Context())
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
	s.spool.Add(huge)
	s.feed(2)
	s.awaitEmpty()
	expectOnce(t, h.storage.all(), 3)
	if got := s.spool.Stats(); got.Dropped != uint64(len(huge)) || got.Gaps != 1 {
		t.Errorf("stats %+v", got)
	}
}

// Stopping waits a little for the newest to be acknowledged.
func TestStopDelivers(t *testing.T) {
	h := startHub(t)
	h.storage.set(func(s *storage) { s.holding = true })
	s := start(t, h.config("a"))
	s.feed(5)
	eventually(t, "taking", func() bool { return h.storage.taken() > 3 })
	s.cancel()
	h.storage.set(func(s *storage) { s.holding = false })
	<-s.ended
	expectOnce(t, h.storage.all(), 5)
	if left := s.spool.Stats().Batches; left != 0 {
		t.Errorf("stopped before %d acknowledgements came", left)
	}
}
