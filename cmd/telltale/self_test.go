package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"telltale/ingest/wire"
)

// signIn returns the cookie of a session of the first admin's.
func (in *installation) signIn() *http.Cookie {
	in.t.Helper()
	answer := ask(in.t, "http://"+in.listen, http.MethodPost, "/api/v1/login", "", nil, `{"user":"admin","password":"a-password-for-tests"}`)
	defer func() { _ = answer.Body.Close() }()
	if len(answer.Cookies()) != 1 {
		in.t.Fatalf("signing in: %s", answer.Status)
	}
	return answer.Cookies()[0]
}

// get reads an answer of the API's.
func (in *installation) get(session *http.Cookie, method, path, body string, into any) {
	in.t.Helper()
	answer := ask(in.t, "http://"+in.listen, method, path, "", session, body)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		in.t.Fatalf("%s: %s %s %v", path, answer.Status, text, err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		in.t.Fatalf("%s: %v in %s", path, err, text)
	}
}

// client is an agent by hand.
type client struct {
	t    *testing.T
	conn *websocket.Conn
}

func (in *installation) connect(id string, ahead time.Duration) *client {
	in.t.Helper()
	return in.connectWith(id, "e", ahead)
}

func (in *installation) connectWith(id, epoch string, ahead time.Duration) *client {
	in.t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}}
	conn, _, err := dialer.Dial("ws://"+in.listen+wire.Path, http.Header{"Authorization": {"Bearer " + testToken}})
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { _ = conn.Close() })
	c := &client{in.t, conn}
	c.send(fmt.Sprintf(`{"type":"hello","agent":{"id":%q},"epochs":[%q],"time":%d}`, id, epoch, time.Now().Add(ahead).UnixMilli()))
	return c
}

func (c *client) send(frame string) {
	c.t.Helper()
	if err := c.conn.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
		c.t.Fatal(err)
	}
}

// await reads on until a frame of the type comes, and its seq is at least the one given.
func (c *client) await(kind string, seq uint64) {
	c.t.Helper()
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
		_, message, err := c.conn.ReadMessage()
		if err != nil {
			c.t.Fatalf("waiting for %s: %v", kind, err)
		}
		var frame struct {
			Type string
			Seq  uint64
		}
		if err := json.Unmarshal(message, &frame); err != nil {
			c.t.Fatal(err)
		}
		if frame.Type == kind && frame.Seq >= seq {
			return
		}
	}
}

func (c *client) batch(seq int, samples ...string) {
	c.t.Helper()
	c.send(fmt.Sprintf(`{"type":"batch","epoch":"e","seq":%d,"samples":[%s]}`, seq, strings.Join(samples, ",")))
}

func sampleAt(ts time.Time) string {
	return fmt.Sprintf(`{"metric":"m","value":1,"ts":%d}`, ts.UnixMilli())
}

