package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"time"

	"telltale/ingest/wire"
)

func TestTextAgentEndToEnd(t *testing.T) {
	h := startHub(t)
	c := h.connect()
	c.text(`{"type":"hello","token":"good-token","agent":{"id":"web-1","labels":{"region":"eu","shop":"all"}},"interval_ms":5000}`)
	welcome := expect[*wire.Welcome](c)
	limits := wire.DefaultLimits()
	limits.MaxInFlight = firstWindow
	if len(welcome.Epochs) != 1 || welcome.Session == "" || welcome.Limits != limits {
		t.Errorf("welcome %+v", welcome)
	}
	now := time.Now().UnixMilli()
	c.send(&wire.Batch{Seq: 1, Samples: []wire.Sample{
		{Series: &wire.Series{Metric: "orders.placed", Kind: wire.Counter, Unit: "1", Labels: []wire.Label{{Name: "shop", Value: "de"}}}, Value: 3, TS: now},
		{Series: &wire.Series{Metric: "cpu"}, Value: 0.25},
		{Series: &wire.Series{Metric: "latency", Kind: wire.Distribution, Interval: time.Second}, TS: now, Bins: wire.Sketch([]float64{8, 8, 12})},
	}})
	ack := expect[*wire.Ack](c)
	if _, ok := welcome.Epochs[ack.Epoch]; !ok || ack.Seq != 1 || len(ack.Refused) != 0 {
		t.Errorf("ack %+v", ack)
	}
	b := h.taken("web-1")[0]
	if b.Epoch != ack.Epoch || b.Seq != 1 || len(b.Series) != 4 {
		t.Fatalf("batch %+v", b)
	}
	wantSeries := []wire.Series{
		{Metric: "orders.placed", Kind: wire.Counter, Unit: "1", Interval: 5 * time.Second,
			Labels: []wire.Label{{Name: "agent", Value: "web-1"}, {Name: "region", Value: "eu"}, {Name: "shop", Value: "de"}}},
		{Metric: "cpu", Interval: 5 * time.Second,
			Labels: []wire.Label{{Name: "agent", Value: "web-1"}, {Name: "region", Value: "eu"}, {Name: "shop", Value: "all"}}},
		{Metric: "latency", Kind: wire.Distribution, Interval: time.Second,
			Labels: []wire.Label{{Name: "agent", Value: "web-1"}, {Name: "region", Value: "eu"}, {Name: "shop", Value: "all"}}},
	}
	for i, want := range wantSeries {
		if got := h.describe(b.Series[i]); !reflect.DeepEqual(got, want) {
			t.Errorf("series %d: %+v, want %+v", i, got, want)
		}
	}
	if !slices.Equal(b.N, []uint32{1, 1, 2, 1}) || b.Value[0] != 3 || b.Value[1] != 0.25 ||
		b.Value[2] != wire.BinValue(wire.BinKey(8)) || b.Value[3] != wire.BinValue(wire.BinKey(12)) {
		t.Errorf("rows %+v", b)
	}
	if b.TS[0] != now || b.TS[1] < now || b.TS[1] > time.Now().UnixMilli() {
		t.Errorf("times %v, sent %d and none", b.TS, now)
	}
}

func TestBinaryAgentEndToEnd(t *testing.T) {
	h := startHub(t)
	c := h.connect()
	c.sendBinary(&wire.Hello{Token: goodToken, Agent: wire.Agent{ID: "a"}, Epochs: []string{"e"}})
	expect[*wire.Welcome](c)
	cpu, mem := &wire.Series{Metric: "cpu"}, &wire.Series{Metric: "mem", Unit: "By"}
	now := time.Now().UnixMilli()
	for seq := uint64(1); seq <= 3; seq++ {
		c.sendBinary(&wire.Batch{Epoch: "e", Seq: seq, Samples: []wire.Sample{
			{Series: cpu, TS: now, Value: float64(seq) / 10}, {Series: mem, TS: now, Value: 1 << 30},
		}})
		if ack := expect[*wire.Ack](c); ack.Seq != seq || ack.Epoch != "e" {
			t.Errorf("ack %+v", ack)
		}
	}
	for i, b := range h.taken("a") {
		if want := []float64{float64(i+1) / 10, 1 << 30}; !slices.Equal(b.Value, want) || !slices.Equal(b.Series, []uint64{1, 2}) {
			t.Errorf("batch %d: %+v, want values %v", i, b, want)
		}
	}
	if len(h.known) != 2 {
		t.Errorf("%d series made known, want 2", len(h.known))
	}
}

