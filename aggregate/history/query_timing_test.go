package history

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/shirou/gopsutil/v3/process"

	"telltale/aggregate"
	"telltale/aggregate/engine/enginetest"
)

// benchStore is a database with tiers of synthetic series: 100 hosts with 100 metrics each.
type benchStore struct {
	b       *testing.B
	options *clickhouse.Options
	conn    driver.Conn
}

const (
	benchHosts = 100
	benchEnd   = 1_763_769_600_000 // a midnight
)

func newBenchStore(b *testing.B) *benchStore {
	b.Helper()
	options, err := clickhouse.ParseDSN(enginetest.DSN(b))
	if err != nil {
		b.Fatal(err)
	}
	if err := Migrate(b.Context(), options, slog.New(slog.DiscardHandler)); err != nil {
		b.Fatal(err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return &benchStore{b, options, conn}
}

func (s *benchStore) exec(statement string) {
	s.b.Helper()
	if err := s.conn.Exec(s.b.Context(), statement); err != nil {
		s.b.Fatalf("%s: %v", statement, err)
	}
}

// seriesID is SQL for the id of the series of that number, made as those of aggregate.NewSeriesID are.
func seriesID(number string) string {
	return fmt.Sprintf(`bitOr(9223372036854775808, bitOr(bitShiftLeft(bitAnd(cityHash64(intDiv(%[1]s, %[2]d)), 4095), 51),
		bitAnd(cityHash64(%[1]s), 2251799813685247)))`, number, benchHosts)
}

// addSeries makes the given number of metrics of all hosts.
func (s *benchStore) addSeries(metrics int) {
	s.exec(fmt.Sprintf(`INSERT INTO known_series SELECT concat('m', toString(intDiv(number, %d))), concat('host-', toString(number %% %d)),
		%s, 'gauge', '1', map('region', 'eu'), 10000, now64(3) FROM numbers(%d)`, benchHosts, benchHosts, seriesID("number"), benchHosts*metrics))
}

// fill writes the windows of a tier that end by benchEnd, in parts of halving length, as the merges of a running hub leave them.
func (s *benchStore) fill(table string, step aggregate.Step, metrics, windows int) {
	s.exec("SYSTEM STOP MERGES " + table)
	first := benchEnd/int64(step) - int64(windows)
	for from, size := 0, windows/2; from < windows; size /= 2 {
		size = max(size, 1)
		if from+size > windows || size < 4 {
			size = windows - from
		}
		s.exec(fmt.Sprintf(`INSERT INTO %s SELECT %s AS series,
			toDateTime((%d + intDiv(number, %d)) * %d), 0, 10, 10 * v, v - 1, v + 1, round(sin(intDiv(number, %d) / 40) * 100 + number %% 7, 2) AS v
			FROM numbers(%d) SETTINGS max_insert_threads = 2, max_block_size = 1000000, min_insert_block_size_rows = 4000000`,
			table, seriesID(fmt.Sprintf("(number %% %d)", benchHosts*metrics)), first+int64(from), benchHosts*metrics, int64(step)/1000, benchHosts*metrics, size*benchHosts*metrics))
		from += size
	}
}

func (s *benchStore) reader(config ReaderConfig) *Reader {
	reader, err := NewReader(s.options, config, prometheus.NewRegistry())
	if err != nil {
		s.b.Fatal(err)
	}
	s.b.Cleanup(func() { _ = reader.Close() })
	return reader
}

func allTiers() []TierState {
	return []TierState{{Step: aggregate.TenSeconds, Through: benchEnd}, {Step: aggregate.Minute, Through: benchEnd}, {Step: aggregate.Hour, Through: benchEnd}}
}

// measure asks the question that ask makes of a number, again and again, and reports the distribution of the times, and the
// CPU time that ClickHouse takes for one, which hardly depends on what else the machine does.
func (s *benchStore) measure(b *testing.B, reader *Reader, ask func(i int) Request) {
	b.Helper()
	var times []time.Duration
	before := engineCPU(b)
	for b.Loop() {
		request := ask(len(times))
		began := time.Now()
		answer, err := reader.Query(b.Context(), request)
		times = append(times, time.Since(began))
		if err != nil || len(answer.Results["q"].Groups) == 0 || !isPresent(answer.Results["q"].Values[0][0]) {
			b.Fatalf("%v, %v", answer.Results, err)
		}
	}
	b.ReportMetric((engineCPU(b)-before)*1000/float64(len(times)), "engine-cpu-ms")
	slices.Sort(times)
	at := func(p int) float64 { return float64(times[(p*len(times)+99)/100-1].Microseconds()) / 1000 }
	b.ReportMetric(at(1), "p1-ms")
	b.ReportMetric(at(50), "p50-ms")
	b.ReportMetric(at(99), "p99-ms")
}

// engineCPU is the CPU time that the engine has taken so far, in seconds.
func engineCPU(b *testing.B) float64 {
	b.Helper()
	engine, err := process.NewProcess(int32(enginetest.Engine(b).PID()))
	if err != nil {
		b.Fatal(err)
	}
	times, err := engine.Times()
	if err != nil {
		b.Fatal(err)
	}
	return times.User + times.System
}

func benchQuery(over aggregate.Over, metric int, by ...string) aggregate.Query {
	return aggregate.Query{Metric: fmt.Sprint("m", metric), Over: over, Agg: aggregate.AggAvg, By: by}
}

// BenchmarkPanels asks what panels of dashboards ask.
func BenchmarkPanels(b *testing.B) {
	const day = int64(aggregate.Day)
	b.Run("30d at 1h of 100 series", func(b *testing.B) {
		s := newBenchStore(b)
		s.addSeries(100)
		s.fill("tier_1h", aggregate.Hour, 100, 30*24)
		reader := s.reader(ReaderConfig{Tiers: allTiers})
		for _, over := range []aggregate.Over{aggregate.Avg, aggregate.Max, aggregate.Last} {
			b.Run(string(over), func(b *testing.B) {
				s.measure(b, reader, func(i int) Request {
					return ask(benchQuery(over, i%100, "agent"), benchEnd-30*day, benchEnd-int64(i%7)*int64(aggregate.Hour), aggregate.Hour)
				})
			})
		}
	})
	b.Run("24h at 10s of one series", func(b *testing.B) {
		s := newBenchStore(b)
		s.addSeries(20)
		s.fill("tier_10s", aggregate.TenSeconds, 20, 24*360)
		reader := s.reader(ReaderConfig{Tiers: allTiers})
		for _, over := range []aggregate.Over{aggregate.Avg, aggregate.Max, aggregate.Last} {
			b.Run(string(over), func(b *testing.B) {
				s.measure(b, reader, func(i int) Request {
					q := benchQuery(over, i%20)
					q.Where = []aggregate.Matcher{matcher("agent", fmt.Sprint("host-", i%benchHosts))}
					return ask(q, benchEnd-day, benchEnd-int64(i%7)*int64(aggregate.Minute), aggregate.TenSeconds)
				})
			})
		}
	})
	b.Run("7d at 1m of 100 series", func(b *testing.B) {
		s := newBenchStore(b)
		s.addSeries(20)
		s.fill("tier_1m", aggregate.Minute, 20, 7*1440)
		reader := s.reader(ReaderConfig{Tiers: allTiers})
		for _, over := range []aggregate.Over{aggregate.Avg, aggregate.Max, aggregate.Last} {
			b.Run(string(over), func(b *testing.B) {
				s.measure(b, reader, func(i int) Request {
					return ask(benchQuery(over, i%20), benchEnd-7*day, benchEnd-int64(i%7)*int64(aggregate.Hour), aggregate.Minute)
				})
			})
		}
	})
}
