package history

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"telltale/aggregate"
	"telltale/aggregate/engine/enginetest"
)

func (s *testStore) examine() *Health {
	s.t.Helper()
	h, err := Examine(s.t.Context(), s.options)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(h.Unknown) > 0 {
		s.t.Errorf("not read: %v", h.Unknown)
	}
	return h
}

func TestExamineReadsFigures(t *testing.T) {
	s := newTestStore(t)
	h := s.startHub(Config{BlockInterval: time.Millisecond})
	h.admit("web-1")
	h.writer.ClockOffset("web-1", 2500*time.Millisecond)
	h.push("web-1", "e1", 1, 3)
	gap := &aggregate.Gap{Agent: "web-1", Epoch: "e1", Seq: 4, ToSeq: 9, From: baseTS, To: baseTS + 5000, Count: 60, Reason: "spool_full"}
	if err := h.writer.TakeGap(gap); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the gap", func() bool { return h.ackedSeq("web-1", "e1") == 9 })

	got := s.examine()
	known, err := readMigrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	newest := known[len(known)-1].version
	if !strings.HasPrefix(got.Version, "26.") || got.Schema != (Schema{newest, newest, 0}) {
		t.Errorf("version %s, schema %+v, want %d", got.Version, got.Schema, newest)
	}
	if got.ClockAhead.Abs() > time.Second+got.RoundTrip || got.RoundTrip <= 0 {
		t.Errorf("the clock is %v ahead within %v, and it is that of this machine", got.ClockAhead, got.RoundTrip)
	}
	if got.MemoryBytes <= 0 || got.MemoryLimitBytes == 0 || got.DiskFreeBytes == 0 || got.DiskTotalBytes < got.DiskFreeBytes {
		t.Errorf("memory %d of %d, disk %d of %d", got.MemoryBytes, got.MemoryLimitBytes, got.DiskFreeBytes, got.DiskTotalBytes)
	}
	p := got.Parts
	if p.Active < 4 || p.Most == 0 || p.MostTable == "" || p.Delayed == 0 || p.Refused <= p.Delayed || len(p.Detached) > 0 || p.Mutations > 0 {
		t.Errorf("parts %+v", p)
	}
	if len(got.Agents) != 1 || got.Agents[0].ID != "web-1" || got.Agents[0].ClockOffset == nil || *got.Agents[0].ClockOffset != 2500*time.Millisecond ||
		time.Since(got.Agents[0].LastSeen).Abs() > time.Minute || got.Agents[0].Interval != time.Second {
		t.Errorf("agents %+v", got.Agents)
	}
	if want := []GapCount{{"web-1", "spool_full", 1, 60}}; !slices.Equal(got.Gaps, want) {
		t.Errorf("gaps %+v, want %+v", got.Gaps, want)
	}
	raw := slices.IndexFunc(got.Tables, func(t TableHealth) bool { return t.Name == rawTable })
	if raw < 0 || got.Tables[raw].Bytes == 0 || got.Tables[raw].Rows < 3 || time.Since(got.Tables[raw].Since) > time.Minute {
		t.Errorf("tables %+v", got.Tables)
	}
}

func TestExamineSeesWhatIsWrong(t *testing.T) {
	s := newTestStore(t)
	s.exec("INSERT INTO migrations VALUES (9999, 'of the future', '', now64(3))")
	s.exec("INSERT INTO declared_gaps (agent, reason, declared) VALUES ('web-1', 'corrupt', now64(3) - INTERVAL 2 DAY)")
	s.exec("ALTER TABLE declared_gaps DETACH PARTITION tuple()")
	s.exec("INSERT INTO known_agents (agent) VALUES ('web-1')")
	s.exec("ALTER TABLE known_agents UPDATE first_seen = toDateTime64(throwIf(agent != '', 'no luck'), 3) WHERE 1 SETTINGS mutations_sync = 0")
	waitFor(t, "the mutation to fail", func() bool { return s.examine().Parts.MutationError != "" })
	got := s.examine()
	if got.Schema.Applied != 9999 || got.Schema.Pending != 0 {
		t.Errorf("schema %+v", got.Schema)
	}
	if want := []DetachedParts{{"declared_gaps", "", 1}}; !slices.Equal(got.Parts.Detached, want) || got.Parts.Mutations != 1 ||
		!strings.Contains(got.Parts.MutationError, "no luck") || time.Since(got.Parts.OldestSince).Abs() > time.Hour {
		t.Errorf("parts %+v", got.Parts)
	}
	if len(got.Gaps) > 0 {
		t.Errorf("gaps %+v, though what was declared is old and detached", got.Gaps)
	}
	s.exec("KILL MUTATION WHERE database = currentDatabase() SYNC")
}

// Without tables it says so, and without a server it fails in time.
func TestExamineWithoutAHistory(t *testing.T) {
	options, err := clickhouse.ParseDSN(enginetest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	h, err := Examine(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	if h.Schema.Applied != 0 || h.Schema.Pending != int(h.Schema.Known) || len(h.Unknown) == 0 || h.Version == "" {
		t.Errorf("%+v", h)
	}
	options.Addr = []string{"127.0.0.1:1"}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := Examine(ctx, options); err == nil {
		t.Error("a server that is not there is well")
	}
}

// A tier that ClickHouse refuses is told with the reason, and how long its windows wait.
func TestTiersTellWhatWaits(t *testing.T) {
	s, clock := newTestStore(t), newTestClock()
	h := s.startHub(tierConfig(clock))
	a := h.newTierAgent("web-1")
	first := clock.now().UnixMilli()
	a.send(first)
	waitFor(t, "the tiers", func() bool { return len(h.writer.Tiers()) == len(tiers) })
	for range 12 {
		clock.advance(10 * time.Second)
		a.send(clock.now().UnixMilli())
	}
	waitFor(t, "a tier without troubles", func() bool {
		t := h.writer.Tiers()[0]
		return t.Dirty == 0 && t.Waiting == 0 && clock.now().Sub(t.Through) < 30*time.Second
	})
	if f := h.writer.Tiers()[0].Failure; f != nil {
		t.Fatalf("a failure where nothing fails: %+v", f)
	}

	s.exec("ALTER TABLE tier_10s ADD CONSTRAINT never CHECK count = 0")
	a.send(first) // late: its window is to be recomputed, and cannot be
	clock.advance(20 * time.Minute)
	waitFor(t, "the failure", func() bool {
		t := h.writer.Tiers()[0]
		return t.Failure != nil && t.Dirty > 0 && t.Waiting > 19*time.Minute
	})
	if f := h.writer.Tiers()[0].Failure; !strings.Contains(f.Error, "never") {
		t.Errorf("the failure is %q, want the constraint's name in it", f.Error)
	}
	s.exec("ALTER TABLE tier_10s DROP CONSTRAINT never")
	waitFor(t, "the repair", func() bool { return h.writer.Tiers()[0].Dirty == 0 })
}
