package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"telltale/aggregate"
)

func TestQuery(t *testing.T) {
	var asked HistoryQuery
	agent := strings.Repeat("web-1", 100) // long enough to be worth compressing
	s := open(t, func(_ *Config, p *Parts) {
		p.History = past{query: func(ctx context.Context, ask HistoryQuery) (HistoryAnswer, error) {
			if _, bounded := ctx.Deadline(); !bounded {
				return HistoryAnswer{}, errors.New("no deadline")
			}
			asked = ask
			return HistoryAnswer{Step: aggregate.TenSeconds, Ends: []int64{20_000, 30_000}, Results: map[string]aggregate.Columns{
				"cpu": {
					Groups: []aggregate.Group{{Labels: []aggregate.Label{{Name: "agent", Value: agent}}}},
					Values: [][]float64{{0.1, nan}},
				},
			}}, nil
		}}
	})
	c := s.signedIn()
	const body = `{"queries":{"cpu":{"metric":"m","where":{"env":"=~p.*"},"over":"avg","by":["agent"],"agg":"avg","step":"1s"}},"from":10001,"to":39999,"step":"10s"}`
	r := c.post("/api/v1/query", body)
	r.want(http.StatusOK, "")
	want := `{"from":10000,"to":30000,"step_ms":10000,"ends":[20000,30000],"queries":{"cpu":{"groups":[{"agent":"` + agent + `"}],"values":[[0.1,null]]}}}`
	if string(r.body) != want {
		t.Errorf("got  %s\nwant %s", r.body, want)
	}
	if r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", r.Header)
	}
	c.header.Set("Accept-Encoding", "gzip")
	if packed := c.post("/api/v1/query", body); packed.Header.Get("Content-Encoding") != "gzip" || len(packed.body) >= len(want) {
		t.Errorf("%d bytes of %d, headers %v", len(packed.body), len(want), packed.Header)
	}
	if got, want := asked.Queries["cpu"].String(), `avg by ("agent") (avg("m"{"env"=~"p.*"})[10s])`; got != want || len(asked.Queries) != 1 {
		t.Errorf("history was asked %s, want %s", got, want)
	}
	if asked.From != 10_001 || asked.To != 39_999 || asked.Step != aggregate.TenSeconds {
		t.Errorf("history was asked for %+v", asked)
	}
}

func TestQueryIsRefused(t *testing.T) {
	s := open(t)
	c := s.signedIn()
	f := func(body, code, message string) {
		t.Helper()
		r := c.post("/api/v1/query", body)
		r.want(http.StatusBadRequest, code)
		if !strings.Contains(string(r.body), message) {
			t.Errorf("%s: answer %s does not say %q", body, r.body, message)
		}
	}
	const q = `{"metric":"m","over":"avg","agg":"avg"}`
	f(`[]`, "bad_request", "send")
	f(`{"queries":{"a":`+q+`},"from":0,"to":1000,"step":"1s","stop":1}`, "bad_request", "stop")
	f(`{"queries":{"a":`+q+`},"from":"now","to":1000,"step":"1s"}`, "bad_request", "from")
	f(`{"queries":{"a":`+q+`},"from":0,"to":1000}`, "bad_request", "step")
	f(`{"queries":{"a":`+q+`},"from":0,"to":1000,"step":"2s"}`, "bad_request", "2s")
	f(`{"queries":{"a":{"metric":"m","over":"median","agg":"avg"}},"from":0,"to":1000,"step":"1s"}`, "bad_query", "a: over")
	f(`{"queries":{"a":{"metric":"m","over":"avg","agg":"avg","where":{"x":"=~("}}},"from":0,"to":1000,"step":"1s"}`, "bad_query", "where.x")
	f(`{"queries":{"a":{"expr":"b / 2"}},"from":0,"to":1000,"step":"1s"}`, "bad_query", "no query here")
}

