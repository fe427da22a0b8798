package history

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"telltale/aggregate"
)

func ask(q aggregate.Query, from, to int64, step aggregate.Step) Request {
	return Request{Queries: map[string]aggregate.Query{"q": q}, From: from, To: to, Step: step}
}

func TestRefusals(t *testing.T) {
	s := newTestStore(t)
	reader := s.newReader()
	labels := []aggregate.Label{{Name: "agent", Value: "a"}}
	s.storeSeries(&aggregate.Series{ID: aggregate.NewSeriesID("up", labels), Metric: "up", Labels: labels, Interval: time.Second})
	up := aggregate.Query{Metric: "up", Over: aggregate.Last, Agg: aggregate.AggSum}
	many := ask(up, baseTS, baseTS+1000, aggregate.Second)
	for i := range maxQueries {
		many.Queries[fmt.Sprint(i)] = up
	}
	for _, c := range []struct {
		request Request
		code    string // of a *LimitError
		key     string // of an *aggregate.QueryError
		names   string // what the message has to tell
	}{
		{ask(up, baseTS, baseTS-1, aggregate.Second), CodeBadRange, "", "earlier one first"},
		{ask(up, -1, baseTS, aggregate.Day), CodeBadRange, "", "earlier one first"},
		{ask(up, baseTS, math.MaxInt64, aggregate.Day), CodeBadRange, "", "earlier one first"},
		{ask(up, baseTS, baseTS+maxWindows*1000, aggregate.Second), "", "", ""},
		{ask(up, baseTS, baseTS+(maxWindows+1)*1000, aggregate.Second), CodeTooManyWindows, "", "11000: ask for a step of 10s or more"},
		{many, CodeTooManyQueries, "", "the limit is 100"},
		{ask(up, baseTS, baseTS+1000, 1234), "", "step", "use one of 1s"},
		{ask(up, baseTS, baseTS+1000, 0), "", "step", "use one of 1s"},
		{ask(aggregate.Query{Metric: "up", Over: aggregate.Rate, Agg: aggregate.AggSum}, baseTS, baseTS+1000, aggregate.Second), "", "q.over", "is a gauge"},
		{ask(aggregate.Query{Metric: "up", Agg: aggregate.AggSum}, baseTS, baseTS+1000, aggregate.Second), "", "q.over", "is a gauge"},
		{ask(aggregate.Query{Metric: "up", Over: aggregate.Last}, baseTS, baseTS+1000, aggregate.Second), "", "q.agg", "is missing"},
		{ask(aggregate.Query{Expr: "x / 2"}, baseTS, baseTS+1000, aggregate.Second), "", "q.expr", "no query here"},
	} {
		_, err := reader.Query(t.Context(), c.request)
		limit, wrong := (*LimitError)(nil), (*aggregate.QueryError)(nil)
		switch {
		case c.code == "" && c.key == "" && err == nil:
		case c.code != "" && errors.As(err, &limit) && limit.Code == c.code && strings.Contains(limit.Message, c.names):
		case c.key != "" && errors.As(err, &wrong) && wrong.Key == c.key && strings.Contains(err.Error(), c.names):
		default:
			t.Errorf("%d to %d, step %d, %v: %v; want %s%s, with %q",
				c.request.From, c.request.To, c.request.Step, c.request.Queries["q"], err, c.code, c.key, c.names)
		}
	}
}

