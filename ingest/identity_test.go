package ingest

import (
	"context"
	"net/http"
	"testing"
	"time"

	"telltale/ingest/wire"
)

// Two machines with one id: after three take-overs both are told.
func TestDuplicateAgent(t *testing.T) {
	h := startHub(t)
	first := h.welcomed("a", "one")
	second := h.welcomed("a", "two")
	h.expectClose(first, wire.TakenOver, "newer connection")
	first = h.welcomed("a", "one", "another")
	h.expectClose(second, wire.TakenOver, "newer connection")
	second = h.agent("a", "two")
	for _, c := range []*client{first, second} {
		last, code := c.closed()
		if code != wire.DuplicateAgent || last.RetryAfter != duplicateRetry {
			t.Errorf("closed with %v %+v", code, last)
		}
	}
	if h.counter("duplicate_agents_total") != 1 {
		t.Errorf("counted %v times", h.counter("duplicate_agents_total"))
	}
	h.welcomed("a", "two") // and the count begins anew
}

// A machine that comes back on another way, or newly started, is no second one.
func TestTakeOversOfOneMachine(t *testing.T) {
	f := func(epochs ...string) {
		t.Helper()
		a, now := &agent{}, time.Now()
		for i := 1; i < len(epochs); i++ {
			if a.tookOverLocked([]string{epochs[i-1]}, []string{epochs[i]}, now) {
				t.Errorf("%v: taken for two machines", epochs)
			}
		}
	}
	f("a", "a", "a", "a", "a", "a")
	f("a", "b", "c", "d", "e", "f")
	f("a", "b", "b", "b", "c", "c", "c", "d")

	a, now := &agent{}, time.Now()
	for i := range 10 { // each for half a minute
		epochs := []string{"a", "b", "a"}
		if a.tookOverLocked([]string{epochs[i%2]}, []string{epochs[i%2+1]}, now.Add(time.Duration(i)*31*time.Second)) {
			t.Error("slow take-overs are taken for two machines that quarrel")
		}
	}
}

// gate is a Tokens whose look-ups wait.
type gate struct{ asked, open chan struct{} }

func (g *gate) Agent(context.Context, string) (string, bool, error) {
	g.asked <- struct{}{}
	<-g.open
	return "token-1", true, nil
}

// A token that is revoked between its look-up and the connection's being known.
func TestRevokedMeanwhile(t *testing.T) {
	h := startHub(t)
	g := &gate{asked: make(chan struct{}), open: make(chan struct{})}
	h.server.tokens = g
	c := h.agent("a")
	<-g.asked
	h.server.Revoke("token-1")
	close(g.open)
	h.expectClose(c, wire.Unauthorized, "revoked")

	go func() { <-g.asked }()
	c, _, err := h.dial(http.Header{"Authorization": {"Bearer x"}})
	if err != nil {
		t.Fatal(err)
	}
	h.expectClose(c, wire.Unauthorized, "revoked")
}

// The offset is that of hello, less half of the shortest round trip.
func TestRoundTrip(t *testing.T) {
	h := startHub(t, func(c *Config, _ *fakeSink) { c.PingEvery = 10 * time.Millisecond })
	c := h.connect()
	pings := 0
	c.conn.SetPingHandler(func(payload string) error {
		if pings++; pings == 1 {
			time.Sleep(300 * time.Millisecond) // the shortest counts
		}
		_ = c.conn.WriteControl(10, []byte("unasked"), time.Now().Add(patience))
		_ = c.conn.WriteControl(10, []byte{0xff, 0, 0, 0, 0, 0, 0, 0}, time.Now().Add(patience))
		return c.conn.WriteControl(10, []byte(payload), time.Now().Add(patience))
	})
	c.send(&wire.Hello{Token: goodToken, Agent: wire.Agent{ID: "a"}, Time: time.Now().Add(-30 * time.Second).UnixMilli()})
	expect[*wire.Welcome](c)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = c.read()
	}()
	eventually(t, "a short round trip", func() bool {
		trip := h.status("a").RoundTrip
		return trip > 0 && trip < 300*time.Millisecond
	})
	if got := h.status("a").ClockOffset; got > -29*time.Second || got < -50*time.Second {
		t.Errorf("offset %v, want about -30 s", got)
	}
	c2 := clock{told: true, ahead: 10 * time.Second}
	c2.best.Store(int64(4 * time.Second))
	if c2.offset() != 12*time.Second {
		t.Errorf("offset %v: hello was 2 s on its way", c2.offset())
	}
	_ = c.conn.Close()
	<-ended
}