func TestQueryWhenHistoryFails(t *testing.T) {
	var failure error
	s := open(t, func(_ *Config, p *Parts) {
		p.History = past{query: func(context.Context, HistoryQuery) (HistoryAnswer, error) { return HistoryAnswer{}, failure }}
	})
	c := s.signedIn()
	f := func(err error, status int, code string) {
		t.Helper()
		failure = fmt.Errorf("query: %w", err)
		r := c.post("/api/v1/query", `{"queries":{"a":{"metric":"m","over":"avg","agg":"avg"}},"from":0,"to":1000,"step":"1s"}`)
		r.want(status, code)
		if strings.Contains(string(r.body), "secret") {
			t.Errorf("the answer tells the cause: %s", r.body)
		}
	}
	f(&aggregate.QueryError{Key: "a.over", Err: errors.New("m is a counter")}, http.StatusBadRequest, "bad_query")
	f(&LimitError{Code: "too_many_values", Message: "too many groups"}, http.StatusBadRequest, "too_many_values")
	f(&LimitError{Code: "busy", Message: "too many ask", Passing: true}, http.StatusServiceUnavailable, "busy")
	f(context.DeadlineExceeded, http.StatusServiceUnavailable, "too_slow")
	f(errors.New("secret address refused the connection"), http.StatusServiceUnavailable, "history_unavailable")
}