func TestUnknownMetricIsEmpty(t *testing.T) {
	reader := newTestStore(t).newReader()
	answer, err := reader.Query(t.Context(), Request{
		Queries: map[string]aggregate.Query{
			"count": {Metric: "unknown", Over: aggregate.Last, Agg: aggregate.AggCount},
			"sum":   {Metric: "unknown", Agg: aggregate.AggSum},
			"by":    {Metric: "unknown", Over: aggregate.Rate, Agg: aggregate.AggSum, By: []string{"agent"}, Top: 3},
		},
		From: 1000, To: 3999, Step: aggregate.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(answer.Ends, answer.Results); got != "[2000 3000] map[by:{[] []} count:{[{[] false}] [[0 0]]} sum:{[{[] false}] [[NaN NaN]]}]" {
		t.Errorf("got %v", got)
	}
}

func TestTooManyValues(t *testing.T) {
	s := newTestStore(t)
	reader := s.newReader()
	const hosts = 101
	s.exec(`INSERT INTO known_series SELECT 'm', toString(number), number + 9223372036854775808, 'gauge', '1', map(), 60000, now64(3) FROM numbers(101)`)
	s.exec(`INSERT INTO raw SELECT toDate(1763800000), number + 9223372036854775808, fromUnixTimestamp64Milli(1763800000000), number, 1 FROM numbers(101)`)
	q := aggregate.Query{Metric: "m", Over: aggregate.Max, Agg: aggregate.AggSum, By: []string{"agent"}}
	request := ask(q, baseTS-5_000_000, baseTS+5_000_000, aggregate.Second)
	_, err := reader.Query(t.Context(), request)
	if limit := (*LimitError)(nil); !errors.As(err, &limit) || limit.Code != CodeTooManyValues {
		t.Errorf("%d groups of 10,000 windows: %v", hosts, err)
	}
	q.Top = 50
	request.Queries["q"] = q
	answer, err := reader.Query(t.Context(), request)
	if err != nil || len(answer.Results["q"].Groups) != 51 || !answer.Results["q"].Groups[50].Other {
		t.Fatalf("the top 50: %d groups, %v", len(answer.Results["q"].Groups), err)
	}
	if best := answer.Results["q"].Groups[0].Labels[0].Value; best != "100" {
		t.Errorf("the best is host %s", best)
	}
	request.Queries["again"] = q
	if _, err = reader.Query(t.Context(), request); !errors.Is(err, errTooManyValues) {
		t.Errorf("two times 510,000 values: %v", err)
	}
}

func (s *testStore) exec(statement string) {
	s.t.Helper()
	if err := s.conn.Exec(s.t.Context(), statement); err != nil {
		s.t.Fatal(err)
	}
}

// TestReadsByPrimaryKey has 100 metrics of 100 hosts and reads an hour of one of them.
func TestReadsByPrimaryKey(t *testing.T) {
	s := newTestStore(t)
	reader := s.newReader()
	s.exec(`INSERT INTO known_series SELECT concat('m', toString(number % 100)), toString(intDiv(number, 100)),
		bitOr(cityHash64(number), 9223372036854775808), 'gauge', '1', map(), 10000, now64(3) FROM numbers(10000)`)
	for day := range 2 {
		s.exec(fmt.Sprintf(`INSERT INTO raw SELECT toDate(1763769600 + 86400 * %[1]d), bitOr(cityHash64(number %% 10000), 9223372036854775808),
			fromUnixTimestamp64Milli(1763769600000 + 86400000 * %[1]d + intDiv(number, 10000) * 576000), number %% 10000, 1
			FROM numbers(1500000) SETTINGS max_insert_block_size = 2000000, min_insert_block_size_rows = 2000000`, day))
	}
	var read uint64
	var mu sync.Mutex
	ctx := clickhouse.Context(t.Context(), clickhouse.WithProgress(func(p *clickhouse.Progress) {
		mu.Lock()
		defer mu.Unlock()
		read += p.Rows
	}))
	const secondDay = 1_763_769_600_000 + 86_400_000
	q := aggregate.Query{Metric: "m7", Over: aggregate.Last, Agg: aggregate.AggAvg, By: []string{"agent"}}
	answer, err := reader.Query(ctx, ask(q, secondDay+36_000_000, secondDay+39_600_000, aggregate.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if groups := len(answer.Results["q"].Groups); groups != 100 {
		t.Errorf("%d groups, want 100", groups)
	}
	mu.Lock()
	defer mu.Unlock()
	// An index granule has 8,192 rows, which are some 55 series here: 100 series at random are in 77 of the 184 granules
	// of a day.
	if read == 0 || read > 750_000 {
		t.Errorf("%d of 3,000,000 rows were read", read)
	}
}

// TestCancelledInClickHouse asks for what takes minutes, twice at once, and leaves.
func TestCancelledInClickHouse(t *testing.T) {
	s := newTestStore(t)
	reader := s.newReader()
	s.exec(`INSERT INTO known_series SELECT 'slow', 'a', 9223372036854775808, 'gauge', '1', map(), 1000, now64(3)`)
	s.exec("DROP TABLE raw SYNC")
	s.exec(`CREATE VIEW raw AS SELECT toDate(1763800000) AS day, toUInt64(9223372036854775808 + sleepEachRow(0.2)) AS series,
		fromUnixTimestamp64Milli(1763800000000 + number) AS ts, toFloat64(1) AS value, toUInt32(1) AS n
		FROM numbers(1000) SETTINGS max_block_size = 1`)
	request := ask(aggregate.Query{Metric: "slow", Over: aggregate.Avg, Agg: aggregate.AggSum}, baseTS, baseTS+1000, aggregate.Second)
	ended := make(chan error, 2)
	leave := make([]context.CancelFunc, 2)
	for i := range leave {
		var ctx context.Context
		ctx, leave[i] = context.WithCancel(t.Context())
		defer leave[i]()
		go func() {
			_, err := reader.Query(ctx, request)
			ended <- err
		}()
	}
	running := func() uint64 {
		return s.count("SELECT count() FROM system.processes WHERE query LIKE '%INNER JOIN matching%' AND query NOT LIKE '%system.processes%'")
	}
	waitFor(t, "the query to run", func() bool { return running() == 1 })
	waitFor(t, "both callers to share it", func() bool { return reader.flights.callers() == 2 })
	leave[0]()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the first caller got %v", err)
	}
	if n := running(); n != 1 {
		t.Errorf("%d queries run for the caller who stayed", n)
	}
	leave[1]()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the second caller got %v", err)
	}
	waitFor(t, "the query to end", func() bool { return running() == 0 })
}

func (f *flights) callers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := 0
	for _, own := range f.byKey {
		all += own.callers
	}
	return all
}

// TestStoredTheDayBefore has a sample of an agent whose clock was ahead at midnight.
func TestStoredTheDayBefore(t *testing.T) {
	s := newTestStore(t)
	const midnight = 1_763_769_600_000
	s.exec(`INSERT INTO known_series SELECT 'm', 'a', 9223372036854775808, 'gauge', '1', map(), 1000, now64(3)`)
	s.exec(`INSERT INTO raw SELECT toDate(1763769600) - 1, 9223372036854775808, fromUnixTimestamp64Milli(1763769600500), 7, 1`)
	q := aggregate.Query{Metric: "m", Over: aggregate.Max, Agg: aggregate.AggSum}
	answer, err := s.newReader().Query(t.Context(), ask(q, midnight, midnight+1000, aggregate.Second))
	if err != nil || answer.Results["q"].Values[0][0] != 7 {
		t.Errorf("got %v, %v", answer, err)
	}
}

func TestTooBig(t *testing.T) {
	reader := newTestStore(t).newReader()
	bound := statement{text: "SELECT groupArray(number) FROM numbers(1000000000)"}
	err := reader.rows(t.Context(), bound, nil, func(driver.Rows) error { return nil })
	if !errors.Is(explain(t.Context(), err), errTooBig) {
		t.Errorf("got %v", err)
	}
}

func TestReadsOnly(t *testing.T) {
	reader := newTestStore(t).newReader()
	err := reader.rows(t.Context(), statement{text: "TRUNCATE TABLE raw"}, nil, func(driver.Rows) error { return nil })
	if exception := (*clickhouse.Exception)(nil); !errors.As(err, &exception) || exception.Code != 164 {
		t.Errorf("a reader may write: %v", err)
	}
}

func TestBusy(t *testing.T) {
	reader := newTestStore(t).newReader()
	reader.metrics.waiting.Store(maxWaiting)
	defer reader.metrics.waiting.Store(0)
	_, err := reader.Query(t.Context(), ask(aggregate.Query{Metric: "m", Agg: aggregate.AggSum}, baseTS, baseTS+1000, aggregate.Second))
	if !errors.Is(err, errBusy) {
		t.Errorf("got %v", err)
	}
}

func TestAgents(t *testing.T) {
	s := newTestStore(t)
	s.exec(`INSERT INTO known_agents (agent, labels, attributes, first_seen, updated) VALUES
		('b', map('region', 'eu'), map('os.type', 'linux'), '2025-01-01 00:00:00.000', '2025-01-02 00:00:00.000'),
		('a', map(), map(), '2025-01-01 00:00:00.000', '2025-01-02 00:00:00.000')`)
	s.exec(`INSERT INTO known_agents (agent, labels, attributes, first_seen, updated) VALUES ('b', map('region', 'us'), map('os.type', 'linux'), '2025-01-01 00:00:00.000', '2025-01-03 00:00:00.000')`)
	s.exec(`INSERT INTO progress (agent, epoch, version, hub, block, from_seq, to_seq, updated) VALUES ('b', 'e', 1, 1, 1, 1, 1, '2025-01-04 00:00:00.000')`)
	agents, err := s.newReader().Agents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const want = "[{a map[] map[] 2025-01-01 2025-01-02 <nil>} {b map[region:us] map[os.type:linux] 2025-01-01 2025-01-04 <nil>}]"
	if got := strings.ReplaceAll(fmt.Sprint(agents), " 00:00:00 +0000 UTC", ""); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