func TestTokenInHeader(t *testing.T) {
	h := startHub(t)
	c, _, err := h.dial(http.Header{"Authorization": {"Bearer " + goodToken}})
	if err != nil {
		t.Fatal(err)
	}
	c.send(&wire.Hello{Agent: wire.Agent{ID: "a"}})
	expect[*wire.Welcome](c)
}

// A batch taken is acknowledged only when it is stored, and acks are cumulative.
func TestAckMeansStored(t *testing.T) {
	h := startHub(t)
	h.hold()
	c := h.welcomed("a", "e")
	for seq := range uint64(5) {
		c.send(one("e", seq+1, 1))
	}
	eventually(t, "taking five", func() bool { return len(h.taken("a")) == 5 })
	h.store("a", "e", 3)
	if ack := expect[*wire.Ack](c); ack.Seq != 3 {
		t.Errorf("ack %+v, want seq 3", ack)
	}
	if st := h.server.Agents(); len(st) != 1 || st[0].InFlight != 2 || !st[0].Connected || st[0].LastBatch.IsZero() || st[0].Interval != time.Second {
		t.Errorf("status %+v", st)
	}
	h.store("a", "e", 5)
	if ack := expect[*wire.Ack](c); ack.Seq != 5 {
		t.Errorf("ack %+v, want seq 5", ack)
	}
}

// What was taken and not stored on the first connection is acknowledged, once, on the next.
func TestReconnectWhilePending(t *testing.T) {
	h := startHub(t)
	h.hold()
	c := h.welcomed("a", "e")
	c.send(one("e", 1, 1))
	c.send(one("e", 2, 2))
	eventually(t, "taking two", func() bool { return len(h.taken("a")) == 2 })
	_ = c.conn.Close()
	eventually(t, "disconnecting", func() bool { return h.counter("connections") == 0 })
	if st := h.server.Agents(); len(st) != 1 || st[0].Connected || st[0].InFlight != 2 {
		t.Errorf("status %+v, want one agent with two in flight", st)
	}
	c = h.agent("a", "e")
	if w := expect[*wire.Welcome](c); w.Epochs["e"] != 0 {
		t.Errorf("welcome %+v: nothing is stored yet", w)
	}
	for seq := range uint64(3) {
		c.send(one("e", seq+1, float64(seq+1)))
	}
	eventually(t, "taking the third", func() bool { return len(h.taken("a")) == 3 })
	if got := h.seqs("a"); !slices.Equal(got, []uint64{1, 2, 3}) || h.counter("duplicate_batches_total") != 2 {
		t.Errorf("taken %v with %v duplicates, want each once and two", got, h.counter("duplicate_batches_total"))
	}
	h.store("a", "e", 3)
	if ack := expect[*wire.Ack](c); ack.Seq != 3 {
		t.Errorf("ack %+v", ack)
	}
	_ = c.conn.Close()
	eventually(t, "forgetting the agent", func() bool { return len(h.server.Agents()) == 0 })
	if !slices.Equal(h.forgotten, []string{"a"}) {
		t.Errorf("forgotten: %v", h.forgotten)
	}
}

func TestForgottenOncePendingIsStored(t *testing.T) {
	h := startHub(t)
	h.hold()
	c := h.welcomed("a", "e")
	c.send(one("e", 1, 1))
	eventually(t, "taking", func() bool { return len(h.taken("a")) == 1 })
	_ = c.conn.Close()
	eventually(t, "disconnecting", func() bool { return h.counter("connections") == 0 })
	h.store("a", "e", 1)
	if len(h.server.Agents()) != 0 || !slices.Equal(h.forgotten, []string{"a"}) {
		t.Errorf("agents %+v, forgotten %v", h.server.Agents(), h.forgotten)
	}
}

func TestWelcomeSaysWhatIsStored(t *testing.T) {
	h := startHub(t)
	h.stored["a"] = map[string]uint64{"old": 7, "gone": 3}
	c := h.agent("a", "old", "new")
	if w := expect[*wire.Welcome](c); !reflect.DeepEqual(w.Epochs, map[string]uint64{"old": 7, "new": 0}) {
		t.Errorf("welcome %+v", w)
	}
	c.send(one("old", 8, 1))
	if ack := expect[*wire.Ack](c); ack.Epoch != "old" || ack.Seq != 8 {
		t.Errorf("ack %+v", ack)
	}
	c.send(one("later", 1, 1)) // an epoch may begin on a connection
	if ack := expect[*wire.Ack](c); ack.Epoch != "later" || ack.Seq != 1 {
		t.Errorf("ack %+v", ack)
	}
}

