package dashboard

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"telltale/aggregate"
)

// The data of the events, as a client of the documented protocol reads them. A missing value is nil.
type (
	row     []*float64
	groups  []map[string]string
	columns struct {
		Groups groups
		Values []row
	}
	helloData struct {
		Version    int
		Build      string
		ServerTime int64 `json:"server_time"`
		Dashboard  string
		StepMS     int64 `json:"step_ms"`
	}
	snapshotData struct {
		End, Since int64
		StepMS     int64 `json:"step_ms"`
		Partial    struct{ From, To int64 }
		Queries    map[string]columns
		Compare    compareData
	}
	tickData struct {
		End     int64
		Partial bool
		Values  map[string]row
		Groups  map[string]groups
		Amend   []struct {
			End     int64
			Partial bool
			Values  map[string]row
		}
		Compare compareData
	}
	compareData struct {
		Since  int64
		Shifts map[string]map[string]row
	}
	gapData struct {
		From, To int64
		Reason   string
	}
)

var direction = func(value string) []aggregate.Label {
	return []aggregate.Label{{Name: "network.interface.name", Value: "eth0"}, {Name: "network.io.direction", Value: value}}
}

// wantRow compares values; nil stands for a missing one.
func wantRow(t *testing.T, what string, got row, want ...any) {
	t.Helper()
	plain := make([]any, len(got))
	for i, v := range got {
		if v != nil {
			plain[i] = *v
		}
	}
	if !slices.Equal(plain, want) {
		t.Errorf("%s is %v, want %v", what, plain, want)
	}
}

func TestStreamTellsWhatWasApplied(t *testing.T) {
	s := open(t)
	v := s.signedIn().view("dashboard=overview")
	var hello helloData
	v.want("hello", &hello)
	if want := (helloData{1, "b1", s.now().UnixMilli(), "overview", 1000}); hello != want {
		t.Errorf("hello %+v, want %+v", hello, want)
	}
	s.tick() // the window that had begun when the topic was opened

	s.send("web-1", "system.cpu.utilization", aggregate.Gauge, 0.25)
	s.send("web-2", "system.cpu.utilization", aggregate.Gauge, 0.5)
	s.send("web-1", "system.network.io", aggregate.Counter, 1000, direction("receive")...)
	s.send("web-2", "system.network.io", aggregate.Counter, 500.5, direction("transmit")...)
	s.send("web-1", "system.uptime", aggregate.Gauge, 7)
	first := s.tick()
	var snapshot snapshotData
	if e := v.want("snapshot", &snapshot); e.id != strconv.FormatInt(first, 10) {
		t.Errorf("id %s, want %d", e.id, first)
	}
	if snapshot.End != first || snapshot.Since != first || snapshot.StepMS != 1000 {
		t.Errorf("snapshot of %d..%d, want %d alone", snapshot.Since, snapshot.End, first)
	}
	if want := slices.Sorted(maps.Keys(s.boards["overview"].Queries)); !slices.Equal(slices.Sorted(maps.Keys(snapshot.Queries)), want) {
		t.Errorf("queries %v, want %v", snapshot.Queries, want)
	}
	hosts := groups{{"agent": "web-1"}, {"agent": "web-2"}}
	if got := snapshot.Queries["cpu_by_host"].Groups; !reflect.DeepEqual(got, hosts) {
		t.Errorf("groups %v, want %v", got, hosts)
	}
	one := func(query string) row { return snapshot.Queries[query].Values[0] }
	wantRow(t, "cpu", one("cpu"), 0.375)
	wantRow(t, "busiest", one("cpu_busiest"), 0.5)
	wantRow(t, "network", one("network"), 1500.5)
	wantRow(t, "received", one("network_in"), 1000.0)
	wantRow(t, "sent", one("network_out"), 500.5)
	wantRow(t, "hosts", one("hosts"), 1.0)
	wantRow(t, "memory", one("memory"), nil)

	s.send("web-1", "system.cpu.utilization", aggregate.Gauge, 0.125)
	s.send("web-3", "system.cpu.utilization", aggregate.Gauge, 1)
	second := s.tick()
	var tick tickData
	if e := v.want("tick", &tick); e.id != strconv.FormatInt(second, 10) || tick.End != second || second != first+1000 {
		t.Errorf("id %s, end %d, want %d", e.id, tick.End, second)
	}
	wantRow(t, "hosts' cpu", tick.Values["cpu_by_host"], 0.125, 0.5, 1.0) // that of web-2 is carried
	wantRow(t, "network", tick.Values["network"], nil)
	if got, want := tick.Groups, map[string]groups{"cpu_by_host": append(hosts, map[string]string{"agent": "web-3"})}; !reflect.DeepEqual(got, want) {
		t.Errorf("groups %v, want %v", got, want)
	}

	// A sample of the first window comes late.
	s.clock.add(-2 * time.Second)
	s.send("web-2", "system.network.io", aggregate.Counter, 0.5, direction("receive")...)
	s.clock.add(2 * time.Second)
	s.tick()
	var amending tickData
	v.want("tick", &amending)
	if len(amending.Groups) != 0 {
		t.Errorf("groups again: %v", amending.Groups)
	}
	if len(amending.Amend) != 1 || amending.Amend[0].End != first {
		t.Fatalf("amended %v, want window %d", amending.Amend, first)
	}
	wantRow(t, "amended network", amending.Amend[0].Values["network"], 1501.0)
	wantRow(t, "amended hosts", amending.Amend[0].Values["network_by_host"], 1000.0, 501.0)
}

