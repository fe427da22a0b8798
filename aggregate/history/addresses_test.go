package history

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"

	"telltale/aggregate/engine/enginetest"
)

// twoWays gives a store two addresses of its server.
func (s *testStore) twoWays() [2]*way {
	s.t.Helper()
	var ways [2]*way
	own := *s.options
	own.Addr = nil
	for i := range ways {
		var o *clickhouse.Options
		o, ways[i] = through(s.t, s.options)
		own.Addr = append(own.Addr, o.Addr...)
	}
	OneServer(&own, slog.New(slog.NewTextHandler(testLog{s.t}, nil)))
	s.options, s.server = &own, nil
	return ways
}

// One of two addresses goes away in the middle of an insert: the doubt is settled by the other, and what was
// going on is there once.
func TestAnAddressThatGoesAwayInAnInsert(t *testing.T) {
	s := newTestStore(t)
	ways := s.twoWays()
	s.slowRows()
	h := s.startHub(Config{BlockInterval: 20 * time.Millisecond})
	h.admit("web-1")
	h.push("web-1", "e1", 1, slowBatches)
	s.awaitRunning()
	ways[0].down()
	s.fastRows()
	waitFor(t, "the acknowledgement", func() bool { return h.ackedSeq("web-1", "e1") == slowBatches })
	s.assertExactlyOnce("web-1", "e1", slowBatches)
	if testCounter(t, h.writer.metrics.doubts) == 0 {
		t.Error("no insert was in doubt")
	}
}

// Addresses go and come, one always there, at any moment of any insert, and the hub with them.
func TestFailOverLosesAndRepeatsNothing(t *testing.T) {
	s := newTestStore(t)
	ways := s.twoWays()
	random := rand.New(rand.NewPCG(6, 4))
	var sent uint64
	for range 3 {
		h := s.startHub(Config{BlockInterval: time.Millisecond})
		stored := h.admit("web-1")["e1"]
		for turn := range 6 {
			from := sent + 1
			if turn == 0 {
				from = stored + 1
			}
			sent += 20
			h.push("web-1", "e1", from, sent)
			time.Sleep(time.Duration(random.Int64N(int64(15 * time.Millisecond))))
			ways[turn%2].down()
			waitFor(t, "the acknowledgements by the other address", func() bool { return h.ackedSeq("web-1", "e1") == sent })
			ways[turn%2].up(t)
		}
		sent += 20
		h.push("web-1", "e1", sent-19, sent)
		time.Sleep(time.Duration(random.Int64N(int64(10 * time.Millisecond))))
		h.crash()
	}
	h := s.startHub(Config{BlockInterval: time.Millisecond})
	h.push("web-1", "e1", h.admit("web-1")["e1"]+1, sent)
	waitFor(t, "the rest", func() bool { return h.writer.agentDone("web-1") })
	s.assertExactlyOnce("web-1", "e1", sent)
}

// What reads fails over as well, and has no need of the address that the writer found good.
func TestReadingFailsOver(t *testing.T) {
	s := newTestStore(t)
	ways := s.twoWays()
	h := s.startHub(Config{BlockInterval: time.Millisecond})
	h.admit("web-1")
	h.push("web-1", "e1", 1, 5)
	waitFor(t, "the acknowledgement", func() bool { return h.ackedSeq("web-1", "e1") == 5 })
	r, err := NewReader(s.options, ReaderConfig{}, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for range 4 {
		ways[0].down()
		agents, err := r.Agents(t.Context())
		if err != nil { // the connections there were have been cut
			agents, err = r.Agents(t.Context())
		}
		if err != nil || !slices.ContainsFunc(agents, func(a Agent) bool { return a.ID == "web-1" }) {
			t.Fatalf("agents %v, %v", agents, err)
		}
		ways[0].up(t)
		ways[0], ways[1] = ways[1], ways[0]
	}
}

// An address that leads to a server with a history of its own, or with none, is never gone over to.
func TestAnAddressOfAnotherServerIsRefused(t *testing.T) {
	s := newTestStore(t)
	server, here := through(t, s.options)
	other := enginetest.Own{TCPPort: enginetest.FreePort(t), Password: s.options.Auth.Password}.Start(t, t.TempDir())
	own := *s.options
	own.Addr = []string{server.Addr[0], other.Addresses().TCP}
	OneServer(&own, slog.New(slog.NewTextHandler(testLog{t}, nil)))
	s.options, s.server = &own, nil

	if err := Migrate(t.Context(), &own, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrOtherServer) {
		t.Errorf("migrating by addresses of two servers: %v", err)
	}
	h := s.startHub(Config{BlockInterval: time.Millisecond})
	h.admit("web-1")
	h.push("web-1", "e1", 1, 20)
	here.down()
	h.push("web-1", "e1", 21, 60)
	for _, migrated := range []bool{false, true} {
		if migrated {
			direct := own
			direct.Addr, direct.DialStrategy = own.Addr[1:], nil
			if err := Migrate(t.Context(), &direct, slog.New(slog.DiscardHandler)); err != nil {
				t.Fatal(err)
			}
		}
		before := testCounter(t, h.writer.metrics.doubts)
		conn, err := clickhouse.Open(&own)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Ping(t.Context()); !errors.Is(err, ErrOtherServer) {
			t.Errorf("with a history of its own %v: a connection ends with %v", migrated, err)
		}
		_ = conn.Close()
		if acked := h.ackedSeq("web-1", "e1"); acked == 60 {
			t.Errorf("all is stored after %v doubts", before)
		}
	}
	here.up(t)
	waitFor(t, "the acknowledgement", func() bool { return h.ackedSeq("web-1", "e1") == 60 })
	s.assertExactlyOnce("web-1", "e1", 60)
}
