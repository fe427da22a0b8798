package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"

	"telltale/aggregate"
	"telltale/aggregate/engine/enginetest"
)

// store is a database with the writer that stores to it, as a hub runs them.
type testStore struct {
	t        *testing.T
	options  *clickhouse.Options
	conn     driver.Conn         // independent of the writer's
	registry *aggregate.Registry // of the running hub

	server     Server // nil: an outside one
	quarantine string
	fault      *fault // what befalls the running hub; nil: nothing
}

func newTestStore(t *testing.T) *testStore {
	t.Helper()
	options, err := clickhouse.ParseDSN(enginetest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	s := storeAt(t, options)
	s.server = enginetest.Engine(t)
	return s
}

// storeAt is a database of any server.
func storeAt(t *testing.T, options *clickhouse.Options) *testStore {
	t.Helper()
	if err := Migrate(t.Context(), options, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &testStore{t: t, options: options, conn: conn, quarantine: filepath.Join(t.TempDir(), "quarantine")}
}

// hub is one run of a writer: from a start to an orderly or a sudden end.
type hub struct {
	*testStore
	writer *Writer
	kill   context.CancelFunc
	done   chan error

	mu       sync.Mutex
	acked    map[string]uint64 // by agent and epoch, the last stored seq
	setAside []uint64
	change   chan struct{}
}

func (s *testStore) startHub(cfg Config) *hub {
	s.t.Helper()
	h := &hub{testStore: s, done: make(chan error, 1), acked: map[string]uint64{}, change: make(chan struct{}, 1)}
	cfg.QuarantineDir = s.quarantine
	s.registry = aggregate.NewRegistry(aggregate.DefaultLimits()) // a new process knows no series
	var err error
	h.writer, err = NewWriter(s.options, s.server, s.registry, h.stored, cfg, prometheus.NewRegistry(), slog.New(slog.NewTextHandler(testLog{s.t}, nil)))
	if err != nil {
		s.t.Fatal(err)
	}
	if s.fault != nil {
		h.writer.conn = faultyConn{h.writer.conn, s.fault}
	}
	var ctx context.Context
	ctx, h.kill = context.WithCancel(context.Background())
	go func() { h.done <- h.writer.Run(ctx) }()
	s.t.Cleanup(h.crash)
	waitFor(s.t, "the writer", func() bool { return h.writer.Ready() == nil })
	return h
}

type testLog struct{ t *testing.T }

func (l testLog) Write(line []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(line)))
	return len(line), nil
}

func (h *hub) stored(progress []aggregate.Progress) {
	if h.fault != nil && h.fault.strike(acknowledging) != nil {
		return // nobody hears of it
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range progress {
		h.acked[p.Agent+"/"+p.Epoch] = p.Seq
		if p.Quarantined {
			h.setAside = append(h.setAside, p.Seq)
		}
	}
}

func (h *hub) ackedSeq(agent, epoch string) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.acked[agent+"/"+epoch]
}

// crash ends the writer at once, wherever it is.
func (h *hub) crash() {
	h.kill()
	if h.done != nil {
		<-h.done
		h.done = nil
	}
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within two minutes", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (h *hub) admit(agent string) map[string]uint64 {
	h.t.Helper()
	progress, err := h.writer.Admit(h.t.Context(), agent, map[string]string{"region": "eu"}, map[string]string{"os.type": "linux"})
	if err != nil {
		h.t.Fatal(err)
	}
	return progress
}

const baseTS = 1_763_800_000_000