// What the parser lets pass is valid and of one step.
func FuzzHistoryQuery(f *testing.F) {
	f.Add([]byte(`{"queries":{"a":{"metric":"m","over":"avg","agg":"avg"}},"from":0,"to":1000,"step":"1s"}`))
	f.Add([]byte(`{"queries":{"a":{"expr":"b+1"},"b":{"metric":"m","agg":"sum"}},"from":0,"to":1000,"step":"1d"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		ask, err := parseHistoryQuery(body)
		if err != nil {
			if public := publicError(err); public.status != http.StatusBadRequest {
				t.Fatalf("%s: %v", body, err)
			}
			return
		}
		if err := aggregate.ValidateQueries(ask.Queries); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		for name, query := range ask.Queries {
			if query.Step != ask.Step {
				t.Errorf("%s: %s has step %v, not %v", body, name, query.Step, ask.Step)
			}
		}
	})
}

func TestAgents(t *testing.T) {
	failure := errors.New("away")
	seen := time.UnixMilli(1_763_800_000_000)
	asked := 0
	s := open(t, func(_ *Config, p *Parts) {
		p.History = past{agents: func(context.Context) ([]KnownAgent, error) {
			asked++
			return []KnownAgent{
				{ID: "web-2", Labels: map[string]string{"region": "eu"}, LastSeen: seen, ClockOffset: ahead(-1200)},
				{ID: "web-1", Attributes: map[string]string{"os.type": "linux"}, LastSeen: seen, ClockOffset: ahead(7)},
			}, failure
		}}
		p.Agents = func() []DoorAgent {
			return []DoorAgent{
				{ID: "web-1", Connected: true, LastBatch: seen.Add(time.Second), Interval: 5 * time.Second, ClockOffset: ahead(2500)},
				{ID: "app", Connected: true},
				{ID: "web-2", LastBatch: seen.Add(-time.Second)},
			}
		}
	})
	c := s.signedIn()
	c.get("/api/v1/agents").want(http.StatusServiceUnavailable, "history_unavailable")
	c.get("/api/v1/agents").want(http.StatusServiceUnavailable, "history_unavailable")
	if asked != 1 {
		t.Errorf("history was asked %d times within the time that an answer is kept", asked)
	}
	failure = nil
	check := func() {
		t.Helper()
		s.agentList.mu.Lock()
		s.agentList.asked = s.agentList.asked.Add(-recentKept)
		s.agentList.mu.Unlock()
		r := c.get("/api/v1/agents")
		r.want(http.StatusOK, "")
		var got, want any
		r.decode(&got)
		must(t, json.Unmarshal([]byte(`{"agents":[
			{"agent":"app","labels":null,"attributes":null,"connected":true,"last_seen":0},
			{"agent":"web-1","labels":null,"attributes":{"os.type":"linux"},"connected":true,"last_seen":1763800001000,"interval_ms":5000,"clock_offset_ms":2500},
			{"agent":"web-2","labels":{"region":"eu"},"attributes":null,"connected":false,"last_seen":1763800000000,"clock_offset_ms":-1200}]}`), &want))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %s", r.body)
		}
	}
	check()
	failure = errors.New("away again") // what was known is still served
	check()
	if asked != 3 {
		t.Errorf("history was asked %d times, want 3", asked)
	}
}

func TestGaps(t *testing.T) {
	var asked struct {
		agent    string
		from, to time.Time
	}
	var failure error
	at := time.Now().Add(-2 * time.Hour).Truncate(time.Second)
	s := open(t, func(_ *Config, p *Parts) {
		p.History = past{gaps: func(_ context.Context, agent string, from, to time.Time) ([]Gap, error) {
			asked.agent, asked.from, asked.to = agent, from, to
			return []Gap{
				{Agent: "web-1", From: at, To: at.Add(12 * time.Second), Reason: "unclean_stop", Declared: at.Add(20 * time.Second)},
				{Agent: "web-2", From: at, To: at, Count: 80, Reason: "spool_full", Declared: at},
			}, failure
		}}
	})
	c := s.signedIn()
	r := c.get("/api/v1/gaps?agent=web-1&from=1763799000000&to=1763800000000")
	r.want(http.StatusOK, "")
	// 0 samples are an unknown number of them, and must not be read as none.
	first := fmt.Sprintf(`{"agent":"web-1","from":%d,"to":%d,"count":null,"reason":"unclean_stop","declared":%d}`,
		at.UnixMilli(), at.UnixMilli()+12_000, at.UnixMilli()+20_000)
	second := strings.ReplaceAll(`{"agent":"web-2","from":AT,"to":AT,"count":80,"reason":"spool_full","declared":AT}`, "AT", fmt.Sprint(at.UnixMilli()))
	if string(r.body) != `{"gaps":[`+first+`,`+second+`]}` {
		t.Errorf("got %s", r.body)
	}
	if asked.agent != "web-1" || asked.from.UnixMilli() != 1763799000000 || asked.to.UnixMilli() != 1763800000000 {
		t.Errorf("asked %+v", asked)
	}
	c.get("/api/v1/gaps").want(http.StatusOK, "")
	r = c.get("/api/v1/gaps?agent=web-2") // from memory, narrowed
	if string(r.body) != `{"gaps":[`+second+`]}` {
		t.Errorf("got %s", r.body)
	}
	r = c.get("/api/v1/gaps?from=" + strconv.FormatInt(s.now().Add(-time.Hour).UnixMilli(), 10))
	if string(r.body) != `{"gaps":[]}` {
		t.Errorf("got %s of the last hour", r.body)
	}
	if asked.agent != "" || asked.to.Sub(asked.from) != listedBack || asked.to.UnixMilli() != s.now().UnixMilli() {
		t.Errorf("asked %+v, want a day up to now", asked)
	}
	for _, wrong := range []string{"from=2&to=1", "from=yesterday", "to=-1", "to=9223372036854775807"} {
		c.get("/api/v1/gaps?"+wrong).want(http.StatusBadRequest, "bad_range")
	}
	c.get("/api/v1/gaps?agent="+strings.Repeat("x", maxVariableBytes+1)).want(http.StatusBadRequest, "bad_variable")
	failure = errors.New("away")
	c.get("/api/v1/gaps").want(http.StatusOK, "")
	c.get("/api/v1/gaps?to=1763800000000&from=1763799000000").want(http.StatusServiceUnavailable, "history_unavailable")
	s.client().get("/api/v1/gaps").want(http.StatusUnauthorized, "unauthorized")
}

func ahead(ms int64) *time.Duration {
	d := time.Duration(ms) * time.Millisecond
	return &d
}
