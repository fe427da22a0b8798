package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"telltale/aggregate"
	"telltale/aggregate/engine"
	"telltale/aggregate/engine/enginetest"
	"telltale/aggregate/history"
	"telltale/dashboard/store"
	"telltale/ingest"
)

// wellFacts are those of a hub that lacks nothing.
func wellFacts() *facts {
	now := time.Now()
	return &facts{
		Hub: &hubFacts{
			Name: "hub", Version: version, Started: now.Add(-time.Hour), Now: now, LastHour: counts{}, Since: time.Hour, Embedded: true,
			Storage: storageFacts{MaxBytes: 512 << 20}, LagP99: []float64{1.2, 1.4},
			Tiers: []history.TierHealth{
				{Table: "tier_10s", Step: 10 * time.Second, Through: now.Add(-20 * time.Second)},
				{Table: "tier_1h", Step: time.Hour, Through: now.Add(-time.Hour), Dirty: 3, Waiting: time.Minute},
			},
			Series: seriesFacts{Series: 100, Limit: 1000, AgentLimit: 200, Largest: []aggregate.AgentSeries{{Agent: "a", Series: 100}}},
			Load:   loadFacts{Viewers: 1, MaxViewers: 100, Connected: 1, OpenFiles: 50, MaxFiles: 1000},
		},
		Sent: now, received: now,
		Machine: machineFacts{Data: "/data", FreeBytes: 1e12, TotalBytes: 2e12, Engine: "/engine"},
		History: &history.Health{
			Version: oldestTested + ".2.1", MemoryBytes: 1e8, MemoryLimitBytes: 2e9, DiskFreeBytes: 1e12, DiskTotalBytes: 2e12,
			Schema: history.Schema{Applied: 6, Known: 6}, Parts: history.PartsHealth{Active: 40, Most: 10, Delayed: 1000, Refused: 3000},
			Gaps:   []history.GapCount{},
			Tables: []history.TableHealth{{Name: "raw", Bytes: 1e9, Since: now.Add(-24 * time.Hour)}},
		},
		MinFreeBytes: 1e9, Kept: keptBy(72*time.Hour, 14*24*time.Hour, 90*24*time.Hour, 730*24*time.Hour),
	}
}

func judge(f *facts) examined {
	var d diagnosis
	d.add(f)
	var text bytes.Buffer
	_ = d.printJSON(&text)
	var e examined
	_ = json.Unmarshal(text.Bytes(), &e)
	return e
}