func TestStreamIsNarrowedToTheHost(t *testing.T) {
	s := open(t)
	c := s.signedIn()
	v := c.view("dashboard=host&agent=web-1")
	regex := c.view("dashboard=host&agent=" + "%3D~.*") // =~.* is the name of no host
	v.want("hello", &helloData{})
	regex.want("hello", &helloData{})
	if n := s.openTopics(); n != 2 {
		t.Fatalf("%d topics, want 2", n)
	}
	s.tick()
	s.send("web-1", "system.cpu.utilization", aggregate.Gauge, 0.25)
	s.send("web-2", "system.cpu.utilization", aggregate.Gauge, 0.75)
	s.tick()
	var snapshot, none snapshotData
	v.want("snapshot", &snapshot)
	wantRow(t, "cpu", snapshot.Queries["cpu"].Values[0], 0.25)
	regex.want("snapshot", &none)
	wantRow(t, "cpu", none.Queries["cpu"].Values[0], nil)
}

func TestStreamResumes(t *testing.T) {
	s := open(t)
	c := s.signedIn()
	v := c.view("dashboard=overview")
	v.want("hello", &helloData{})
	s.tick()
	s.tick()
	var snapshot snapshotData
	v.want("snapshot", &snapshot)
	s.send("web-1", "system.cpu.utilization", aggregate.Gauge, 0.5)
	seen := s.tick()
	v.want("tick", &tickData{})
	must(t, v.body.Close())

	missed := []int64{s.tick(), s.tick()}
	// The header wins over the query.
	c.header.Set("Last-Event-ID", strconv.FormatInt(seen, 10))
	back := c.view("dashboard=overview&last_event_id=" + strconv.FormatInt(snapshot.End, 10))
	back.want("hello", &helloData{})
	for _, end := range append(missed, s.tick()) {
		var tick tickData
		if back.want("tick", &tick); tick.End != end {
			t.Fatalf("tick %d, want %d", tick.End, end)
		}
	}
	c.header.Del("Last-Event-ID")
	fresh := c.view("dashboard=overview&last_event_id=" + strconv.FormatInt(missed[1], 10))
	fresh.want("hello", &helloData{})
	var tick tickData
	if fresh.want("tick", &tick); tick.End != missed[1]+1000 {
		t.Errorf("tick %d, want %d", tick.End, missed[1]+1000)
	}
}

func TestStreamAfterRestartTellsTheGap(t *testing.T) {
	s := open(t)
	c := s.signedIn()
	v := c.view("dashboard=overview")
	v.want("hello", &helloData{})
	s.tick()
	last := s.tick()
	v.want("snapshot", &snapshotData{})
	s.close()
	v.wantBye("shutdown")

	again := openOn(t, s.nats)
	again.clock.ms.Store(last + 3500)
	again.Live.Advance(again.now())
	back := &client{t: t, site: again, cookies: c.cookies, header: http.Header{"Last-Event-Id": {strconv.FormatInt(last, 10)}}}
	v = back.view("dashboard=overview")
	v.want("hello", &helloData{})
	again.tick()
	end := again.tick()
	var gap gapData
	v.want("gap", &gap)
	var snapshot snapshotData
	v.want("snapshot", &snapshot)
	if want := (gapData{last, snapshot.Since - 1000, "restart"}); gap != want || snapshot.End != end {
		t.Errorf("gap %+v and snapshot %d..%d, want %+v and until %d", gap, snapshot.Since, snapshot.End, want, end)
	}
}

