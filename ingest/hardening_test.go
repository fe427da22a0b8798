package ingest

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/klauspost/compress/zstd"

	"telltale/ingest/wire"
)

// Messages that end their connection, and no other.
func TestBadMessages(t *testing.T) {
	h := startHub(t)
	other := h.witness()
	f := func(message string, code wire.CloseCode, says string) {
		t.Helper()
		before := h.counter("closed_total{" + code.String() + "}")
		c := h.welcomed("a", "e")
		c.text(message)
		h.expectClose(c, code, says)
		eventually(t, "counting", func() bool { return h.counter("closed_total{"+code.String()+"}") == before+1 })
		other()
	}
	f("this is not JSON", wire.BadFrame, "invalid character")
	f(`{"type":"batch","epoch":"e","seq":"one","samples":[]}`, wire.BadFrame, "seq must not be a JSON string")
	f(`{"type":"batch","epoch":"e","seq":1,"samples":[{"metric":"m","value":"high"}]}`, wire.BadFrame, "value must not be a JSON string")
	f(`{"type":"batch","epoch":"e","seq":1,"samples":[{"metric":"m","value":NaN}]}`, wire.BadFrame, "invalid character 'N'")
	f(`{"type":"party"}`, wire.BadFrame, `unknown frame type "party"`)
	f(`{"type":"hello","token":"good-token","agent":{"id":"b"}}`, wire.BadFrame, "second hello")
	f(`{"type":"welcome"}`, wire.BadFrame, "the hub's to send")
	f("{\"type\":\"batch\",\"epoch\":\"\xff\xfe\"}", wire.InvalidText, "UTF-8")
	if got := h.seqs("a"); len(got) > 0 {
		t.Errorf("taken %v of bad messages", got)
	}
}

func TestBadBinaryMessages(t *testing.T) {
	h := startHub(t)
	other := h.witness()
	f := func(message []byte, code wire.CloseCode, says string) {
		t.Helper()
		c := h.connect()
		c.sendBinary(&wire.Hello{Token: goodToken, Agent: wire.Agent{ID: "a"}, Epochs: []string{"e"}})
		expect[*wire.Welcome](c)
		c.binary(message)
		h.expectClose(c, code, says)
		other()
	}
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	f([]byte{0, 1, 2, 3}, wire.BadFrame, "")
	f([]byte{0, 15<<3 | 2, 0}, wire.BadFrame, "unknown frame type 15")
	f([]byte{7}, wire.BadFrame, "unknown compression 7")
	f(e.EncodeAll(make([]byte, 200<<20), []byte{1}), wire.TooBig, "exceeds 4194304 bytes")
}

func TestMixedForms(t *testing.T) {
	h := startHub(t)
	c := h.welcomed("a", "e")
	c.sendBinary(one("e", 1, 1))
	h.expectClose(c, wire.BadFrame, "either text or binary")
}

func TestHundredMegabyteFrame(t *testing.T) {
	h := startHub(t)
	other := h.witness()
	for _, greeted := range []bool{true, false} {
		c := h.connect()
		says := "exceeds 262144 bytes" // of a client that nobody knows yet
		if greeted {
			says = "exceeds 4194304 bytes"
			c.send(&wire.Hello{Token: goodToken, Agent: wire.Agent{ID: "a"}, Epochs: []string{"e"}})
			expect[*wire.Welcome](c)
		}
		written := make(chan struct{})
		go func() {
			defer close(written)
			_ = c.conn.WriteMessage(websocket.TextMessage, make([]byte, 100<<20)) // is cut off
		}()
		h.expectClose(c, wire.TooBig, says)
		<-written
		other()
	}
}

