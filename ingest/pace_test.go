package ingest

import (
	"slices"
	"testing"
	"time"

	"telltale/ingest/wire"
)

// Storage is behind: batches are shown once and come again to be stored.
func TestLiveOnly(t *testing.T) {
	h := startHub(t)
	c := h.welcomed("a", "e")
	c.send(one("e", 1, 1))
	expect[*wire.Ack](c)
	h.server.SetLiveOnly(true)
	if slow := expect[*wire.Slow](c); !slow.LiveOnly {
		t.Errorf("told %+v", slow)
	}
	for seq := uint64(2); seq <= 4; seq++ {
		c.send(one("e", seq, 1))
	}
	c.send(&wire.Gap{Epoch: "e", Seq: 5, ToSeq: 6, Count: 1})
	c.send(one("e", 9, 1)) // what is between is the agent's to send later
	eventually(t, "showing", func() bool { return slices.Equal(h.shownSeqs("a", "e"), []uint64{1, 2, 3, 4, 9}) })
	if st := h.status("a"); !st.LiveOnly || st.LiveOnly && st.Tally.LiveOnly != 4 || st.InFlight != 0 || h.counter("live_only_agents") != 1 {
		t.Errorf("status %+v", st)
	}
	late := h.agent("late", "e")
	if w := expect[*wire.Welcome](late); !w.LiveOnly || w.Epochs["e"] != 0 || len(w.Epochs) != 1 {
		t.Errorf("a new connection is told %+v", w)
	}

	h.server.SetLiveOnly(false)
	for _, client := range []*client{c, late} {
		if slow := expect[*wire.Slow](client); slow.LiveOnly || slow.MaxInFlight < 1 {
			t.Errorf("told %+v", slow)
		}
	}
	c.send(one("fresh", 1, 1))
	if ack := expect[*wire.Ack](c); ack.Epoch != "fresh" || ack.Seq != 1 {
		t.Errorf("ack %+v", ack)
	}
	for seq := uint64(2); seq <= 10; seq++ {
		c.send(one("e", seq, 1))
	}
	for last := uint64(0); last < 10; {
		last = expect[*wire.Ack](c).Seq
	}
	if got := h.seqs("a"); !slices.Equal(got, []uint64{1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}) {
		t.Errorf("taken %v, want each once", got)
	}
	// The last is acknowledged before it is shown.
	eventually(t, "showing on", func() bool { return len(h.shownSeqs("a", "e")) >= 6 })
	if got := h.shownSeqs("a", "e"); !slices.Equal(got, []uint64{1, 2, 3, 4, 9, 10}) {
		t.Errorf("shown %v, want none twice", got)
	}
	if h.counter("live_only_agents") != 0 || h.counter("live_only_batches_total") != 4 || len(h.gaps) != 0 {
		t.Errorf("%v agents are live-only, gaps %v", h.counter("live_only_agents"), h.gaps)
	}
	c.send(one("e", 2, 1)) // once only
	h.expectClose(c, wire.OutOfOrder, "seq 11 must come next")
}

// Going back is for what is not stored: not beyond it, and not without live-only.
func TestGoingBackTooFar(t *testing.T) {
	h := startHub(t)
	c := h.welcomed("a", "e")
	h.server.SetLiveOnly(true)
	for seq := range uint64(5) {
		c.send(one("e", seq+1, 1))
	}
	eventually(t, "showing", func() bool { return len(h.shownSeqs("a", "e")) == 5 })
	h.server.SetLiveOnly(false)
	c.send(one("e", 3, 1))
	h.expectClose(c, wire.OutOfOrder, "must come next")
}

// An agent that does not heed live_only is closed once it could be stored again, and then
// resumes as after any reconnect.
func TestAgentThatDoesNotGoBack(t *testing.T) {
	h := startHub(t, func(c *Config, _ *fakeSink) { c.ResumeTimeout = time.Millisecond })
	c := h.welcomed("a", "e")
	h.server.SetLiveOnly(true)
	c.send(one("e", 1, 1))
	eventually(t, "showing", func() bool { return len(h.shownSeqs("a", "e")) == 1 })
	h.server.SetLiveOnly(false)
	time.Sleep(5 * time.Millisecond)
	c.send(one("e", 2, 1))
	h.expectClose(c, wire.Overloaded, "epoch e must go on at seq 1")
	if len(h.taken("a")) > 0 {
		t.Errorf("taken %v", h.seqs("a"))
	}
	c = h.welcomed("a", "e")
	c.send(one("e", 1, 1))
	c.send(one("e", 2, 1))
	eventually(t, "storing both", func() bool { return slices.Equal(h.seqs("a"), []uint64{1, 2}) })
	if got := h.shownSeqs("a", "e"); !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("shown %v, want none twice", got)
	}
	_ = c.conn.Close()
	eventually(t, "forgetting the agent", func() bool { return len(h.server.Agents()) == 0 })
}

// Nor does one that waits for acknowledgements of what was only shown have to wait for ever.
func TestAgentThatSendsNothingAfterLiveOnly(t *testing.T) {
	h := startHub(t, func(c *Config, _ *fakeSink) { c.ResumeTimeout, c.PingEvery = time.Millisecond, 10*time.Millisecond })
	c := h.welcomed("a", "e")
	c.send(one("e", 1, 1))
	eventually(t, "storing", func() bool { return slices.Equal(h.seqs("a"), []uint64{1}) })
	h.server.SetLiveOnly(true)
	c.send(one("e", 2, 1))
	eventually(t, "showing", func() bool { return len(h.shownSeqs("a", "e")) == 2 })
	h.server.SetLiveOnly(false)
	h.expectClose(c, wire.Overloaded, "epoch e must go on at seq 2")
}