func TestStreamEndsWithItsSession(t *testing.T) {
	s := open(t)
	f := func(reason string, end func(c *client)) {
		t.Helper()
		c := s.signedIn()
		v, second := c.view("dashboard=overview"), c.view("dashboard=host&agent=a")
		v.want("hello", &helloData{})
		second.want("hello", &helloData{})
		end(c)
		v.wantBye(reason)
		second.wantBye(reason)
		c.get("/api/v1/session").want(http.StatusUnauthorized, "unauthorized")
		c.get("/api/v1/stream?dashboard=overview").want(http.StatusUnauthorized, "unauthorized")
		eventually(t, "the session is forgotten", func() bool {
			s.sessions.mu.Lock()
			defer s.sessions.mu.Unlock()
			return len(s.sessions.watched) == 0
		})
	}
	f("signed_out", func(c *client) { c.post("/api/v1/logout", "{}").want(http.StatusNoContent, "") })
	f("revoked", func(*client) { must(t, s.Store.Sessions.RevokeUser(t.Context(), "admin")) })
	f("expired", func(c *client) { s.expire(c) })
}

func TestIdleTopicIsClosedAndOpensAgain(t *testing.T) {
	s := open(t)
	c := s.signedIn()
	v := c.view("dashboard=overview")
	v.want("hello", &helloData{})
	s.topics.closeIdle(0)
	if s.openTopics() != 1 {
		t.Fatal("a topic with a viewer was closed")
	}
	must(t, v.body.Close())
	eventually(t, "the topic is closed", func() bool {
		s.tick()
		s.topics.closeIdle(0)
		return s.openTopics() == 0
	})
	if queries := s.Live.Stats().Queries; queries != 0 {
		t.Errorf("%d queries are still watched", queries)
	}
	v = c.view("dashboard=overview")
	v.want("hello", &helloData{})
	s.tick()
	s.tick()
	v.want("snapshot", &snapshotData{})
}

func TestStreamRefusesWhatItCannotShow(t *testing.T) {
	s := open(t)
	c := s.signedIn()
	c.get("/api/v1/stream").want(http.StatusNotFound, "unknown_dashboard")
	c.get("/api/v1/stream?dashboard=nope").want(http.StatusNotFound, "unknown_dashboard")
	c.get("/api/v1/stream?dashboard=host").want(http.StatusBadRequest, "missing_variable")
	c.get("/api/v1/stream?dashboard=host&agent="+strings.Repeat("x", 1025)).want(http.StatusBadRequest, "bad_variable")
	c.get("/api/v1/stream?dashboard=host&agent=%ff").want(http.StatusBadRequest, "bad_variable")
}

// Run closes windows by the real clock; here nothing is told to.
func TestRun(t *testing.T) {
	s := open(t)
	s.now = time.Now
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	defer running.Wait()
	defer stop()
	v := s.signedIn().view("dashboard=overview")
	v.want("hello", &helloData{})
	var snapshot snapshotData
	v.want("snapshot", &snapshot)
	var tick tickData
	v.want("tick", &tick)
	if tick.End != snapshot.End+1000 || tick.End%1000 != 0 {
		t.Errorf("tick %d after snapshot %d", tick.End, snapshot.End)
	}
	wantRow(t, "hosts", tick.Values["hosts"], 0.0)
	if age := time.Since(time.UnixMilli(tick.End)); age < 0 {
		t.Errorf("the window ends in %v", -age)
	}
}

func TestEmptyTick(t *testing.T) {
	missing := aggregate.Result{Values: []float64{nan}}
	f := func(want bool, tick aggregate.Tick) {
		t.Helper()
		if got := isEmpty(tick); got != want {
			t.Errorf("%+v: empty %v, want %v", tick, got, want)
		}
		if !json.Valid(appendTick(nil, []string{"q"}, tick, pastRows{}, span{})) {
			t.Errorf("%+v is no JSON", tick)
		}
	}
	f(true, aggregate.Tick{End: 1, Results: map[string]aggregate.Result{"q": missing}})
	f(false, aggregate.Tick{End: 1, Results: map[string]aggregate.Result{"q": {Values: []float64{0}}}})
	// Later values come in the new order.
	f(false, aggregate.Tick{End: 1, Results: map[string]aggregate.Result{"q": {Changed: true}}})
	f(false, aggregate.Tick{End: 2, Results: map[string]aggregate.Result{"q": missing},
		Amended: []aggregate.Amendment{{End: 1, Values: map[string][]float64{"q": {nan}}}}})
}