func TestSequenceRules(t *testing.T) {
	h := startHub(t)
	h.stored["a"] = map[string]uint64{"e": 7}
	other := h.witness()
	f := func(code wire.CloseCode, says string, frames ...wire.Frame) {
		t.Helper()
		c := h.welcomed("a", "e")
		for _, frame := range frames {
			c.send(frame)
		}
		h.expectClose(c, code, says)
		other()
	}
	f(wire.StaleSeq, "stored up to seq 7", one("e", 7, 1))
	f(wire.StaleSeq, "stored up to seq 7", one("e", 1, 1))
	f(wire.OutOfOrder, "seq 8 must come next", one("e", 9, 1))
	f(wire.OutOfOrder, "seq 1 must come next", one("fresh", 2, 1))
	f(wire.StaleSeq, "stored up to seq 0", one("fresh", 0, 1))
	f(wire.OutOfOrder, "seq 8 must come next", &wire.Gap{Epoch: "e", Seq: 9, ToSeq: 10})
	f(wire.BadFrame, "to_seq 7 is before", &wire.Gap{Epoch: "e", Seq: 8, ToSeq: 7})
	f(wire.BadFrame, "name the epoch", one("", 1, 1))
	f(wire.BadFrame, "epoch", one("not a name", 1, 1))
	f(wire.OutOfOrder, "seq 2 must come next", one("twice", 1, 1), one("twice", 1, 1))
	if got := h.seqs("a"); !slices.Equal(got, []uint64{1}) {
		t.Errorf("taken %v, want only the first of epoch twice", got)
	}
}

func TestTooManyEpochs(t *testing.T) {
	h := startHub(t, func(c *Config, _ *fakeSink) { c.Limits.Epochs = 4 })
	h.hold()
	c := h.welcomed("a", "e")
	for i := range 5 { // "e" may be dropped: nothing of it is under way
		c.send(one(fmt.Sprintf("x%d", i), 1, 1))
	}
	h.expectClose(c, wire.LimitExceeded, "4 epochs")
}

// Epochs that are stored to their end count no more.
func TestEpochsOneAfterAnother(t *testing.T) {
	h := startHub(t, func(c *Config, _ *fakeSink) { c.Limits.Epochs = 4 })
	c := h.welcomed("a", "e")
	for i := range 20 {
		epoch := fmt.Sprintf("x%d", i)
		c.send(one(epoch, 1, 1))
		if ack := expect[*wire.Ack](c); ack.Epoch != epoch || ack.Seq != 1 {
			t.Errorf("ack %+v", ack)
		}
	}
}

func TestGapTakesThePlaceOfBatches(t *testing.T) {
	h := startHub(t)
	c := h.welcomed("a", "e")
	c.send(one("e", 1, 1))
	c.send(&wire.Gap{Epoch: "e", Seq: 2, ToSeq: 9, From: 1, To: 2, Count: 80, Reason: "spool_full"})
	c.send(one("e", 10, 1))
	var last uint64
	for last < 10 {
		last = expect[*wire.Ack](c).Seq
	}
	if got := h.seqs("a"); !slices.Equal(got, []uint64{1, 10}) {
		t.Errorf("taken %v, want what is not lost", got)
	}
	want := Gap{Agent: "a", Epoch: "e", Seq: 2, ToSeq: 9, From: 1, To: 2, Count: 80, Reason: "spool_full"}
	if len(h.gaps) != 1 || *h.gaps[0] != want {
		t.Errorf("gaps %+v, want %+v", h.gaps, want)
	}
	if st := h.status("a"); st.GapSamples != 80 || h.counter("gap_samples_total{spool_full}") != 80 {
		t.Errorf("%+v, want 80 samples lost", st)
	}
	if h.counter("gap_batches_total") != 8 {
		t.Errorf("%v gap batches counted, want 8", h.counter("gap_batches_total"))
	}
}

func TestTakeOver(t *testing.T) {
	h := startHub(t)
	h.hold()
	first := h.welcomed("a", "e")
	first.send(one("e", 1, 1))
	eventually(t, "taking", func() bool { return len(h.taken("a")) == 1 })
	second := h.agent("a", "e")
	h.expectClose(first, wire.TakenOver, "newer connection")
	if w := expect[*wire.Welcome](second); w.Epochs["e"] != 0 {
		t.Errorf("welcome %+v", w)
	}
	second.send(one("e", 1, 1))
	second.send(one("e", 2, 2))
	eventually(t, "taking on", func() bool { return slices.Equal(h.seqs("a"), []uint64{1, 2}) })
	h.store("a", "e", 2)
	if ack := expect[*wire.Ack](second); ack.Seq != 2 {
		t.Errorf("ack %+v", ack)
	}
}