// No room in the Sink makes the agent live-only; nobody is closed.
func TestSinkFull(t *testing.T) {
	h := startHub(t, func(c *Config, _ *fakeSink) { c.LiveOnlyTime = 1 })
	take, full := h.sink.take, true
	h.sink.take = func(b *Batch) error {
		h.mu.Lock()
		refuse := full
		h.mu.Unlock()
		if refuse {
			return ErrFull
		}
		return take(b)
	}
	h.setFill(1)
	c := h.welcomed("a", "e")
	c.send(one("e", 1, 1))
	if slow := expect[*wire.Slow](c); !slow.LiveOnly {
		t.Errorf("told %+v", slow)
	}
	c.send(one("e", 2, 1))
	eventually(t, "showing", func() bool { return slices.Equal(h.shownSeqs("a", "e"), []uint64{1, 2}) })
	if h.counter("full_total") != 1 || h.status("a").InFlight != 0 {
		t.Errorf("full %v times, in flight %d", h.counter("full_total"), h.status("a").InFlight)
	}
	h.mu.Lock()
	full, h.used = false, 0
	h.mu.Unlock()
	c.send(one("e", 3, 1)) // shown only: 1 and 2 are not stored
	var slow *wire.Slow
	for slow == nil || slow.LiveOnly {
		slow = expect[*wire.Slow](c)
	}
	for seq := range uint64(3) {
		c.send(one("e", seq+1, 1))
	}
	for last := uint64(0); last < 3; {
		last = expect[*wire.Ack](c).Seq
	}
	if got := h.seqs("a"); !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Errorf("taken %v", got)
	}
	if got := h.shownSeqs("a", "e"); !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Errorf("shown %v, want each once", got)
	}
}

// Storage that does not keep up with one agent makes it live-only after a while.
func TestStalledForTooLong(t *testing.T) {
	h := startHub(t, func(c *Config, _ *fakeSink) { c.Limits.MaxInFlight = 2; c.StallTimeout = 20 * time.Millisecond })
	h.hold()
	c := h.welcomed("a", "e")
	for seq := range uint64(4) {
		c.send(one("e", seq+1, 1))
	}
	if slow := expect[*wire.Slow](c); !slow.LiveOnly {
		t.Errorf("told %+v", slow)
	}
	eventually(t, "showing the rest", func() bool { return slices.Equal(h.shownSeqs("a", "e"), []uint64{1, 2, 3, 4}) })
	if got := h.seqs("a"); !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("taken %v", got)
	}
	h.store("a", "e", 2)
	if ack := expect[*wire.Ack](c); ack.Seq != 2 {
		t.Errorf("ack %+v", ack)
	}
}

// SetLiveOnly reaches a connection that is not read for want of room.
func TestLiveOnlyEndsAStall(t *testing.T) {
	h := startHub(t, func(c *Config, _ *fakeSink) { c.Limits.MaxInFlight = 2; c.StallTimeout = time.Hour })
	h.hold()
	c := h.welcomed("a", "e")
	for seq := range uint64(3) {
		c.send(one("e", seq+1, 1))
	}
	eventually(t, "stalling", func() bool { return h.counter("stalls_total") == 1 })
	h.server.SetLiveOnly(true)
	eventually(t, "showing the third", func() bool { return len(h.shownSeqs("a", "e")) == 3 })
	h.store("a", "e", 2)
}

func TestWindow(t *testing.T) {
	f := func(limit int, fill float64, want int) {
		t.Helper()
		if got := window(limit, fill); got != want {
			t.Errorf("window(%d, %v) = %d, want %d", limit, fill, got, want)
		}
	}
	f(64, 0, 64)
	f(64, 0.49, 64)
	f(64, 0.5, 32)
	f(64, 0.65, 16)
	f(64, 0.85, 4)
	f(64, 1, 2)
	f(64, 1e9, 2)
	f(3, 0.5, 2)
	f(1, 0, 1)
	f(1, 1, 1)
}

// Windows begin small, narrow at once as the bound comes near, and widen by and by.
func TestWindowFollowsTheBound(t *testing.T) {
	h := startHub(t)
	c := h.agent("a", "e")
	if w := expect[*wire.Welcome](c); w.Limits.MaxInFlight != firstWindow {
		t.Errorf("welcome with a window of %d", w.Limits.MaxInFlight)
	}
	slow := make(chan *wire.Slow)
	go func() {
		defer close(slow)
		for {
			frame, err := c.read()
			if err != nil {
				return
			}
			if f, ok := frame.(*wire.Slow); ok {
				slow <- f
			}
		}
	}()
	seq := uint64(0)
	told := func() wire.Slow { // sends until the window changes
		t.Helper()
		for {
			seq++
			c.send(one("e", seq, 1))
			select {
			case f := <-slow:
				return *f
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	h.setFill(0.9)
	if got := told(); got != (wire.Slow{MaxInFlight: 2}) {
		t.Errorf("told %+v near the bound", got)
	}
	h.setFill(0.1)
	for want := 4; want <= 8; want *= 2 {
		if got := told(); got != (wire.Slow{MaxInFlight: want}) {
			t.Errorf("told %+v, want %d", got, want)
		}
	}
	_ = c.conn.Close()
	for range slow {
	}
}
