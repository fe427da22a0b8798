package dashboard

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"telltale/aggregate"
)

func TestBuiltInDashboards(t *testing.T) {
	all, err := loadBoards()
	must(t, err)
	if len(all) != 3 {
		t.Errorf("%d dashboards, want overview, host and telltale", len(all))
	}
	for id, d := range all {
		if n := len(d.Tiles); n < 4 || n > 6 {
			t.Errorf("%s has %d tiles: four to six can be read at a glance", id, n)
		}
		live := aggregate.NewLive(aggregate.LiveConfig{}, aggregate.NewRegistry(aggregate.Limits{}))
		resolved, err := all.resolve(id, func(string, ...string) string { return "web-1" })
		must(t, err)
		if _, err := live.Watch(time.Unix(0, 0), resolved.Queries); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestDefinitionMistakes(t *testing.T) {
	const good = `
title: T
step_ms: 1000
range_ms: 60000
queries:
  cpu: {metric: m, over: avg, agg: avg}
  by_host: {metric: m, over: avg, by: [agent], agg: avg}
  half: {expr: cpu / 2}
  behind: {metric: b, over: last, by: [reason], agg: max}
tiles:
  - {id: cpu, title: CPU, unit: "1", format: percent, query: half, better: lower, warn: 0.8}
trends:
  - {id: cpu, title: CPU, unit: "1", format: percent, max: 1, lines: [{query: by_host, label: "{agent}"}]}
table:
  {title: Hosts, row: agent, link: /hosts/{agent}, columns: [{title: CPU, unit: "1", format: percent, query: by_host}]}
storage: {behind: behind, backlog: cpu, senders: cpu}
`
	d, err := parseDefinition("t", []byte(strings.ReplaceAll(good, "/hosts/{agent}", `"/hosts/{agent}"`)))
	must(t, err)
	if d.ID != "t" || *d.Tiles[0].Warn != 0.8 || d.Tiles[0].Crit != nil || d.Tiles[0].Format != "percent" || *d.Trends[0].Max != 1 {
		t.Errorf("read %+v", d)
	}
	f := func(old, mistake, want string) {
		t.Helper()
		text := strings.ReplaceAll(good, "/hosts/{agent}", `"/hosts/{agent}"`)
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in the definition", old)
		}
		_, err := parseDefinition("t", []byte(strings.Replace(text, old, mistake, 1)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", mistake, err, want)
		}
	}
	f("title: T", "titel: T", "titel")
	f("title: T", "", "title")
	f("better: lower", "beter: lower", "beter")
	f("better: lower", "better: least", "least")
	f("better: lower", "better: lower, compare: 1h", "tile cpu: compare: unknown shift")
	f("title: T", "title: T\ntimezone: Mars/Olympus", "Mars/Olympus")
	f("max: 1", "max: 1, compare: 1d", "one line is compared with one")
	f("max: 1", "max: 1, compare: 2d", "trend cpu: compare: unknown shift")
	f("agg: avg}", "agg: avg, steps: 1s}", "steps")
	f("agg: avg}", "agg: avg, step: 10s}", "10s")
	f("step_ms: 1000", "step_ms: 10000", "one step")
	f("range_ms: 60000", "range_ms: 10", "range_ms")
	f("format: percent", "format: roman", "roman")
	f("query: half", "query: whole", "whole")
	f("query: half", "query: by_host", "groups")
	f(`label: "{agent}"`, `label: "{host}"`, "host")
	f("row: agent", "row: host", "host")
	f("cpu / 2", "memory / 2", "memory")
	f("query: half", "query: cpu", "half: nothing shows it")
	f("behind: behind", "behind: by_host", "by reason")
	f("backlog: cpu", "backlog: by_host", "has groups")
	f("senders: cpu", "sender: cpu", "sender")
	f("title: T", "title: T\ntitle: T", "already defined")
	f("title: Hosts", "title: ''", "table")
}

// A variable's value is compared with the label; whatever it looks like, it is no syntax.
func TestVariableIsBoundAsValue(t *testing.T) {
	s := open(t)
	c := s.signedIn()
	for _, value := range []string{"web-1", "!=web-1", "=~.*", "=x", `a"} or {`, "$1", "%00", "web\n1", "é"} {
		d, err := s.boards.resolve("host", func(string, ...string) string { return value })
		must(t, err)
		other := &aggregate.Series{Metric: "system.cpu.utilization", Labels: []aggregate.Label{{Name: "agent", Value: "web-9"}}}
		same := &aggregate.Series{Metric: "system.cpu.utilization", Labels: []aggregate.Label{{Name: "agent", Value: value}}}
		if q := d.Queries["cpu"]; q.Matches(other) || !q.Matches(same) {
			t.Errorf("%q: query %v", value, q)
		}
	}
	// The JSON form reads back as the same query.
	r := c.get("/api/v1/dashboards/host?agent=!%3Dweb-1")
	r.want(http.StatusOK, "")
	var got struct {
		ID      string
		StepMS  int64 `json:"step_ms"`
		RangeMS int64 `json:"range_ms"`
		Queries map[string]aggregate.Query
	}
	r.decode(&got)
	want := s.boards["host"].bound("!=web-1")
	if got.ID != "host" || got.StepMS != 1000 || got.RangeMS != 900_000 || topicKey(got.Queries) != topicKey(want.Queries) {
		t.Errorf("got %+v", got)
	}
	if len(s.boards["host"].Queries["cpu"].Where) != 0 {
		t.Error("the value was written into the definition itself")
	}
	c.get("/api/v1/dashboards/host").want(http.StatusBadRequest, "missing_variable")
	c.get("/api/v1/dashboards/nope").want(http.StatusNotFound, "unknown_dashboard")
	c.get("/api/v1/dashboards/overview").want(http.StatusOK, "")
	c.get("/api/v1/nothing").want(http.StatusNotFound, "not_found")
}

// A host's page narrows what agents hold to the host, and never whether history is behind.
func TestStorageOnAHostsPage(t *testing.T) {
	all, err := loadBoards()
	must(t, err)
	for id := range all {
		d, err := all.resolve(id, func(string, ...string) string { return "web-1" })
		must(t, err)
		if d.Storage == nil {
			t.Fatalf("%s does not tell how storing goes", id)
		}
		behind := &aggregate.Series{Metric: "telltale.history.behind", Labels: []aggregate.Label{{Name: "agent", Value: "telltale"}, {Name: "reason", Value: "slow"}}}
		if q := d.Queries[d.Storage.Behind]; !q.Matches(behind) {
			t.Errorf("%s: %v does not see the hub's own series", id, q)
		}
		other := &aggregate.Series{Metric: "telltale.agent.spool.batches", Labels: []aggregate.Label{{Name: "agent", Value: "web-9"}}}
		if q := d.Queries[d.Storage.Backlog]; q.Matches(other) != (id != "host") {
			t.Errorf("%s: %v, of another host: %t", id, q, q.Matches(other))
		}
	}
}