func TestVerdicts(t *testing.T) {
	if e := judge(wellFacts()); e.Verdict != "ok" || len(e.Findings) != 14 {
		t.Fatalf("a hub that lacks nothing has %d findings:\n%s", len(e.Findings), &e)
	}
	f := func(check, verdict, seen, remedy string, change func(*facts)) {
		t.Helper()
		facts := wellFacts()
		change(facts)
		e := judge(facts)
		if !e.has(check, verdict, seen, remedy) {
			t.Errorf("no %s of %s with %q and %q in\n%s", verdict, check, seen, remedy, &e)
		}
		for _, f := range e.Findings {
			if (f.Verdict == "ok") != (f.Remedy == "") {
				t.Errorf("a finding without a remedy, or one of what is well: %+v", f)
			}
		}
	}
	f("versions", "warn", "they differ", "newer program", func(f *facts) { f.Hub.Version = "0.1" })
	f("versions", "warn", "older than", "update", func(f *facts) { f.History.Version = "25.12.1" })
	f("versions", "warn", "newer than", "tested", func(f *facts) { f.History.Version = "27.1.1" })
	f("versions", "fail", "2 migrations of 6", "telltale migrate", func(f *facts) { f.History.Schema = history.Schema{Applied: 4, Known: 6, Pending: 2} })
	f("clickhouse", "fail", "it ended", "clickhouse.log", func(f *facts) { f.Hub.EngineErr = "it ended" })
	f("clickhouse", "warn", "3 times", "--engine-memory", func(f *facts) { f.Hub.LastHour["telltale_engine_restarts_total"] = 3 })
	f("clickhouse", "warn", "could not be read: parts", "GRANT", func(f *facts) { f.History.Unknown = []string{"parts: no rights"} })
	f("clickhouse", "fail", "1.9 GB of the 2.0 GB", "--engine-memory", func(f *facts) { f.History.MemoryBytes = 1.92e9 })
	f("clickhouse", "fail", "not looked at", "can be reached", func(f *facts) { f.History, f.HistoryError = nil, "i/o timeout" })
	f("clickhouse", "fail", "shard 2 (b:9000): away", "can be reached", func(f *facts) { f.HistoryError = "shard 2 (b:9000): away" })
	f("clickhouse", "fail", "shard 2 (b:9000) answers in", "--engine-memory", func(f *facts) {
		f.History.MemoryBytes, f.History.MemoryOf = 1.92e9, "shard 2 (b:9000)"
	})
	f("disk", "fail", "the disk of shard 2 (b:9000) has 500.0 MB", "--min-free", func(f *facts) {
		f.History.DiskFreeBytes, f.History.DiskOf = 5e8, "shard 2 (b:9000)"
	})
	f("storing", "warn", "other shards only: shard 2 (b:9000): slow", "agents of that shard", func(f *facts) {
		f.Hub.Storage.Behind, f.Hub.Storage.Away = "slow", []string{"shard 2 (b:9000): slow"}
	})
	f("storing", "fail", "nothing can be stored", "agents keep", func(f *facts) { f.Hub.Storage.NotReady = "not ready" })
	f("storing", "fail", "the oldest sample has waited 8s", "agents keep", func(f *facts) {
		f.Hub.Storage.Behind, f.Hub.Storage.Waiting = "slow", 8*time.Second
	})
	f("storing", "warn", "a block could not be stored", "tries again", func(f *facts) { f.Hub.Storage.Failure = &history.Failure{At: f.Hub.Now, Error: "no"} })
	f("storing", "ok", "1.4 s", "", func(f *facts) { f.Hub.Storage.Failure = &history.Failure{At: f.Hub.Now.Add(-time.Hour), Error: "no"} })
	f("storing", "warn", "45.0 s", "outage", func(f *facts) { f.Hub.LagP99 = append(f.Hub.LagP99, 45) })
	f("storing", "warn", "not known: no", "ClickHouse", func(f *facts) { f.Hub.LagError = "no" })
	f("storing", "ok", "nothing came from agents", "", func(f *facts) { f.Hub.LagP99 = nil })
	f("tiers", "warn", "tier_10s is 2m0s behind", "read raw", func(f *facts) { f.Hub.Tiers[0].Through = f.Hub.Now.Add(-2 * time.Minute) })
	f("tiers", "fail", "tier_10s is 1h0m behind", "read raw", func(f *facts) { f.Hub.Tiers[0].Through = f.Hub.Now.Add(-time.Hour) })
	f("tiers", "warn", "tier_1h has 3 windows to recompute, the oldest for 20m0s", "read raw", func(f *facts) { f.Hub.Tiers[1].Waiting = 20 * time.Minute })
	f("tiers", "warn", "not known", "ClickHouse", func(f *facts) { f.Hub.Tiers = nil })
	f("disk", "fail", "has 500.0 MB of 2.0 TB free", "--min-free", func(f *facts) { f.History.DiskFreeBytes = 5e8 })
	f("disk", "warn", "has 1.5 GB", "larger disk", func(f *facts) { f.History.DiskFreeBytes = 1.5e9 })
	f("disk", "warn", "by 1.0 GB a day, enough for 1.5 days", "keep less", func(f *facts) { f.History.DiskFreeBytes = 2.5e9 })
	f("disk", "fail", "enough for 0.5 days", "keep less", func(f *facts) { f.History.DiskFreeBytes = 1.5e9 })
	f("disk", "ok", "3.0 GB in all until retention makes up for it", "", func(*facts) {})
	f("disk", "fail", "/data has 1.0 kB free", "make room", func(f *facts) { f.Machine.FreeBytes = 1000 })
	f("disk", "fail", "no such directory", "--data", func(f *facts) { f.Machine.DataError = "no such directory" })
	f("parts", "warn", "at most 600", "CPU", func(f *facts) { f.History.Parts.Most = 600 })
	f("parts", "fail", "at most 1200", "CPU", func(f *facts) { f.History.Parts.Most = 1200 })
	f("parts", "warn", "a merge of raw has run for 2h0m", "system.merges", func(f *facts) {
		f.History.Parts.LongestMerge, f.History.Parts.LongestTable = 2*time.Hour, "raw"
	})
	f("parts", "warn", "mutations are not done", "KILL MUTATION", func(f *facts) { f.History.Parts.Mutations, f.History.Parts.MutationError = 1, "no luck" })
	f("parts", "warn", "raw has 2 parts set aside as broken", "ATTACH", func(f *facts) {
		f.History.Parts.Detached = []history.DetachedParts{{Table: "raw", Reason: "broken", Parts: 2}}
	})
	f("clocks", "warn", "ClickHouse's clock is 3s behind", "NTP", func(f *facts) { f.History.ClockAhead = -3 * time.Second })
	f("clocks", "warn", "the hub's clock is 30s ahead", "NTP", func(f *facts) { f.Sent = f.received.Add(30 * time.Second) })
	f("clocks", "fail", "2 agents are not with the hub's clock: a (40s behind) and 1 more", "NTP", func(f *facts) {
		f.Hub.Agents.Clocks, f.Hub.Agents.ClocksAll = []agentClock{{"a", -40 * time.Second}}, 2
	})
	f("clocks", "fail", "turned away 4 times", "clock_skew", func(f *facts) { f.Hub.LastHour["telltale_ingest_closed_total{clock_skew}"] = 4 })
	f("limits", "warn", "900 series, and may have 1000", "labels", func(f *facts) { f.Hub.Series.Series = 900 })
	f("limits", "fail", "agent a has 200 series", "labels", func(f *facts) { f.Hub.Series.Largest[0].Series = 200 })
	f("limits", "fail", "100 viewers", "--max-viewers", func(f *facts) { f.Hub.Load.Viewers = 100 })
	f("limits", "fail", "990 file descriptors are open", "ulimit", func(f *facts) { f.Hub.Load.OpenFiles = 990 })
	f("limits", "warn", "too few for 100 viewers", "LimitNOFILE", func(f *facts) { f.Hub.Load.MaxFiles = 256 })
	f("limits", "ok", "100 of 1000 series", "", func(f *facts) { f.Hub.Load.OpenFiles, f.Hub.Load.MaxFiles = 0, 0 })
	f("hub", "fail", "no hub is running", "telltale serve --data /data", func(f *facts) { f.Hub, f.HubGone = nil, store.ErrNoHub.Error() })
	f("clickhouse", "fail", "no engine", "make build", func(f *facts) { f.Machine.EngineError = "no engine" })
}

