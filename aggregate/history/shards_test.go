package history

import (
	"fmt"
	"strings"
	"testing"

	"telltale/aggregate"
)

// The engines of a shard with replicas: the text alone, which has not been run.
func TestReplicatedTables(t *testing.T) {
	f := func(engine, want string) {
		t.Helper()
		const statement = "CREATE TABLE IF NOT EXISTS t (x UInt8)\nENGINE = %s\nPARTITION BY toDate(x)\nORDER BY (x, y)"
		if got := replicated(fmt.Sprintf(statement, engine)); got != fmt.Sprintf(statement, want) {
			t.Errorf("%s becomes\n%s", engine, got)
		}
	}
	const path = `'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'`
	f("MergeTree", "ReplicatedMergeTree("+path+")")
	f("AggregatingMergeTree", "ReplicatedAggregatingMergeTree("+path+")")
	f("ReplacingMergeTree(version)", "ReplicatedReplacingMergeTree("+path+", version)")

	// Every table of every migration, and nothing else in them.
	migrations, err := readMigrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range migrations {
		for _, statement := range m.statements {
			rendered, tables := replicated(statement), strings.Count(statement, "MergeTree")
			if n := strings.Count(rendered, "ENGINE = Replicated"); n != tables {
				t.Errorf("migration %d: %d tables become %d replicated ones:\n%s", m.version, tables, n, rendered)
			}
			if tables == 0 && rendered != statement {
				t.Errorf("migration %d: a statement without a table has changed:\n%s", m.version, rendered)
			}
		}
	}
}

func TestViewsWithParametersAreReadFromTheShardsDatabase(t *testing.T) {
	views := parametrised([]migration{{statements: []string{
		"CREATE OR REPLACE VIEW plain AS SELECT 1", "-- why\nCREATE OR REPLACE VIEW since\nAS SELECT 1 WHERE 1 > {from:UInt8}",
	}}})
	got := qualified("CREATE OR REPLACE VIEW last AS SELECT * FROM since(from = {from:UInt8}), plain, numbers(3)", "d", views)
	if want := "CREATE OR REPLACE VIEW last AS SELECT * FROM `d`.since(from = {from:UInt8}), plain, numbers(3)"; got != want {
		t.Errorf("a statement becomes %s", got)
	}
}

// known is series made known, to be taken once.
type known struct {
	series  []*aggregate.Series
	waiting int
}

func (k *known) TakeNew() []*aggregate.Series {
	taken := k.series
	k.series = nil
	return taken
}

func (k *known) SetWaiting(series int) { k.waiting = series }

func (k *known) Series(aggregate.SeriesID) (*aggregate.Series, bool) { return nil, false }

func (k *known) add(agents ...string) {
	for _, agent := range agents {
		k.series = append(k.series, &aggregate.Series{Metric: "m", Labels: []aggregate.Label{{Name: "agent", Value: agent}}})
	}
}

func agentsOf(series []*aggregate.Series) string {
	var agents []string
	for _, s := range series {
		agents = append(agents, s.Label("agent"))
	}
	return strings.Join(agents, " ")
}

func TestNewSeriesGoToTheShardOfTheirAgent(t *testing.T) {
	var all known
	p := newPlaces(&all, 3)
	f := func(shard int, want string) {
		t.Helper()
		if got := agentsOf(definitionsOf{p, shard}.TakeNew()); got != want {
			t.Errorf("shard %d is given series of %q, want %q", shard, got, want)
		}
	}
	p.put("a", 2)
	p.put("b", 1)
	all.add("a", "b", "late", "a", "late")
	f(0, "") // and those of the others wait for them
	if all.waiting != 5 {
		t.Errorf("%d series are said to wait, want all 5", all.waiting)
	}
	f(2, "a a")
	f(2, "")
	if all.waiting != 3 {
		t.Errorf("%d series are said to wait, want 3: one for its shard, two for their agent", all.waiting)
	}
	p.put("late", 2)
	all.add("a")
	f(2, "late late a")
	f(1, "b")

	p.forget("a")
	all.add("a")
	f(2, "")
	p.put("a", 0)
	f(0, "a")
	if p.waiting != 0 {
		t.Errorf("%d series wait, want none", p.waiting)
	}
	p.waiting = maxUnplaced
	all.add("nobody")
	f(home("nobody", 3), "nobody")
}

func TestHomesAreStableAndSpread(t *testing.T) {
	var homes []int
	for i := range 8 {
		homes = append(homes, home(fmt.Sprint("web-", i), 4))
	}
	if got, want := fmt.Sprint(homes), "[3 0 0 2 0 1 3 2]"; got != want {
		t.Errorf("homes are %s, want those of every release, %s: two hubs would put an agent on two shards", got, want)
	}
	var on [3]int
	for i := range 3000 {
		on[home(fmt.Sprint("host-", i), 3)]++
	}
	for shard, n := range on {
		if n < 850 || n > 1150 {
			t.Errorf("shard %d is home of %d of 3000 agents", shard, n)
		}
	}
}

func TestATierTellsWhatEveryShardsTierTells(t *testing.T) {
	a := []TierState{{Step: aggregate.TenSeconds, Through: 90_000, Stale: []Range{{10_000, 20_000}}}}
	b := []TierState{{Step: aggregate.TenSeconds, Through: 60_000, Stale: []Range{{20_000, 30_000}, {50_000, 60_000}}}}
	want := []TierState{{Step: aggregate.TenSeconds, Through: 60_000, Stale: []Range{{10_000, 30_000}, {50_000, 60_000}}}}
	if got := joinStates(a, b); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("together they tell %v, want %v", got, want)
	}
	if fmt.Sprint(a) != "[{10s 90000 [{10000 20000}]}]" {
		t.Errorf("the states of one have changed: %v", a)
	}
	if joinStates(a, nil) != nil || joinStates(nil, b) != nil {
		t.Error("a shard that cannot tell yet is passed over")
	}
}
