package history

import (
	"fmt"
	"log/slog"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"telltale/aggregate"
)

// everyStep are numbers of seconds that each table serves, among them some that Telltale's own queries do not have.
var everyStep = map[int64]string{1: "raw", 7: "raw", 15: "raw", 10: "tier_10s", 30: "tier_10s", 60: "tier_1m", 120: "tier_1m", 3600: "tier_1h"}

// throughOf is the time (s) up to which the windows of a step are whole: the end of the newest row of their tier.
func (s *testStore) throughOf(step int64) int64 {
	s.t.Helper()
	through := uint64(time.Now().Unix())
	for i, table := range tierNames {
		if everyStep[step] == table {
			through = s.count(fmt.Sprintf("SELECT toUInt64(toUnixTimestamp(max(start)) + %d) FROM %s", int64(tierSteps[i])/1000, table))
		}
	}
	return int64(through) / step * step
}

// TestEveryStepEqualsRaw holds samples_every to raw summed up by hand, from a time within a window to one after the last.
func TestEveryStepEqualsRaw(t *testing.T) {
	s, clock := newTestStore(t), newTestClock()
	h := s.startHub(tierConfig(clock))
	since := clock.ms.Load()/1000 + 3
	h.newTierAgent("web-1").run(clock, 5*time.Minute)
	h.assertTiers(clock)
	for _, table := range tierNames { // written twice, not merged yet
		s.exec("SYSTEM STOP MERGES " + table)
		s.exec(fmt.Sprintf("INSERT INTO %[1]s SELECT * FROM %[1]s FINAL", table))
	}
	for step := range everyStep {
		begin := (since + step - 1) / step * step
		for _, kind := range []string{"gauge", "counter", "distribution"} {
			view := fmt.Sprintf("samples_every(metric = 'test.%s', since = %d, until = now(), step = %d)", kind, since, step)
			different := s.count(fmt.Sprintf(`SELECT count() FROM %[1]s AS every FULL JOIN
				(
					SELECT toDateTime(intDiv(toUnixTimestamp(ts), %[2]d) * %[2]d, 'UTC') AS window_start, any(kind) AS k, any(labels) AS l, sum(samples.count) AS n,
						sum(value * samples.count) AS total, min(value) AS low, max(value) AS high, argMax(value, (ts, value)) AS newest
					FROM samples WHERE metric = 'test.%[3]s' AND ts >= toDateTime(%[4]d) AND ts < toDateTime(%[5]d) GROUP BY window_start
				) AS raw USING (window_start)
				WHERE n != every.count OR abs(total - every.sum) > 1e-9 OR low != every.min OR high != every.max OR k != every.kind OR l != every.labels
					OR window_end != window_start + %[2]d OR if(k = 'distribution', NOT isNaN(every.last), newest != every.last)`,
				view, step, kind, begin, s.throughOf(step)))
			if different != 0 {
				t.Errorf("%s: %d windows differ from raw", view, different)
			}
			if n := s.count("SELECT count() FROM " + view); n == 0 && step < 3600 {
				t.Errorf("%s is empty", view)
			}
		}
	}
	if n := s.count("SELECT count() FROM samples_every(metric = 'test.gauge', since = 1700000000, until = now(), step = 3600)"); n == 0 {
		t.Error("no hours")
	}
}

// TestPercentilesInSQLEqualQueries holds the function over bins, of raw and of every tier, to what Telltale itself answers.
func TestPercentilesInSQLEqualQueries(t *testing.T) {
	s, clock := newTestStore(t), newTestClock()
	h := s.startHub(tierConfig(clock))
	begin := clock.ms.Load()
	h.newTierAgent("web-1").run(clock, 4*time.Minute)
	h.newTierAgent("web-22").run(clock, 70*time.Second)
	h.assertTiers(clock)
	reader := s.newReader(h.writer.TierStates)
	views := map[aggregate.Step]string{aggregate.TenSeconds: "bins_10s", aggregate.Minute: "bins_1m", aggregate.Hour: "bins_1h"}
	for _, step := range []aggregate.Step{aggregate.Second, aggregate.TenSeconds, aggregate.Minute, aggregate.Hour} {
		since, until := floorTo(begin, int64(step)), min(s.throughOf(int64(step)/1000)*1000, clock.ms.Load())
		from := []string{fmt.Sprintf("bins_every(metric = 'test.distribution', since = %d, until = %d, step = %d)", since/1000, until/1000, step/1000)}
		if view := views[step]; view != "" {
			from = append(from, fmt.Sprintf("%s WHERE metric = 'test.distribution' AND window_start >= toDateTime(%d) AND window_start < toDateTime(%d)", view, since/1000, until/1000))
		}
		for _, percent := range []int{50, 90, 95, 99} {
			answer, err := reader.Query(t.Context(), ask(aggregate.Query{Metric: "test.distribution", Agg: aggregate.Agg(fmt.Sprint("p", percent))}, since, until, step))
			if err != nil {
				t.Fatal(err)
			}
			for _, table := range from {
				s.compareWindows(table, percent, answer.Ends, answer.Results["q"].Values[0])
			}
		}
	}
}