// Many connections of one agent at once: one is left, and nothing is taken twice.
func TestTakeOverStorm(t *testing.T) {
	h := startHub(t)
	const n = 20
	done := make(chan struct{})
	for range n {
		go func() {
			defer func() { done <- struct{}{} }()
			c, _, err := h.dial(nil)
			if err != nil {
				t.Error(err)
				return
			}
			hello, _ := wire.Text(&wire.Hello{Token: goodToken, Agent: wire.Agent{ID: "a"}, Epochs: []string{"e"}})
			_ = c.conn.WriteMessage(1, hello)
			frame, err := c.read()
			if w, ok := frame.(*wire.Welcome); err == nil && ok {
				batch, _ := wire.Text(one("e", w.Epochs["e"]+1, 1))
				_ = c.conn.WriteMessage(1, batch)
			}
			_, _ = c.read()
		}()
	}
	for range n {
		<-done
	}
	for i, seq := range h.seqs("a") {
		if seq != uint64(i+1) {
			t.Fatalf("taken %v: not each once, in order", h.seqs("a"))
		}
	}
}

func TestRevoke(t *testing.T) {
	h := startHub(t)
	other := h.connect()
	other.send(&wire.Hello{Token: "second-token", Agent: wire.Agent{ID: "b"}, Epochs: []string{"e"}})
	expect[*wire.Welcome](other)
	c := h.welcomed("a", "e")
	h.server.Revoke("token-1")
	h.expectClose(c, wire.Unauthorized, "revoked")
	other.send(one("e", 1, 1))
	expect[*wire.Ack](other)
}

func TestBroadcast(t *testing.T) {
	h := startHub(t)
	c := h.welcomed("a")
	h.server.Broadcast(wire.Notice{Level: "warning", Text: "maintenance at noon"})
	if n := expect[*wire.Notice](c); n.Text != "maintenance at noon" || n.Level != "warning" {
		t.Errorf("notice %+v", n)
	}
}

// Too many in flight: the connection is not read until storage has caught up.
func TestInFlightLimit(t *testing.T) {
	h := startHub(t, func(c *Config, _ *fakeSink) { c.Limits.MaxInFlight = 3 })
	h.hold()
	c := h.welcomed("a", "e")
	for seq := range uint64(6) {
		c.send(one("e", seq+1, 1))
	}
	eventually(t, "stalling", func() bool { return h.counter("stalls_total") == 1 })
	if got := h.seqs("a"); !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Errorf("taken %v, want three", got)
	}
	h.store("a", "e", 3)
	eventually(t, "going on", func() bool { return len(h.taken("a")) == 6 })
	h.store("a", "e", 6)
}

func TestCloseWaitsForWhatIsPending(t *testing.T) {
	h := startHub(t)
	h.hold()
	c := h.welcomed("a", "e")
	idle := h.welcomed("idle")
	c.send(one("e", 1, 1))
	eventually(t, "taking", func() bool { return len(h.taken("a")) == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- h.server.Close(ctx) }()
	h.expectClose(idle, wire.GoingAway, "stops or restarts")
	_, response, err := h.dial(nil)
	if err == nil || response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") != "5" {
		t.Errorf("a new connection while closing: %v %+v", err, response)
	}
	c.send(one("e", 2, 1)) // comes too late, and is not taken
	h.store("a", "e", 1)
	if ack := expect[*wire.Ack](c); ack.Seq != 1 {
		t.Errorf("ack %+v", ack)
	}
	h.expectClose(c, wire.GoingAway, "stops or restarts")
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if got := h.seqs("a"); !slices.Equal(got, []uint64{1}) {
		t.Errorf("taken %v after Close", got)
	}
	if err := h.server.Close(ctx); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func TestCloseEndsWithItsContext(t *testing.T) {
	h := startHub(t)
	h.hold()
	c := h.welcomed("a", "e")
	c.send(one("e", 1, 1))
	eventually(t, "taking", func() bool { return len(h.taken("a")) == 1 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.server.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Close returned %v", err)
	}
	if _, code := c.closed(); code != wire.GoingAway {
		t.Errorf("closed with %v", code)
	}
}