func TestFindingsForPeople(t *testing.T) {
	d := diagnosis{findings: []finding{
		{Hub: "one", Check: "disk", Verdict: fine, Seen: "room"}, {Hub: "one", Check: "versions", Verdict: warning, Seen: "old", Remedy: "renew"},
		{Hub: "two", Check: "disk", Verdict: failing, Seen: "none", Remedy: "make room"},
	}}
	for coloured, want := range map[bool]string{
		false: "one\nok    disk      room\nwarn  versions  old\n                -> renew\ntwo\nFAIL  disk      none\n                -> make room\n\n1 failure, 1 warning\n",
		true: "one\n\x1b[32mok  \x1b[0m  disk      room\n\x1b[33mwarn\x1b[0m  versions  old\n                -> renew\n" +
			"two\n\x1b[31mFAIL\x1b[0m  disk      none\n                -> make room\n\n1 failure, 1 warning\n",
	} {
		var text bytes.Buffer
		if err := d.printTable(&text, coloured); err != nil || text.String() != want {
			t.Errorf("coloured %v: %q, want %q (%v)", coloured, text.String(), want, err)
		}
	}
}

func TestAgentsThatSomebodyShouldLookAt(t *testing.T) {
	now := time.Now()
	ahead := 3 * time.Second
	known := &history.Health{Agents: []history.AgentHealth{
		{ID: "telltale", LastSeen: now.Add(-time.Hour)}, // the hub itself
		{ID: "here", LastSeen: now.Add(-time.Hour)},
		{ID: "fresh", LastSeen: now.Add(-time.Minute), ClockOffset: &ahead},
		{ID: "away", LastSeen: now.Add(-6 * time.Minute), Interval: time.Second},
		{ID: "slow", LastSeen: now.Add(-6 * time.Minute), Interval: 5 * time.Minute},
		{ID: "gone", LastSeen: now.Add(-8 * 24 * time.Hour)},
	}}
	door := []ingest.AgentStatus{
		{ID: "here", Connected: true, LastBatch: now.Add(-time.Second), Interval: time.Second},
		{ID: "mute", Connected: true, Since: now.Add(-time.Minute), Interval: time.Second},
		{ID: "minutely", Connected: true, LastBatch: now.Add(-time.Minute), Interval: time.Minute},
		{ID: "left", LastBatch: now.Add(-time.Hour)},
	}
	own := &hubFacts{Now: now}
	own.gatherAgents(known, door)
	a := own.Agents
	if a.Known != 7 || a.Gone != 1 || a.SilentAll != 2 || a.Silent[0].Agent != "mute" || !a.Silent[0].Connected || a.Silent[1].Agent != "away" {
		t.Errorf("%+v", a)
	}
	if a.ClocksAll != 1 || a.Clocks[0] != (agentClock{"fresh", ahead}) {
		t.Errorf("clocks %+v", a.Clocks)
	}
}