// What the page and /metrics say of an agent.
func TestTally(t *testing.T) {
	h := startHub(t)
	h.hold()
	c := h.welcomed("a", "e")
	series := &wire.Series{Metric: "m"}
	ts := time.Now().Add(-40 * time.Second).UnixMilli()
	batch := &wire.Batch{Epoch: "e", Seq: 1, Samples: []wire.Sample{{Series: series, TS: 1}, {Series: series, TS: ts}, {Series: series, TS: ts}}}
	c.send(batch)
	eventually(t, "taking", func() bool { return len(h.taken("a")) == 1 })
	_ = c.conn.Close()
	eventually(t, "leaving", func() bool { return h.counter("connections") == 0 })
	c = h.welcomed("a", "e")
	c.send(batch)
	c.send(one("e", 2, 1))
	eventually(t, "taking on", func() bool { return len(h.taken("a")) == 2 })
	if h.counter("in_flight_batches") != 2 {
		t.Errorf("%v in flight", h.counter("in_flight_batches"))
	}
	h.store("a", "e", 1)
	st := h.status("a")
	if st.Received != 7 || st.Stored != 2 || st.Duplicates != 3 || st.Refused[wire.TooOld] != 1 || st.InFlight != 1 || st.Window != firstWindow {
		t.Errorf("status %+v", st)
	}
	if st.Lag < 40*time.Second || st.Lag > 10*time.Minute {
		t.Errorf("lag %v, want 40 s and what this test takes", st.Lag)
	}
	if h.counter("received_samples_total") != 7 || h.counter("stored_samples_total") != 2 || h.counter("in_flight_batches") != 1 {
		t.Errorf("received %v, stored %v", h.counter("received_samples_total"), h.counter("stored_samples_total"))
	}
	totals := h.server.Totals()
	if totals.Received != 7 || totals.Stored != 2 || totals.Duplicates != 3 || totals.Refused[string(wire.TooOld)] != 1 ||
		totals.InFlight != 1 || totals.Connected != 1 || len(totals.Refused) != len(wire.Reasons) {
		t.Errorf("totals %+v", totals)
	}
	lags := h.server.TakeLags()
	if len(lags) != 1 || lags[0].Count != 1 || wire.BinValue(lags[0].Key) < 39 || len(h.server.TakeLags()) != 0 {
		t.Errorf("lags %v, want one above 39 s, once", lags)
	}
	c.send(&wire.Gap{Epoch: "e", Seq: 3, ToSeq: 4, Count: 5, Reason: "spool_full"})
	c.send(&wire.Gap{Epoch: "e", Seq: 5, ToSeq: 5, Reason: "any word of a client's"})
	eventually(t, "declaring", func() bool { return h.server.Totals().Gaps["other"] == 1 })
	if totals := h.server.Totals(); totals.Gaps["spool_full"] != 1 || totals.GapSamples["spool_full"] != 5 || totals.GapSamples["other"] != 0 {
		t.Errorf("totals %+v", totals)
	}
	_ = c.conn.Close()
	eventually(t, "nobody is connected", func() bool { return h.server.Totals().Connected == 0 })

	families, err := h.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "telltale_ingest_lag_seconds" {
			if lag := f.GetMetric()[0].GetHistogram(); lag.GetSampleCount() != 1 || lag.GetSampleSum() < 40 {
				t.Errorf("lag %+v", lag)
			}
			return
		}
	}
	t.Error("no histogram of the lag")
}

// The hub's own id is nobody else's.
func TestReservedID(t *testing.T) {
	h := startHub(t, func(c *Config, _ *fakeSink) { c.ReservedID = "the-hub" })
	c := h.agent("the-hub", "e")
	if _, code := c.closed(); code != wire.DuplicateAgent {
		t.Errorf("closed with %v", code)
	}
	h.welcomed("another", "e")
}