// compareWindows holds the percentile by window to values, of which NaN is no row.
func (s *testStore) compareWindows(from string, percent int, ends []int64, want []float64) {
	s.t.Helper()
	found, err := s.conn.Query(s.t.Context(), fmt.Sprintf("SELECT toUnixTimestamp(any(window_end)), telltale_percentile(%d, value, count) FROM %s GROUP BY window_start", percent, from))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	got := map[int64]float64{}
	for found.Next() {
		var end uint32
		var value float64
		if err := found.Scan(&end, &value); err != nil {
			s.t.Fatal(err)
		}
		got[int64(end)*1000] = value
	}
	for i, end := range ends {
		value, has := got[end]
		if has == math.IsNaN(want[i]) || has && value != want[i] {
			s.t.Errorf("p%d of %s, window %d: %v (%v), want %v", percent, from, end, value, has, want[i])
		}
		delete(got, end)
	}
	if len(ends) == 0 || len(got) > 0 {
		s.t.Errorf("p%d of %s: of %d windows these are too many: %v", percent, from, len(ends), got)
	}
}

// TestPercentileFunctionIsNearestRank compares it with (p*n+99)/100 for percentages and numbers that floating point makes hard.
func TestPercentileFunctionIsNearestRank(t *testing.T) {
	s := newTestStore(t)
	for _, percent := range []uint64{1, 7, 14, 28, 29, 50, 55, 56, 57, 58, 90, 95, 99, 100} {
		// Of n values the first counts as often as the rank, and then once less: so the percentile is the first, and then the second.
		wrong := s.count(fmt.Sprintf(`SELECT count() FROM
			(
				SELECT n, at, telltale_percentile(%[1]d, pair.1, pair.2) AS percentile
				FROM (SELECT arrayJoin([1, 2, 7, 10, 99, 100, 101, 1000, 20000, 4294967295, 100000000000])::UInt64 AS n,
					intDiv(%[1]d * n + 99, 100) AS rank, arrayJoin([rank, toUInt64(rank - 1)]) AS at)
				ARRAY JOIN [(1., toUInt64(at)), (2., toUInt64(n - at))] AS pair
				WHERE pair.2 > 0
				GROUP BY n, rank, at
				HAVING percentile != if(at = rank, 1, 2)
			)`, percent))
		if wrong != 0 {
			t.Errorf("p%d: %d percentiles are not of the nearest rank", percent, wrong)
		}
	}
}