func TestGrowthEndsWithRetention(t *testing.T) {
	now := time.Now()
	g := growthOf([]history.TableHealth{
		{Name: "raw", Bytes: 20, Since: now.Add(-48 * time.Hour)},       // 10 a day, for 4 days: 20 more
		{Name: "tier_10s", Bytes: 100, Since: now.Add(-24 * time.Hour)}, // 100 a day, for 15 days: 1400 more
		{Name: "tier_1m", Bytes: 100, Since: now.Add(-time.Minute)},     // nobody knows
	}, keptBy(72*time.Hour, 14*24*time.Hour, 0, 0), now)
	for days, want := range map[float64]float64{1: 110, 2: 220, 3: 320, 100: 1420} {
		if got := g.on(days); math.Abs(got-want) > 0.1 {
			t.Errorf("after %v days %v, want %v", days, got, want)
		}
	}
	for bytes, want := range map[float64]float64{0: 0, 55: 0.5, 320: 3, 1419: 13.99} {
		if got := g.daysUntil(bytes); math.Abs(got-want) > 0.02 {
			t.Errorf("%v bytes after %v days, want %v", bytes, got, want)
		}
	}
}

func TestCountsOfTheLastHour(t *testing.T) {
	reg := prometheus.NewRegistry()
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "a_total"}, []string{"why"})
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "level"})
	reg.MustRegister(counter, gauge)
	start := time.Now()
	var h hourly
	for minute := range 90 {
		h.note(start.Add(time.Duration(minute)*time.Minute), readCounts(reg))
		counter.WithLabelValues("x").Inc()
		gauge.Set(float64(minute))
		if minute == 9 {
			counter.WithLabelValues("once").Inc()
			grown, span := h.since(start.Add(10*time.Minute), start, readCounts(reg))
			if span != 10*time.Minute || len(grown) != 2 || grown["a_total{x}"] != 10 || grown["a_total{once}"] != 1 {
				t.Errorf("at first %v within %v", grown, span)
			}
		}
	}
	grown, span := h.since(start.Add(90*time.Minute), start, readCounts(reg))
	if span != time.Hour || len(grown) != 1 || grown["a_total{x}"] != 60 {
		t.Errorf("later %v within %v", grown, span)
	}
}