// Samples that are refused while the rest of their batch is taken.
func TestRefusedSamples(t *testing.T) {
	h := startHub(t)
	other := h.witness()
	ms := func(t time.Time) int64 { return t.UnixMilli() }
	many := make([]wire.Label, 10_000)
	for i := range many {
		many[i] = wire.Label{Name: fmt.Sprintf("l%d", i), Value: "v"}
	}
	label := func(name, value string) *wire.Series {
		return &wire.Series{Metric: "m", Labels: []wire.Label{{Name: name, Value: value}}}
	}
	m := &wire.Series{Metric: "m"}
	seq := 0
	f := func(s wire.Sample, reason wire.Reason) {
		t.Helper()
		seq++
		agent := fmt.Sprintf("a%d", seq)
		before := h.counter("refused_samples_total{" + string(reason) + "}")
		c := h.connect()
		c.sendBinary(&wire.Hello{Token: goodToken, Agent: wire.Agent{ID: agent}, Epochs: []string{"e"}})
		expect[*wire.Welcome](c)
		good := &wire.Series{Metric: "good"}
		for n := range uint64(2) { // refused again when the series is known
			c.sendBinary(&wire.Batch{Epoch: "e", Seq: n + 1, Samples: []wire.Sample{{Series: good, Value: 1}, s, {Series: good, Value: 2}}})
			if reason == wire.SeriesLimit && n == 0 { // an ack has no room for the whole reason
				if told := expect[*wire.Notice](c); told.Level != "warning" || !strings.Contains(told.Text, "series of metric m") {
					t.Errorf("the agent is told %+v", told)
				}
			}
			ack := expect[*wire.Ack](c)
			if want := (wire.Refused{Seq: n + 1, Index: 1, Reason: reason}); len(ack.Refused) != 1 || ack.Refused[0] != want {
				t.Errorf("refused %+v, want %+v", ack.Refused, want)
			}
		}
		for _, b := range h.taken(agent) {
			if len(b.Value) != 2 || b.Value[0] != 1 || b.Value[1] != 2 {
				t.Errorf("%s: the rest of the batch is %+v", reason, b)
			}
		}
		eventually(t, "counting "+string(reason), func() bool { return h.counter("refused_samples_total{"+string(reason)+"}") == before+2 })
		other()
	}
	f(wire.Sample{Series: m, Value: math.NaN()}, wire.NotFinite)
	f(wire.Sample{Series: m, Value: math.Inf(1)}, wire.NotFinite)
	f(wire.Sample{Series: m, Value: math.Inf(-1)}, wire.NotFinite)
	f(wire.Sample{Series: m, Value: 1, TS: ms(time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC))}, wire.TooOld)
	f(wire.Sample{Series: m, Value: 1, TS: ms(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))}, wire.TooNew)
	f(wire.Sample{Series: m, Value: 1, TS: math.MinInt64}, wire.TooOld)
	f(wire.Sample{Series: m, Value: 1, TS: math.MaxInt64}, wire.TooNew)
	f(wire.Sample{Series: m, Value: 1, TS: ms(time.Now().Add(-73 * time.Hour))}, wire.TooOld)
	f(wire.Sample{Series: m, Value: 1, TS: ms(time.Now().Add(3 * time.Minute))}, wire.TooNew)
	f(wire.Sample{Series: &wire.Series{Metric: "m", Labels: many}, Value: 1}, wire.TooManyLabels)
	f(wire.Sample{Series: &wire.Series{Metric: "m", Labels: many[:32]}, Value: 1}, wire.TooManyLabels) // "agent" is one more
	f(wire.Sample{Series: label("a", strings.Repeat("v", 1<<20)), Value: 1}, wire.LabelTooLong)
	f(wire.Sample{Series: label("a", "\xff"), Value: 1}, wire.InvalidUTF8)
	f(wire.Sample{Series: label("agent", "someone else"), Value: 1}, wire.ReservedLabel)
	f(wire.Sample{Series: label("not a name", "v"), Value: 1}, wire.BadLabel)
	f(wire.Sample{Series: &wire.Series{Metric: "no spaces"}, Value: 1}, wire.BadMetric)
	f(wire.Sample{Series: &wire.Series{Metric: "c", Kind: wire.Counter}, Value: -1}, wire.BadValue)
	f(wire.Sample{Series: &wire.Series{Metric: "d", Kind: wire.Distribution}}, wire.BadValue)

	h.sink.series = func(s wire.Series) (uint64, error) {
		if s.Metric == "good" {
			return 1, nil
		}
		return 0, fmt.Errorf("series of metric %s: %w", s.Metric, wire.SeriesLimit)
	}
	f(wire.Sample{Series: m, Value: 1}, wire.SeriesLimit)
}

// The list of refused samples is bounded: what it does not name, it counts.
func TestRefusedListIsBounded(t *testing.T) {
	h := startHub(t)
	h.hold()
	c := h.welcomed("a", "e")
	bad := &wire.Batch{Epoch: "e", Samples: make([]wire.Sample, 3000)}
	for i := range bad.Samples {
		bad.Samples[i] = wire.Sample{Series: &wire.Series{Metric: "m"}, Value: 1, TS: 1}
	}
	for range 3 {
		bad.Seq++
		c.send(bad)
	}
	eventually(t, "taking", func() bool { return len(h.taken("a")) == 3 })
	h.store("a", "e", 3)
	ack := expect[*wire.Ack](c)
	if len(ack.Refused) != listedRefusals || ack.Unnamed != 9000-listedRefusals {
		t.Errorf("%d refused named and %d not, want %d of 9000", len(ack.Refused), ack.Unnamed, listedRefusals)
	}
	eventually(t, "counting", func() bool { return h.counter("refused_samples_total{too_old}") == 9000 })
}