// TestFunctionsAreMadeAgain: they are in no database, so a restored one comes without them.
func TestFunctionsAreMadeAgain(t *testing.T) {
	s := newTestStore(t)
	s.exec("DROP FUNCTION telltale_percentile")
	if err := Migrate(t.Context(), s.options, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if n := s.count("SELECT count() FROM system.functions WHERE name = 'telltale_percentile' AND origin = 'SQLUserDefined'"); n != 1 {
		t.Errorf("there are %d functions, want one", n)
	}
}

// TestEveryReadsOneTable counts rows: each table has another number of them, all of one metric.
func TestEveryReadsOneTable(t *testing.T) {
	s := newTestStore(t)
	s.exec(`INSERT INTO known_series SELECT 'm', 'a', 9223372036854775808, 'gauge', '1', map('region', 'eu', 'service.name', 'shop'), 1000, now64(3)`)
	rows := map[string]uint64{"raw": 900_000, "tier_10s": 90_000, "tier_1m": 15_000, "tier_1h": 250}
	s.exec(fmt.Sprintf(`INSERT INTO raw SELECT '2026-01-01', 9223372036854775808, fromUnixTimestamp64Milli(1767225600000 + number * 1000), 1, 1 FROM numbers(%d)
		SETTINGS max_insert_block_size = 2000000`, rows["raw"]))
	for i, seconds := range []int{10, 60, 3600} {
		s.exec(fmt.Sprintf("INSERT INTO %s SELECT 9223372036854775808, toDateTime(1767225600 + number * %d), 0, 10, 1, 1, 1, 1 FROM numbers(%d)", tierNames[i], seconds, rows[tierNames[i]]))
	}
	for step, table := range everyStep {
		read, bytes := s.read(fmt.Sprintf("SELECT sum(count) FROM samples_every(metric = 'm', since = '2026-01-01', until = '2026-02-01', step = %d)", step))
		if read < rows[table] || read > rows[table]+200 {
			t.Errorf("windows of %d s: %d rows were read, want those of %s, %d", step, read, table, rows[table])
		}
		if _, named := s.read(fmt.Sprintf("SELECT sum(count), any(region), any(service) FROM samples_every(metric = 'm', since = '2026-01-01', until = '2026-02-01', step = %d)", step)); named <= bytes {
			t.Errorf("windows of %d s: %d bytes were read without labels, and %d with some", step, bytes, named)
		}
	}
	// A column that is not asked for costs nothing: the view reads what a join by hand does.
	viewRows, viewBytes := s.read("SELECT sum(value) FROM samples WHERE metric = 'm'")
	joinRows, joinBytes := s.read("SELECT sum(value) FROM raw INNER JOIN known_series AS k FINAL ON raw.series = k.id WHERE k.metric = 'm' AND raw.series >= 9223372036854775808")
	if viewRows != joinRows || viewBytes != joinBytes {
		t.Errorf("samples reads %d rows and %d bytes, a join by hand %d and %d", viewRows, viewBytes, joinRows, joinBytes)
	}
}

// read is what a statement reads.
func (s *testStore) read(sql string) (rows, bytes uint64) {
	s.t.Helper()
	var mu sync.Mutex
	ctx := clickhouse.Context(s.t.Context(), clickhouse.WithProgress(func(p *clickhouse.Progress) {
		mu.Lock()
		defer mu.Unlock()
		rows, bytes = rows+p.Rows, bytes+p.Bytes
	}))
	found, err := s.conn.Query(ctx, sql)
	if err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	for found.Next() {
	}
	if err := found.Close(); err != nil {
		s.t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	return rows, bytes
}

// TestCommonLabels: of several names the first that a series has counts.
func TestCommonLabels(t *testing.T) {
	s := newTestStore(t)
	s.exec(`INSERT INTO known_series SELECT 'm', 'a', 9223372036854775808, 'gauge', '1', map('service', 'old', 'service.name', 'shop', 'env', 'prod', 'cloud.region', 'eu',
		'system.device', 'sda', 'system.filesystem.mountpoint', '/', 'network.interface.name', 'eth0', 'process.executable.name', 'nginx',
		'disk.io.direction', 'read', 'system.filesystem.state', 'used'), 1000, now64(3)`)
	s.exec(`INSERT INTO known_series SELECT 'm', 'b', 9223372036854775809, 'gauge', '1', map(), 1000, now64(3)`)
	s.exec("INSERT INTO raw SELECT today(), 9223372036854775808 + number, now64(3), 1, 1 FROM numbers(2)")
	for _, view := range []string{"series", "samples"} {
		want := uint64(1)
		if n := s.count("SELECT count() FROM " + view + ` WHERE (service, env, region, device, mountpoint, interface, process, direction, state) =
			('shop', 'prod', 'eu', 'sda', '/', 'eth0', 'nginx', 'read', 'used') AND agent = 'a'`); n != want {
			t.Errorf("%s: %d rows have the labels' values, want %d", view, n, want)
		}
		if n := s.count("SELECT count() FROM " + view + " WHERE concat(service, env, region, device, mountpoint, interface, process, direction, state) = ''"); n != want {
			t.Errorf("%s: %d rows have no labels, want %d", view, n, want)
		}
	}
}

// TestTimesOfEvery: since and until may be whatever ClickHouse can read as a time.
func TestTimesOfEvery(t *testing.T) {
	s := newTestStore(t)
	s.exec(`INSERT INTO known_series SELECT 'm', 'a', 9223372036854775808, 'gauge', '1', map(), 1000, now64(3)`)
	s.exec("INSERT INTO raw SELECT '2026-01-01', 9223372036854775808, fromUnixTimestamp64Milli(1767225600000 + number * 1000), 1, 1 FROM numbers(600)")
	for _, times := range []string{
		"since = '2026-01-01 00:00:00', until = '2026-01-01 00:01:00'",
		"since = '2026-01-01T00:00:00Z', until = '2026-01-01T00:01:00.000Z'",
		"since = '2026-01-01T01:00:00+01:00', until = 1767225660",
		"since = toDateTime(1767225600), until = fromUnixTimestamp64Milli(1767225660999)",
		"since = toDateTime('2026-01-01 00:00:00') - INTERVAL 1 DAY, until = toDateTime(1767225600) + 60",
	} {
		if n := s.count("SELECT sum(count) FROM samples_every(metric = 'm', step = 5, " + times + ")"); n != 60 {
			t.Errorf("%s: %d samples, want 60", times, n)
		}
	}
	if n := s.count("SELECT sum(count) FROM samples_every(metric = 'm', step = 15, since = '2026-01-01 00:00:01', until = '2026-01-01 00:00:59')"); n != 30 {
		t.Errorf("of whole windows only there are %d samples, want 30", n)
	}
}