// Several hubs on one NATS are all asked.
func TestAskHubs(t *testing.T) {
	server, err := store.StartServer(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	nc, err := server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := askHubs(t.Context(), nc, maxHubs); err == nil || !strings.Contains(err.Error(), "it is starting") {
		t.Errorf("where nobody listens: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var answering sync.WaitGroup
	defer answering.Wait()
	defer cancel()
	for _, name := range []string{"one", "two"} {
		asked, err := nc.SubscribeSync(doctorSubject)
		if err != nil {
			t.Fatal(err)
		}
		answering.Go(func() {
			for ctx.Err() == nil {
				if request, err := asked.NextMsgWithContext(ctx); err == nil {
					answer, _ := json.Marshal(&facts{Hub: &hubFacts{Name: name}})
					_ = request.Respond(answer)
				}
			}
		})
	}
	all, err := askHubs(t.Context(), nc, maxHubs)
	if err != nil || len(all) != 2 || all[0].Hub.Name == all[1].Hub.Name || all[0].received.IsZero() {
		t.Errorf("%+v, %v", all, err)
	}
}

// Without a hub an outside ClickHouse is looked at all the same.
func TestTheDoctorOfAnOutsideClickHouse(t *testing.T) {
	dsn := enginetest.DSN(t)
	c := doctorCommand{storeFlags: storeFlags{Data: t.TempDir()}, outsideFlags: outsideFlags{Clickhouse: dsn}, MinFree: 1, RetentionRaw: 72 * time.Hour}
	look := func() examined {
		t.Helper()
		all, err := c.facts(t.Context(), slog.New(slog.DiscardHandler))
		if err != nil || len(all) != 1 {
			t.Fatalf("%v, %v", all, err)
		}
		return judge(all[0])
	}
	if e := look(); !e.has("hub", "fail", "no hub is running", "telltale serve") || !e.has("versions", "fail", "are to be done", "telltale migrate") {
		t.Errorf("before the schema:\n%s", &e)
	}
	options, err := parseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if err := history.Migrate(t.Context(), options, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if e := look(); !e.has("versions", "ok", "schema", "") || !e.has("clickhouse", "ok", "answers in", "") || !e.has("parts", "ok", "parts in all", "") || !e.has("gaps", "ok", "none", "") {
		t.Errorf("with a schema:\n%s", &e)
	}
}

// A hub whose NATS is outside has no socket in its data directory.
func TestAHubThatCannotBeAskedThere(t *testing.T) {
	data := t.TempDir()
	lock, err := engine.LockDataDir(data)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	c := doctorCommand{storeFlags: storeFlags{Data: data}}
	all, err := c.facts(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	if e := judge(all[0]); !e.has("hub", "fail", "name its NATS with --nats", "log") {
		t.Errorf("it says\n%s", &e)
	}
}

func TestWhatIsSeenOfADataDirectory(t *testing.T) {
	data := t.TempDir()
	m := gatherMachine(data, "/nowhere", false)
	if m.DataError != "" || m.Quarantined != 0 || m.TotalBytes < m.FreeBytes || m.FreeBytes == 0 || m.Backup != nil || m.EngineError == "" {
		t.Errorf("of an empty one %+v", m)
	}
	for _, name := range []string{"1-2.jsonl", "shard-1/1-2.jsonl"} {
		path := filepath.Join(data, quarantineFolder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	note := backupNote{Time: time.Now().UTC().Truncate(time.Second), File: "/backups/a.tar", History: true}
	if err := note.write(data); err != nil {
		t.Fatal(err)
	}
	m = gatherMachine(data, "", true)
	if m.Quarantined != 2 || m.QuarantinedBytes != 10 || time.Since(m.QuarantinedLast) > time.Minute || m.Backup == nil || *m.Backup != note || m.EngineError != "" {
		t.Errorf("of a used one %+v, and %+v", m, m.Backup)
	}
	if m = gatherMachine(filepath.Join(data, "missing"), "", true); m.DataError == "" {
		t.Errorf("of none %+v", m)
	}
}