// What is pushed by hand is what the hub tells of itself: in its own series, by SQL and by the API, and in /metrics.
func TestTheHubTellsOfItself(t *testing.T) {
	in := install(t)
	hub := in.startHub()
	c := in.connect("pusher", 20*time.Second)
	c.await("welcome", 0)
	now := time.Now()
	c.batch(1, sampleAt(now), sampleAt(now.Add(-time.Second)), sampleAt(now.Add(-240*time.Hour)))
	c.batch(2, sampleAt(now.Add(time.Millisecond)), sampleAt(now.Add(time.Hour)))
	c.send(fmt.Sprintf(`{"type":"gap","epoch":"e","seq":3,"to_seq":9,"from":%d,"to":%d,"count":70,"reason":"spool_full"}`,
		now.Add(-30*time.Second).UnixMilli(), now.Add(-20*time.Second).UnixMilli()))
	c.send(fmt.Sprintf(`{"type":"gap","epoch":"e","seq":10,"to_seq":10,"from":%d,"to":%d,"reason":"unclean_stop"}`,
		now.Add(-15*time.Second).UnixMilli(), now.Add(-3*time.Second).UnixMilli()))
	c.await("ack", 10)

	for _, want := range []struct{ where, value string }{
		{"metric = 'telltale.ingest.samples.received'", "5"},
		{"metric = 'telltale.ingest.samples.stored'", "3"},
		{"metric = 'telltale.ingest.samples.refused' AND labels['reason'] = 'too_old'", "1"},
		{"metric = 'telltale.ingest.samples.refused' AND labels['reason'] = 'too_new'", "1"},
		{"metric = 'telltale.ingest.samples.refused'", "2"},
		{"metric = 'telltale.gaps.declared'", "2"},
		{"metric = 'telltale.gaps.samples' AND labels['reason'] = 'spool_full'", "70"},
		{"metric = 'telltale.ingest.agent.received' AND labels['source'] = 'pusher'", "5"},
		{"metric = 'telltale.ingest.agent.stored' AND labels['source'] = 'pusher'", "3"},
		{"metric = 'telltale.ingest.agent.refused' AND labels['source'] = 'pusher'", "2"},
		{"metric = 'telltale.ingest.agent.gaps' AND labels['source'] = 'pusher'", "2"},
		{"metric = 'telltale.ingest.agent.gap_samples' AND labels['source'] = 'pusher'", "70"},
	} {
		got := ""
		eventually(t, want.where+" is "+want.value, func() bool {
			var err error
			got, err = sql(t, hub, "SELECT sum(value) FROM samples WHERE agent = 'telltale' AND "+want.where)
			return err == nil && got == want.value
		})
	}
	// One value for each batch of 1 and 2; neither gaps nor the hub's own batches come through the door.
	if lags := mustSQL(t, hub, "SELECT sum(count), min(value) > 0, max(value) < 300 FROM samples WHERE metric = 'telltale.ingest.lag'"); lags != "2\t1\t1" {
		t.Errorf("lags: %q, want two of a reasonable size", lags)
	}
	if behind := mustSQL(t, hub, "SELECT uniqExact(labels['reason']) FROM samples WHERE metric = 'telltale.history.behind'"); behind != "3" {
		t.Errorf("telltale.history.behind has %s reasons, want 3", behind)
	}
	eventually(t, "the clock's offset is stored", func() bool {
		near, err := sql(t, hub, "SELECT count() FROM agents WHERE agent = 'pusher' AND clock_offset_ms BETWEEN 15000 AND 20500")
		return err == nil && near == "1"
	})
	if repeated := mustSQL(t, hub, "SELECT metric, labels, ts FROM samples WHERE agent = 'telltale' GROUP BY metric, labels, ts, if(kind = 'distribution', value, 0) HAVING count() > 1"); repeated != "" {
		t.Errorf("samples of the hub are stored more than once:\n%s", repeated)
	}

	session := in.signIn()
	in.checkAPI(session, now)
	in.checkOwnID(session)
	hub.signal(syscall.SIGTERM)
	if code := hub.ProcessState.ExitCode(); code != 0 {
		t.Errorf("an orderly stop of the hub ends with exit code %d", code)
	}
}

