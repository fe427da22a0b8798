package ingest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"telltale/ingest/wire"
)

// awayHub is a hub whose storage cannot say how far it has anything until back is set, and
// either says so at once or hangs.
func awayHub(t *testing.T, hangs bool) (h *hub, back *atomic.Bool) {
	t.Helper()
	back = new(atomic.Bool)
	h = startHub(t, func(c *Config, s *fakeSink) {
		c.RetryAfter, c.AdmitTimeout = 5*time.Millisecond, 20*time.Millisecond
		admit := s.admit
		s.admit = func(ctx context.Context, a wire.Agent) (map[string]uint64, error) {
			if back.Load() {
				return admit(ctx, a)
			}
			if hangs {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return nil, errors.New("no storage")
		}
		s.take = func(b *Batch) error {
			if !back.Load() {
				t.Errorf("batch %d is taken for storing before anybody knows whether it is stored", b.Seq)
			}
			return h.take(b)
		}
	})
	return h, back
}

// Storage that is away at the start: the agent is shown, and nothing is stored or
// acknowledged until storage has said how far it has the agent's epochs.
func TestStorageAwayAtTheStart(t *testing.T) {
	h, back := awayHub(t, false)
	h.mu.Lock()
	h.stored["a"] = map[string]uint64{"e": 3}
	h.mu.Unlock()
	c := h.agent("a", "e", "f")
	if w := expect[*wire.Welcome](c); !w.LiveOnly || len(w.Epochs) != 0 {
		t.Errorf("welcome %+v, want live_only and no word on the epochs", w)
	}
	for seq := uint64(2); seq <= 5; seq++ { // the agent does not know that 2 and 3 are stored
		c.send(one("e", seq, 1))
	}
	c.send(one("f", 1, 1))
	c.send(one("new", 1, 1))
	eventually(t, "showing", func() bool { return len(h.shownSeqs("a", "e")) == 4 && len(h.shownSeqs("a", "new")) == 1 })
	if st := h.status("a"); !st.LiveOnly || h.counter("live_only_agents") != 1 || len(h.taken("a")) > 0 {
		t.Errorf("status %+v", st)
	}

	back.Store(true)
	if ack := expect[*wire.Ack](c); ack.Epoch != "e" || ack.Seq != 3 {
		t.Errorf("ack %+v, want what storage has", ack)
	}
	if slow := expect[*wire.Slow](c); slow.LiveOnly || slow.MaxInFlight < 1 {
		t.Errorf("told %+v", slow)
	}
	for seq := uint64(4); seq <= 6; seq++ {
		c.send(one("e", seq, 1))
	}
	c.send(one("f", 1, 1))
	c.send(one("new", 1, 1))
	for left := map[string]uint64{"e": 6, "f": 1, "new": 1}; len(left) > 0; {
		if ack := expect[*wire.Ack](c); ack.Seq == left[ack.Epoch] {
			delete(left, ack.Epoch)
		}
	}
	if got := h.seqs("a"); !slices.Equal(got, []uint64{4, 5, 6, 1, 1}) {
		t.Errorf("taken %v, want each once that is not stored", got)
	}
	if got := h.shownSeqs("a", "e"); !slices.Equal(got, []uint64{2, 3, 4, 5, 6}) {
		t.Errorf("shown %v, want each once", got)
	}
	if h.counter("live_only_agents") != 0 {
		t.Errorf("%v agents are live-only", h.counter("live_only_agents"))
	}
}

// Frames under way when storage answers are no fault of the agent's, even of what is stored.
func TestStorageAnswersWhileFramesAreUnderWay(t *testing.T) {
	h, back := awayHub(t, true)
	h.mu.Lock()
	h.stored["a"] = map[string]uint64{"e": 3}
	h.mu.Unlock()
	c := h.agent("a", "e")
	expect[*wire.Welcome](c)
	c.send(one("e", 1, 1))
	back.Store(true)
	eventually(t, "being admitted", func() bool { return !h.status("a").LiveOnly })
	for seq := uint64(2); seq <= 4; seq++ { // a client that knows nothing of live_only
		c.send(one("e", seq, 1))
	}
	for last := uint64(0); last < 4; {
		if ack := expect[*wire.Ack](c); ack.Epoch == "e" {
			last = ack.Seq
		}
	}
	if got := h.seqs("a"); !slices.Equal(got, []uint64{4}) {
		t.Errorf("taken %v, want the one that is not stored", got)
	}
}

// An agent that names no epoch, and one that leaves or is closed while storage is away.
func TestStorageAwayForGood(t *testing.T) {
	h, _ := awayHub(t, true)
	c := h.agent("a")
	if w := expect[*wire.Welcome](c); !w.LiveOnly || len(w.Epochs) != 1 {
		t.Errorf("welcome %+v, want the epoch made for the connection", w)
	}
	c.send(&wire.Batch{Seq: 1, Samples: one("", 1, 1).Samples})
	eventually(t, "showing", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.shown) == 1 })
	_ = c.conn.Close()
	eventually(t, "leaving", func() bool { return h.counter("connections") == 0 && h.counter("live_only_agents") == 0 })

	stays := h.welcomed("b", "e")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- h.server.Close(ctx) }()
	h.expectClose(stays, wire.GoingAway, "stops or restarts")
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