// batch is the given seq of an agent's only series: one sample, whose time and value tell the seq.
func (s *testStore) batch(agent, epoch string, seq uint64) *aggregate.Batch {
	s.t.Helper()
	id, err := s.registry.Intern(aggregate.Series{
		Metric: "test.value", Unit: "1", Interval: time.Second,
		Labels: []aggregate.Label{{Name: "agent", Value: agent}, {Name: "epoch", Value: epoch}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return &aggregate.Batch{
		Agent: agent, Epoch: epoch, Seq: seq,
		Series: []uint64{id}, TS: []int64{baseTS + int64(seq)*1000}, Value: []float64{float64(seq)}, N: []uint32{1},
	}
}

func (s *testStore) count(query string, args ...any) uint64 {
	s.t.Helper()
	var n uint64
	if err := s.conn.QueryRow(context.Background(), query, args...).Scan(&n); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// assertExactlyOnce checks that storage holds the seqs 1..last of an epoch once each.
func (s *testStore) assertExactlyOnce(agent, epoch string, last uint64) {
	s.t.Helper()
	const where = "FROM samples WHERE metric = 'test.value' AND agent = ? AND labels['epoch'] = ?"
	rows := s.count("SELECT count() "+where, agent, epoch)
	distinct := s.count("SELECT uniqExact(ts) "+where, agent, epoch)
	newest := s.count("SELECT toUInt64(max(value)) "+where, agent, epoch)
	if rows != last || distinct != last || newest != last {
		s.t.Fatalf("agent %s epoch %s: %d rows, %d times, newest %d; want %d of each", agent, epoch, rows, distinct, newest, last)
	}
}

func TestStoredSamplesAreReadByName(t *testing.T) {
	s := newTestStore(t)
	h := s.startHub(Config{BlockInterval: 10 * time.Millisecond})
	if progress := h.admit("web-1"); len(progress) != 0 {
		t.Fatalf("an unknown agent has progress %v", progress)
	}
	for seq := uint64(1); seq <= 3; seq++ {
		if err := h.writer.Take(s.batch("web-1", "e1", seq)); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "the acknowledgement", func() bool { return h.ackedSeq("web-1", "e1") == 3 })
	s.assertExactlyOnce("web-1", "e1", 3)

	var (
		ts                        time.Time
		metric, kind, unit, agent string
		labels                    map[string]string
		value                     float64
		count                     uint32
	)
	err := s.conn.QueryRow(t.Context(), "SELECT ts, metric, kind, unit, agent, labels, value, count FROM samples ORDER BY ts LIMIT 1").Scan(&ts, &metric, &kind, &unit, &agent, &labels, &value, &count)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(ts.UnixMilli(), metric, kind, unit, agent, labels, value, count)
	if want := fmt.Sprint(int64(baseTS+1000), "test.value", "gauge", "1", "web-1", map[string]string{"epoch": "e1"}, 1.0, 1); got != want {
		t.Fatalf("the first sample is %s, want %s", got, want)
	}
	if n := s.count("SELECT count() FROM series WHERE metric = 'test.value' AND interval_ms = 1000"); n != 1 {
		t.Fatalf("%d series, want 1", n)
	}
	if n := s.count("SELECT count() FROM agents WHERE agent = 'web-1' AND labels['region'] = 'eu' AND attributes['os.type'] = 'linux'"); n != 1 {
		t.Fatalf("%d agents, want 1", n)
	}
}

func TestEqualLabelsAreEqualInSQL(t *testing.T) {
	s := newTestStore(t)
	h := s.startHub(Config{BlockInterval: 10 * time.Millisecond})
	h.admit("web-1")
	var series []uint64
	for metric := range 20 {
		id, err := s.registry.Intern(aggregate.Series{
			Metric: fmt.Sprint("test.metric_", metric), Interval: time.Second,
			Labels: []aggregate.Label{{Name: "a", Value: "1"}, {Name: "agent", Value: "web-1"}, {Name: "b", Value: "2"}, {Name: "c", Value: "3"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		series = append(series, id)
	}
	batch := &aggregate.Batch{Agent: "web-1", Epoch: "e1", Seq: 1, Series: series, TS: make([]int64, 20), Value: make([]float64, 20), N: make([]uint32, 20)}
	if err := h.writer.Take(batch); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the acknowledgement", func() bool { return h.ackedSeq("web-1", "e1") == 1 })
	if n := s.count("SELECT count() FROM samples WHERE labels = map('a', '1', 'b', '2', 'c', '3')"); n != 20 {
		t.Fatalf("%d of 20 series have the labels in order", n)
	}
}

func TestABlockIsOnePart(t *testing.T) {
	s := newTestStore(t)
	if err := s.conn.Exec(t.Context(), "SYSTEM STOP MERGES raw"); err != nil {
		t.Fatal(err)
	}
	h := s.startHub(Config{BlockInterval: 10 * time.Millisecond})
	h.admit("web-1")
	const rows = 200_000
	b := s.batch("web-1", "e1", 1)
	big := &aggregate.Batch{Agent: b.Agent, Epoch: b.Epoch, Seq: b.Seq}
	for i := range int64(rows) {
		big.Series = append(big.Series, b.Series[0])
		// Samples of many days: the partition is the day of insertion all the same.
		big.TS = append(big.TS, baseTS-i*3_600_000)
		big.Value = append(big.Value, float64(i))
		big.N = append(big.N, 1)
	}
	if err := h.writer.Take(big); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the acknowledgement", func() bool { return h.ackedSeq("web-1", "e1") == 1 })
	if n := s.count("SELECT count() FROM system.parts WHERE database = currentDatabase() AND table = 'raw' AND active"); n != 1 {
		t.Fatalf("one block is %d parts", n)
	}
	if n := s.count("SELECT count() FROM raw"); n != rows+rows {
		t.Fatalf("%d rows, want the samples and a marker for each of their windows: %d", n, rows+rows)
	}
	if n := s.count("SELECT count() FROM samples"); n != rows {
		t.Fatalf("%d samples, want %d: the marker must not show", n, rows)
	}
}

func TestTakeIsBounded(t *testing.T) {
	s := newTestStore(t)
	h := s.startHub(Config{MaxUnstoredBytes: 1000, BlockInterval: time.Hour})
	h.admit("web-1")
	var seq uint64
	for seq = 1; ; seq++ {
		if err := h.writer.Take(s.batch("web-1", "e1", seq)); errors.Is(err, ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if want := uint64(1000/(rowBytes+passBytes)) + 1; seq != want {
		t.Fatalf("refused at batch %d, want %d", seq, want)
	}
	h.writer.Close()
	waitFor(t, "the end of an orderly stop", func() bool { return h.ackedSeq("web-1", "e1") == seq-1 })
	s.assertExactlyOnce("web-1", "e1", seq-1)
}

func TestManyAdmissionsAreFewQueries(t *testing.T) {
	const agents = 500
	var queries, first atomic.Int64
	release := make(chan struct{})
	a := newAdmissions(func(_ context.Context, agents []string) (map[string]*agentState, error) {
		queries.Add(1)
		first.CompareAndSwap(0, int64(len(agents)))
		<-release
		return nil, nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running, waiting sync.WaitGroup
	running.Go(func() { a.run(ctx) })
	for i := range agents {
		waiting.Go(func() {
			if _, err := a.load(ctx, fmt.Sprint("agent-", i)); err != nil {
				t.Error(err)
			}
		})
	}
	// The first query is under way with those who came first; all others wait for the second.
	waitFor(t, "all agents to ask", func() bool { return first.Load() > 0 && first.Load()+int64(len(a.waiting)) == agents })
	close(release)
	waiting.Wait()
	cancel()
	running.Wait()
	if queries.Load() > 2 {
		t.Fatalf("%d agents were looked up by %d queries, want 2", agents, queries.Load())
	}
}

func TestMigrateMayRunAgain(t *testing.T) {
	s := newTestStore(t)
	for range 2 {
		if err := Migrate(t.Context(), s.options, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
	}
	migrations, err := readMigrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.count("SELECT count() FROM migrations FINAL"); n != uint64(len(migrations)) {
		t.Fatalf("%d migrations are recorded, want %d", n, len(migrations))
	}
	if err := s.conn.Exec(t.Context(), "INSERT INTO migrations VALUES (999, 'future', '', now64(3))"); err != nil {
		t.Fatal(err)
	}
	if err := Migrate(t.Context(), s.options, slog.New(slog.DiscardHandler)); err == nil {
		t.Fatal("a schema of a newer program was accepted")
	}
}