func (in *installation) checkAPI(session *http.Cookie, pushed time.Time) {
	t := in.t
	t.Helper()
	var history struct {
		Queries map[string]struct {
			Values [][]*float64
		}
	}
	in.get(session, http.MethodPost, "/api/v1/query", fmt.Sprintf(`{"queries":{"received":{"metric":"telltale.ingest.samples.received","over":"increase","agg":"sum"},
		"stored":{"metric":"telltale.ingest.agent.stored","where":{"source":"pusher"},"over":"increase","agg":"sum"}},"from":%d,"to":%d,"step":"1h"}`,
		pushed.Add(-time.Hour).UnixMilli(), pushed.Add(2*time.Hour).UnixMilli()), &history)
	for name, want := range map[string]float64{"received": 5, "stored": 3} {
		sum := 0.0
		for _, row := range history.Queries[name].Values {
			for _, v := range row {
				if v != nil {
					sum += *v
				}
			}
		}
		if sum != want {
			t.Errorf("the API says %v %s, want %v", sum, name, want)
		}
	}

	var gaps struct {
		Gaps []struct {
			Agent    string
			From, To int64
			Count    *uint64
			Reason   string
		}
	}
	in.get(session, http.MethodGet, "/api/v1/gaps?agent=pusher", "", &gaps)
	if len(gaps.Gaps) != 2 || gaps.Gaps[0].Reason != "unclean_stop" || gaps.Gaps[0].Count != nil ||
		gaps.Gaps[1].Count == nil || *gaps.Gaps[1].Count != 70 || gaps.Gaps[1].To-gaps.Gaps[1].From != 10_000 {
		t.Errorf("gaps %+v", gaps)
	}

	var agents struct {
		Agents []struct {
			Agent         string
			ClockOffsetMS *int64 `json:"clock_offset_ms"`
		}
	}
	in.get(session, http.MethodGet, "/api/v1/agents", "", &agents)
	if len(agents.Agents) != 1 || agents.Agents[0].Agent != "pusher" || agents.Agents[0].ClockOffsetMS == nil || *agents.Agents[0].ClockOffsetMS < 15_000 {
		t.Errorf("agents %+v, want the pusher with its clock, and not the hub", agents)
	}

	answer := ask(t, "http://"+in.listen, http.MethodGet, "/metrics", "", session, "")
	defer func() { _ = answer.Body.Close() }()
	metrics, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"telltale_ingest_received_samples_total 5", "telltale_ingest_stored_samples_total 3", "telltale_ingest_agents 1",
		`telltale_ingest_refused_samples_total{reason="too_old"} 1`, `telltale_ingest_gap_samples_total{reason="spool_full"} 70`,
		`telltale_ingest_gaps_total{reason="unclean_stop"} 1`, "telltale_ingest_lag_seconds_count 2",
	} {
		if !strings.Contains(string(metrics), "\n"+line+"\n") {
			t.Errorf("/metrics lacks %q", line)
		}
	}
}

// checkOwnID sees that nobody else can be the hub, and that its dashboard is there.
func (in *installation) checkOwnID(session *http.Cookie) {
	in.t.Helper()
	c := in.connect("telltale", 0)
	c.await("error", 0)
	var board struct{ Title string }
	in.get(session, http.MethodGet, "/api/v1/dashboards/telltale", "", &board)
	if board.Title != "Telltale itself" {
		in.t.Errorf("the dashboard's title is %q", board.Title)
	}
}

// An agent that is killed declares what it may have lost, and the API tells of it.
func TestTheGapOfAKilledAgentIsTold(t *testing.T) {
	in := install(t)
	hub := in.startHub()
	agent := in.startAgent()
	in.awaitMore(hub, 3)
	agent.signal(syscall.SIGKILL)
	killed := time.Now()
	in.startAgent()
	session := in.signIn()
	var gaps struct {
		Gaps []struct {
			Agent    string
			From, To int64
			Count    *uint64
			Reason   string
		}
	}
	eventually(t, "the gap is declared", func() bool {
		in.get(session, http.MethodGet, "/api/v1/gaps?agent="+url.QueryEscape("this-host"), "", &gaps)
		return len(gaps.Gaps) > 0
	})
	g := gaps.Gaps[0]
	if len(gaps.Gaps) != 1 || g.Reason != "unclean_stop" || g.Count != nil || g.From > killed.UnixMilli() || g.To < killed.UnixMilli() {
		t.Errorf("gaps %+v, want one around %d", gaps, killed.UnixMilli())
	}
	eventually(t, "the hub counts it", func() bool {
		n, err := sql(t, hub, "SELECT sum(value) FROM samples WHERE metric = 'telltale.gaps.declared' AND labels['reason'] = 'unclean_stop'")
		return err == nil && n == "1"
	})
	eventually(t, "the agent's spool is in /metrics", func() bool {
		answer := ask(t, "http://"+in.listen, http.MethodGet, "/metrics", "", session, "")
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		held := regexp.MustCompile(`(?m)^telltale_agents_spooled_batches ([1-9])`).FindSubmatch(text)
		return err == nil && held != nil
	})
	eventually(t, "the agent's spool is told", func() bool {
		n, err := sql(t, hub, "SELECT count() FROM samples WHERE metric = 'telltale.agent.spool.batches'")
		return err == nil && n != "0"
	})
}
