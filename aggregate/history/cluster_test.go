package history

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"telltale/aggregate"
	"telltale/aggregate/engine/enginetest"
)

// testCluster is two servers with a shard each, and the database on top of them.
type testCluster struct {
	*testStore               // the database that is queried
	shards     [2]*testStore // what each server has of it
	servers    *enginetest.Cluster
}

// startServers starts both, on which the hub's user has the rights that operations.md names and no more.
func startServers(t *testing.T) *enginetest.Cluster {
	t.Helper()
	return enginetest.StartCluster(t, map[string]string{"users.d/hub.xml": hubUser(enginetest.ClusterPassword, documentedGrants(t, "### A cluster"))})
}

func newTestCluster(t *testing.T) *testCluster {
	t.Helper()
	c := &testCluster{servers: startServers(t)}
	options, err := clickhouse.ParseDSN(c.servers.Engines[0].Addresses().DSN)
	if err != nil {
		t.Fatal(err)
	}
	if err := MigrateCluster(t.Context(), options, enginetest.ClusterName, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	at := func(options *clickhouse.Options) *testStore {
		conn, err := clickhouse.Open(options)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return &testStore{t: t, options: options, conn: conn, quarantine: t.TempDir()}
	}
	c.testStore = at(options)
	for i, server := range c.servers.Engines {
		c.shards[i] = at(shardOptions(options, server.Addresses().TCP))
	}
	return c
}

// part is what a shard has of a world.
func (w *world) part(shard, shards int) *world {
	part := *w
	here := func(s *aggregate.Series) bool { return home(s.Label(aggregate.AgentLabel), shards) == shard }
	part.sources, part.samples, part.days = nil, nil, nil
	for _, s := range w.sources {
		if here(s) {
			part.sources = append(part.sources, s)
		}
	}
	for i, sample := range w.samples {
		if here(sample.Series) {
			part.samples, part.days = append(part.samples, sample), append(part.days, w.days[i])
		}
	}
	return &part
}

// in is the cluster for a part of a test.
func (c *testCluster) in(t *testing.T) *testCluster {
	of := func(s *testStore) *testStore {
		own := *s
		own.t = t
		return &own
	}
	return &testCluster{testStore: of(c.testStore), shards: [2]*testStore{of(c.shards[0]), of(c.shards[1])}, servers: c.servers}
}

// The parts have agents and metrics of their own. The reference comes after those who look at tiers: its own are wrong here and there.
func TestACluster(t *testing.T) {
	c := newTestCluster(t)
	t.Run("keeps each agent on one shard", func(t *testing.T) { keepsEachAgentOnOneShard(t, c.in(t)) })
	t.Run("asks every shard for a view that takes parameters", func(t *testing.T) { asksEveryShard(t, c.in(t)) })
	t.Run("equals the reference", func(t *testing.T) { checkCluster(t, c.in(t), 3) })
	t.Run("goes on while a shard is away", func(t *testing.T) { goesOn(t, c.in(t)) })
}

// checkCluster runs the same cases as for a single server, on data that is spread.
func checkCluster(t *testing.T, c *testCluster, n int) {
	var worlds []*world
	for seed := range n {
		worlds = append(worlds, newWorld(uint64(1000+seed)))
	}
	for i, shard := range c.shards {
		parts := make([]*world, len(worlds))
		for j, w := range worlds {
			parts[j] = w.part(i, len(c.shards))
		}
		shard.storeWorlds(parts)
	}
	checkWorlds(t, worlds, c.newReader())
}

// assertSpread checks that every agent is wholly on one shard, with its series, row and progress, and each sample there once; it
// returns how many agents each shard has.
func (c *testCluster) assertSpread(agents []*clusterAgent) (on [2]int) {
	c.t.Helper()
	for _, a := range agents {
		shard, admitted := a.h.shards.spread.Load().places.find(a.name)
		if !admitted {
			c.t.Fatalf("agent %s is on no shard", a.name)
		}
		on[shard]++
		c.shards[shard].assertExactlyOnce(a.name, "e1", a.seq)
		c.assertExactlyOnce(a.name, "e1", a.seq)
		for _, table := range []string{"known_series", "known_agents", "progress"} {
			const where = " FINAL WHERE agent = ?"
			here, there := c.shards[shard].count("SELECT count() FROM "+table+where, a.name), c.shards[1-shard].count("SELECT count() FROM "+table+where, a.name)
			if here != 1 || there != 0 {
				c.t.Errorf("agent %s has %d rows in %s of its shard and %d in that of the other", a.name, here, table, there)
			}
		}
	}
	return on
}

func keepsEachAgentOnOneShard(t *testing.T, c *testCluster) {
	h := c.startHub(newTestClock())
	agents := h.agents(names("web", 20)...)
	h.run(agents, 230) // past an hour's end

	on := c.assertSpread(agents)
	if on[0] < 4 || on[1] < 4 {
		t.Errorf("the shards have %d and %d agents", on[0], on[1])
	}
	if n := c.count("SELECT count() FROM agents WHERE labels['of'] = agent AND last_seen > now() - 3600"); n != 20 {
		t.Errorf("the view of agents has %d, want 20", n)
	}
	// The tiers equal raw on each shard, and what they give together is all there is.
	h.clock.advance(30 * time.Second)
	waitFor(t, "the tiers", func() bool {
		h.clock.advance(10 * time.Millisecond)
		states := h.shards.TierStates()
		return states != nil && states[0].Through > h.clock.ms.Load()-20_000 && !slices.ContainsFunc(states, func(s TierState) bool { return len(s.Stale) > 0 })
	})
	for i, shard := range c.shards {
		for _, d := range shard.verify(time.UnixMilli(h.shards.TierStates()[0].Through)) {
			t.Errorf("shard %d: %v", i+1, d)
		}
	}
	for _, view := range []string{"samples", "samples_10s", "samples_1m"} {
		column := map[bool]string{true: "count", false: "toUInt64(count)"}[view != "samples"]
		if n := c.count("SELECT sum(" + column + ") FROM " + view + " WHERE metric = 'test.value' AND agent LIKE 'web-%'"); n < 20*180 || n > 20*230 {
			t.Errorf("%s counts %d samples of 20 agents for 230 s", view, n)
		}
	}
	reader := c.newReader(h.shards.TierStates)
	hour := ceilTo(h.clock.ms.Load()-230_000, 3_600_000)
	q := aggregate.Query{Metric: "test.value", Over: aggregate.Max, Agg: aggregate.AggCount}
	answer, err := reader.Query(t.Context(), Request{Queries: map[string]aggregate.Query{"q": q}, From: hour - 60_000, To: hour, Step: aggregate.TenSeconds})
	if err != nil {
		t.Fatal(err)
	}
	for i, agents := range answer.Results["q"].Values[0] {
		if agents != 20 {
			t.Errorf("window %d has a value of %v agents, want 20", i, agents)
		}
	}
}

// asksEveryShard for a view that takes parameters, and reads another such.
func asksEveryShard(t *testing.T, c *testCluster) {
	for _, shard := range c.shards {
		for _, statement := range []string{
			`CREATE OR REPLACE VIEW inner AS SELECT agent, value FROM samples WHERE agent LIKE {pattern:String}`,
			`CREATE OR REPLACE VIEW of_agents AS SELECT * FROM inner(pattern = {pattern:String}) WHERE value >= {least:Float64}`,
		} {
			if err := shard.conn.Exec(t.Context(), qualified(statement, shard.options.Auth.Database, []string{"inner"})); err != nil {
				t.Fatal(err)
			}
		}
	}
	cluster, err := ReadCluster(t.Context(), c.options, enginetest.ClusterName)
	if err != nil {
		t.Fatal(err)
	}
	for i, server := range c.servers.Engines {
		if err := cluster.distribute(t.Context(), shardOptions(c.options, server.Addresses().TCP), c.options.Auth.Database); err != nil {
			t.Fatalf("server %d: %v", i, err)
		}
	}
	h := c.startHub(newTestClock())
	agents := h.agents(names("view", 8)...)
	h.run(agents, 3)
	if n := c.count("SELECT uniqExact(agent) * 100 + count() FROM of_agents(pattern = 'view-%', least = 2)"); n != 816 {
		t.Errorf("the view gives %d agents and rows, want 816", n)
	}
}

// goesOn: a shard that is away has its agents wait, and nobody else; what reads says so, and gives no half of an answer.
func goesOn(t *testing.T, c *testCluster) {
	h := c.startHub(newTestClock())
	agents := h.agents(names("away", 8)...)
	h.run(agents, 5)
	var on [2][]*clusterAgent
	for _, a := range agents {
		shard, _ := h.shards.spread.Load().places.find(a.name)
		on[shard] = append(on[shard], a)
	}
	if len(on[0]) == 0 || len(on[1]) == 0 {
		t.Fatalf("the shards have %d and %d agents", len(on[0]), len(on[1]))
	}
	reader := c.newReader(h.shards.TierStates)

	c.servers.Engines[1].Close(t.Context())
	for _, a := range on[1] {
		a.send()
	}
	h.run(on[0], 20)
	for _, a := range on[1] {
		if a.stored() {
			t.Errorf("agent %s is acknowledged without its shard", a.name)
		}
	}
	var limit *LimitError
	if _, err := reader.Agents(t.Context()); !errors.As(err, &limit) || limit.Code != CodeAway {
		t.Errorf("the agents of a cluster without a shard: %v", err)
	}
	q := aggregate.Query{Metric: "test.value", Over: aggregate.Max, Agg: aggregate.AggCount}
	_, err := reader.Query(t.Context(), Request{Queries: map[string]aggregate.Query{"q": q}, From: h.clock.ms.Load() - 60_000, To: h.clock.ms.Load(), Step: aggregate.Second})
	if !errors.As(err, &limit) || limit.Code != CodeAway || !strings.Contains(limit.Message, "shard") {
		t.Errorf("a query of a cluster without a shard: %v", err)
	}
	// A hub that starts meanwhile stores what is of the other shard, and does not take one for new whom it may have.
	h.crash()
	h = c.startHub(h.clock)
	again := h.agents(on[0][0].name, on[0][1].name)
	h.run(again, 5)
	for i, a := range on[0][:2] {
		a.seq = again[i].seq
	}
	if _, err := h.shards.Admit(t.Context(), on[1][0].name, nil, nil); !errors.Is(err, ErrNotReady) {
		t.Errorf("admitting an agent of the shard that is away: %v", err)
	}
	if away := h.shards.Away(); h.shards.Ready() != nil || len(away) != 1 || !strings.Contains(away[0], "shard 2 (127.0.0.1:") {
		t.Errorf("with one shard of two: ready %v, away %q", h.shards.Ready(), away)
	}
	// The shard that is here is asked for an agent whose home is away.
	moved := names("moved", 20)[slices.IndexFunc(names("moved", 20), func(name string) bool { return home(name, 2) == 1 })]
	c.shards[0].exec("INSERT INTO progress (agent, epoch, version, to_seq) VALUES ('" + moved + "', 'e1', 1, 7)")
	if progress, err := h.shards.Admit(t.Context(), moved, nil, nil); err != nil || progress["e1"] != 7 {
		t.Errorf("admitting an agent of the shard that is here: %v, %v", progress, err)
	}
	health, err := ExamineAll(t.Context(), c.options, enginetest.ClusterName)
	if err == nil || !strings.Contains(err.Error(), "shard 2 (127.0.0.1:") || strings.Contains(err.Error(), "shard 1 (") || health == nil || len(health.Agents) == 0 {
		t.Errorf("with one shard of two, %+v, %v", health, err)
	}

	c.servers.Start(t, 1)
	for _, a := range h.agents(names("away", 8)...) {
		i := slices.IndexFunc(agents, func(b *clusterAgent) bool { return b.name == a.name })
		for sent := agents[i].seq; a.seq < sent; { // what its spool has
			a.send()
		}
		agents[i] = a
	}
	h.run(agents, 5)
	c.assertSpread(agents)

	health, err = ExamineAll(t.Context(), c.options, enginetest.ClusterName)
	if err != nil || len(health.Unknown) > 0 || health.Schema.Pending != 0 || health.Schema.Applied != health.Schema.Known {
		t.Fatalf("with both shards, %+v, %v", health, err)
	}
	known := map[string]bool{}
	for _, a := range health.Agents {
		known[a.ID] = true
	}
	for _, a := range agents {
		if !known[a.name] {
			t.Errorf("agent %s is not among those examined", a.name)
		}
	}
	// One that was away when the hub started has no tables yet.
	c.shards[1].exec("RENAME TABLE known_agents TO not_yet")
	reader.config.Cluster = true
	if _, err := reader.Agents(t.Context()); !errors.As(err, &limit) || limit.Code != CodeAway {
		t.Errorf("the agents of a cluster with a shard that has no tables: %v", err)
	}
	c.shards[1].exec("RENAME TABLE not_yet TO known_agents")
}

// A single server's history becomes that of the first shard; its agents stay there, and new ones are spread.
func TestAServerBecomesAShard(t *testing.T) {
	servers := startServers(t)
	options, err := clickhouse.ParseDSN(servers.Engines[0].Addresses().DSN)
	if err != nil {
		t.Fatal(err)
	}
	s := storeAt(t, options)
	one := s.startHub(Config{BlockInterval: time.Millisecond, MinFreeBytes: 1})
	for _, name := range names("old", 10) {
		one.admit(name)
		one.push(name, "e1", 1, 3)
	}
	waitFor(t, "the acknowledgements", func() bool {
		return !slices.ContainsFunc(names("old", 10), func(name string) bool { return one.ackedSeq(name, "e1") != 3 })
	})
	one.crash()

	log := slog.New(slog.DiscardHandler)
	if err := MigrateCluster(t.Context(), options, enginetest.ClusterName, log); err == nil || !strings.Contains(err.Error(), "RENAME DATABASE") {
		t.Fatalf("a history of one server is taken for that of a cluster: %v", err)
	}
	for _, statement := range documentedMove(t) {
		if err := s.conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	c := &testCluster{testStore: s, servers: servers}
	if err := MigrateCluster(t.Context(), options, enginetest.ClusterName, log); err != nil {
		t.Fatal(err)
	}
	for i, server := range servers.Engines {
		c.shards[i] = storeAt(t, shardOptions(options, server.Addresses().TCP))
	}
	h := c.startHub(newTestClock())
	old := h.agents(names("old", 10)...)
	for _, a := range old {
		if a.seq != 3 {
			t.Errorf("agent %s begins after %d, want 3", a.name, a.seq)
		}
	}
	young := h.agents(names("new", 10)...)
	h.run(slices.Concat(old, young), 3)
	if on := c.assertSpread(old); on[1] != 0 {
		t.Errorf("%d agents have moved", on[1])
	}
	if on := c.assertSpread(young); on[0] == 0 || on[1] == 0 {
		t.Errorf("new agents are spread %v", on)
	}
	if n := c.count("SELECT count() FROM series WHERE metric = 'test.value'"); n != 20 {
		t.Errorf("there are %d series, want 20", n)
	}
}

// documentedMove are the statements of operations.md that make a server's history that of a shard.
func documentedMove(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^ {8}(RENAME DATABASE .*);\n {8}(TRUNCATE .*);$`).FindStringSubmatch(string(text))
	if found == nil {
		t.Fatal("docs/operations.md does not say how a server becomes a shard")
	}
	return found[1:]
}