func TestTurnedAwayBeforeTheUpgrade(t *testing.T) {
	h := startHub(t, func(c *Config, _ *fakeSink) { c.PublicURL = "https://telltale.example" })
	other := h.witness()
	f := func(query string, header http.Header, status int, reason, says string) {
		t.Helper()
		dialer := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}}
		_, response, err := dialer.Dial(h.url+query, header)
		if err == nil {
			t.Fatal("connected")
		}
		body, _ := io.ReadAll(response.Body)
		if response.StatusCode != status || !strings.Contains(string(body), says) {
			t.Errorf("got %d %q, want %d and %q", response.StatusCode, body, status, says)
		}
		if h.counter("rejected_total{"+reason+"}") < 1 {
			t.Errorf("%s is not counted", reason)
		}
		other()
	}
	f("?token="+goodToken, nil, http.StatusBadRequest, "token_in_url", "Authorization: Bearer")
	f("?access_token="+goodToken, nil, http.StatusBadRequest, "token_in_url", "hello frame")
	f("", http.Header{"Authorization": {"Bearer wrong"}}, http.StatusUnauthorized, "unauthorized", "unknown agent token")
	f("", http.Header{"Authorization": {"Basic " + goodToken}}, http.StatusUnauthorized, "unauthorized", "must be 'Bearer'")
	f("", http.Header{"Origin": {"https://evil.example"}}, http.StatusForbidden, "origin", "may not connect")
	f("", http.Header{"Origin": {"null"}}, http.StatusForbidden, "origin", "may not connect")

	response, err := http.Get("http" + strings.TrimPrefix(h.url, "ws"))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusUpgradeRequired || h.counter("rejected_total{no_websocket}") != 1 {
		t.Errorf("plain GET: %d", response.StatusCode)
	}
	host := strings.TrimSuffix(strings.TrimPrefix(h.url, "ws://"), wire.Path)
	for _, origin := range []string{"http://" + host, "https://telltale.example"} {
		if _, _, err := h.dial(http.Header{"Origin": {origin}}); err != nil {
			t.Errorf("our own origin %s: %v", origin, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestUnsupportedVersion(t *testing.T) {
	h := startHub(t)
	other := h.witness()
	for _, offered := range [][]string{nil, {"telltale.v9"}} {
		dialer := websocket.Dialer{Subprotocols: offered}
		conn, _, err := dialer.Dial(h.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t: t, conn: conn, Decoder: wire.NewDecoder(wire.DefaultLimits())}
		h.expectClose(c, wire.UnsupportedVersion, "telltale.v1")
		other()
	}
}

func TestBadHello(t *testing.T) {
	h := startHub(t)
	other := h.witness()
	f := func(hello string, code wire.CloseCode, says string) {
		t.Helper()
		c := h.connect()
		c.text(hello)
		h.expectClose(c, code, says)
		other()
	}
	clock := func(at time.Time) string {
		return fmt.Sprintf(`{"type":"hello","token":"good-token","agent":{"id":"a"},"time":%d}`, at.UnixMilli())
	}
	f(`{"type":"hello","agent":{"id":"a"}}`, wire.Unauthorized, "no token")
	f(`{"type":"hello","token":"wrong","agent":{"id":"a"}}`, wire.Unauthorized, "unknown agent token")
	f(`{"type":"hello","token":"good-token"}`, wire.BadFrame, "agent.id")
	f(`{"type":"hello","token":"good-token","agent":{"id":"a","labels":{"agent":"b"}}}`, wire.BadFrame, "reserved_label")
	f(`{"type":"hello","token":"good-token","agent":{"id":"a"},"epochs":[`+strings.Repeat(`"e",`, 32)+`"e"]}`, wire.LimitExceeded, "33 epochs")
	f(`{"type":"batch","seq":1,"samples":[]}`, wire.BadFrame, "first frame must be hello")
	f(clock(time.Now().Add(2*time.Minute)), wire.ClockSkew, "NTP")
	f(clock(time.Now().Add(-2*time.Minute)), wire.ClockSkew, "NTP")
	f(`{"type":"hello","token":"good-token","agent":{"id":"a"},"time":9223372036854775807}`, wire.ClockSkew, "NTP")
	if len(h.server.Agents()) != 1 {
		t.Errorf("agents %+v, want only the other one", h.server.Agents())
	}
}

func TestClockOffset(t *testing.T) {
	h := startHub(t)
	c := h.connect()
	c.send(&wire.Hello{Token: goodToken, Agent: wire.Agent{ID: "a"}, Time: time.Now().Add(40 * time.Second).UnixMilli()})
	expect[*wire.Welcome](c)
	if got := h.server.Agents()[0].ClockOffset; got < 20*time.Second || got > 40*time.Second {
		t.Errorf("offset %v, want nearly 40 s", got)
	}
}

// A client that connects and says nothing, or only the beginning of something.
func TestSilentClients(t *testing.T) {
	h := startHub(t, func(c *Config, _ *fakeSink) { c.HelloTimeout = 300 * time.Millisecond })
	other := h.witness()
	silent := h.connect()
	slow := h.connect()
	w, err := slow.conn.NextWriter(websocket.TextMessage)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(`{"type":"hello",` + strings.Repeat(" ", 10_000))); err != nil {
		t.Fatal(err)
	}
	h.expectClose(silent, wire.HelloTimeout, "nothing arrived within 300ms")
	h.expectClose(slow, wire.HelloTimeout, "nothing arrived within 300ms")
	eventually(t, "counting both", func() bool { return h.counter("closed_total{hello_timeout}") == 2 })
	other()
}

// A client that answers no ping.
func TestIdleClient(t *testing.T) {
	h := startHub(t, func(c *Config, _ *fakeSink) {
		c.PingEvery = 50 * time.Millisecond
		c.IdleTimeout = 500 * time.Millisecond
	})
	dead := h.welcomed("dead")
	dead.conn.SetPingHandler(func(string) error { return nil })
	alive := h.welcomed("alive", "e")
	pings := 0
	alive.conn.SetPingHandler(func(string) error {
		pings++
		return alive.conn.WriteControl(websocket.PongMessage, nil, time.Now().Add(patience))
	})
	aliveEnds := make(chan error, 1)
	go func() {
		_, err := alive.read()
		aliveEnds <- err
	}()
	h.expectClose(dead, wire.IdleTimeout, "nothing arrived within 500ms")
	select {
	case err := <-aliveEnds:
		t.Errorf("the agent that answers pings ended: %v", err)
	default:
	}
	_ = alive.conn.Close()
	<-aliveEnds
	if pings == 0 {
		t.Error("no pings")
	}
}

// A client that never reads its acks, nor what else the hub has to say.
func TestClientThatNeverReads(t *testing.T) {
	h := startHub(t, func(c *Config, _ *fakeSink) { c.WriteTimeout = 200 * time.Millisecond })
	other := h.witness()
	dialer := websocket.Dialer{
		Subprotocols: []string{wire.Subprotocol},
		NetDial: func(network, address string) (net.Conn, error) {
			conn, err := net.Dial(network, address)
			if err == nil {
				err = conn.(*net.TCPConn).SetReadBuffer(4096)
			}
			return conn, err
		},
	}
	conn, _, err := dialer.Dial(h.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	write := func(f wire.Frame) error {
		message, err := wire.Text(f)
		return errors.Join(err, conn.WriteMessage(websocket.TextMessage, message))
	}
	if err := write(&wire.Hello{Token: goodToken, Agent: wire.Agent{ID: "a"}, Epochs: []string{"e"}}); err != nil {
		t.Fatal(err)
	}
	if err := write(one("e", 1, 1)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "taking", func() bool { return len(h.taken("a")) == 1 })
	a := h.server.directory.find("a")
	long := strings.Repeat("x", 64<<10) // so that what is unread soon fills the kernel's buffers
	eventually(t, "cutting off", func() bool {
		for _, session := range h.server.all() {
			if session.agent == a {
				session.send(&wire.Notice{Level: "info", Text: long})
			}
		}
		return h.counter("closed_total{slow_reader}") == 1
	})
	other()
}

// A connection cut in the middle of a frame.
func TestCutConnection(t *testing.T) {
	h := startHub(t)
	other := h.witness()
	c := h.welcomed("a", "e")
	if _, err := c.conn.NetConn().Write([]byte{0x81, 0xfe, 0x40}); err != nil {
		t.Fatal(err)
	}
	_ = c.conn.NetConn().Close()
	eventually(t, "counting", func() bool { return h.counter("closed_total{client}") == 1 })
	other()
}

// A defect that one connection meets ends that connection only.
func TestPanicIsContained(t *testing.T) {
	h := startHub(t)
	other := h.witness()
	h.sink.series = func(s wire.Series) (uint64, error) {
		if s.Metric == "trap" {
			panic("a secret")
		}
		return h.series(s)
	}
	c := h.welcomed("a", "e")
	c.send(&wire.Batch{Epoch: "e", Seq: 1, Samples: []wire.Sample{{Series: &wire.Series{Metric: "trap"}, Value: 1}}})
	last, code := c.closed()
	if code != wire.Overloaded || strings.Contains(last.Message, "secret") {
		t.Errorf("closed with %v %+v", code, last)
	}
	other()
}
