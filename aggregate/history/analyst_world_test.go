package history

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"

	"telltale/aggregate"
	"telltale/aggregate/engine"
)

// analystStore is an engine of its own, in which the user for analysts is as in a hub's: with the hub's grants and limits.
type analystStore struct {
	*testStore
	addresses engine.Addresses
	analyst   *Analyst
}

func newAnalystStore(t *testing.T) *analystStore {
	t.Helper()
	path, err := engine.Find("")
	if err != nil {
		t.Fatal(err)
	}
	config := engine.Config{DataDir: t.TempDir(), Path: path}
	for _, name := range Readable {
		config.AnalystReads = append(config.AnalystReads, engine.Database+"."+name)
	}
	e, err := engine.Start(t.Context(), config, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	s := &analystStore{testStore: &testStore{t: t}, addresses: e.Addresses()}
	if s.options, err = clickhouse.ParseDSN(s.addresses.DSN); err != nil {
		t.Fatal(err)
	}
	if err := Migrate(t.Context(), s.options, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if s.conn, err = clickhouse.Open(s.options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.conn.Close() })
	address, err := url.Parse(s.addresses.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	address.User, address.Path = url.UserPassword(engine.AnalystUser, s.addresses.AnalystPassword), "/"+engine.Database
	if s.analyst, err = NewAnalyst(address.String(), prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.analyst.Close)
	return s
}

// ask runs a statement as the analyst, and returns its rows without their names, a line each, with tabs between the columns.
func (s *analystStore) ask(sql string) (string, error) {
	result, err := s.analyst.Run(s.t.Context(), "user analyst", sql, "TabSeparated", nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = result.Body.Close() }()
	text, err := io.ReadAll(result.Body)
	return string(text), err
}

// analystWorld is a month of a small shop: two web servers, a database, a host that fell silent two hours ago, and the hub itself.
// Its samples are of the last 26 hours each minute, and before that each hour.
type analystWorld struct {
	now     time.Time
	sources []*aggregate.Series
	rows    rows
	days    []time.Time
}

const (
	worldDays  = 31
	worldHours = 26 // by minutes
)

// each calls f for every time at which there are samples, with the time that they stand for.
func (w *analystWorld) each(f func(at time.Time, span time.Duration)) {
	begin := w.now.Truncate(time.Hour)
	fine := begin.Add(-worldHours * time.Hour)
	for at := begin.AddDate(0, 0, -worldDays); at.Before(fine); at = at.Add(time.Hour) {
		f(at.Add(30*time.Second), time.Hour)
	}
	for at := fine; at.Before(w.now.Add(-time.Minute)); at = at.Add(time.Minute) {
		f(at.Add(30*time.Second), time.Minute)
	}
}

// source describes a series of an agent; labels are names and values in turn, beside the agent's own.
func (w *analystWorld) source(agent, metric string, kind aggregate.Kind, unit string, labels ...string) uint64 {
	all := []aggregate.Label{{Name: aggregate.AgentLabel, Value: agent}}
	for i, own := 0, append(labels, agentLabels[agent]...); i < len(own); i += 2 {
		all = append(all, aggregate.Label{Name: own[i], Value: own[i+1]})
	}
	series := &aggregate.Series{
		ID: aggregate.NewSeriesID(metric, all), Metric: metric, Kind: kind, Unit: unit, Labels: all, Interval: time.Minute,
	}
	w.sources = append(w.sources, series)
	return series.ID
}

var agentLabels = map[string][]string{
	"web-1": {"env", "prod", "region", "eu"}, "web-2": {"env", "prod", "region", "eu"},
	"db-1": {"env", "prod", "region", "us"}, "old-1": {"env", "test", "region", "us"},
}

func (w *analystWorld) add(series uint64, at time.Time, value float64, n uint32) {
	w.rows.series, w.rows.ts = append(w.rows.series, series), append(w.rows.ts, at.UnixMilli())
	w.rows.value, w.rows.n = append(w.rows.value, value), append(w.rows.n, n)
	w.days = append(w.days, at.Truncate(24*time.Hour))
}

// binOf is the middle of the bin that a value falls into.
func binOf(value float64) float64 {
	return 0.99 * math.Pow(1.01/0.99, math.Ceil(math.Log(value)/math.Log(1.01/0.99)))
}

// gapOf is when web-2 lost samples.
func (w *analystWorld) gap() (from, to time.Time) {
	return w.now.Truncate(time.Minute).Add(-40 * time.Minute), w.now.Truncate(time.Minute).Add(-35 * time.Minute)
}

func newAnalystWorld(now time.Time) *analystWorld {
	w := &analystWorld{now: now}
	w.addHosts()
	w.addShop()
	w.addHub()
	return w
}

// addHosts: db-1 is busiest, and web-1 twice as busy as it was yesterday; db-1 fills its disk by 1 GB a day, and has
// 100 GB left; each receives 100 bytes a second.
func (w *analystWorld) addHosts() {
	gapFrom, gapTo := w.gap()
	for agent, used := range map[string][2]float64{"web-1": {0.25, 0.5}, "web-2": {0.2, 0.2}, "db-1": {0.8, 0.9}, "old-1": {0.1, 0.1}} {
		cpu := w.source(agent, "system.cpu.utilization", aggregate.Gauge, "1")
		memory := w.source(agent, "system.memory.utilization", aggregate.Gauge, "1")
		received := w.source(agent, "system.network.io", aggregate.Counter, "By", "network.interface.name", "eth0", "network.io.direction", "receive")
		sent := w.source(agent, "system.network.io", aggregate.Counter, "By", "network.interface.name", "eth0", "network.io.direction", "transmit")
		read := w.source(agent, "system.disk.io", aggregate.Counter, "By", "disk.io.direction", "read", "system.device", "sda")
		uptime := w.source(agent, "system.uptime", aggregate.Gauge, "s")
		full := w.source(agent, "system.filesystem.utilization", aggregate.Gauge, "1", "system.device", "sda1", "system.filesystem.mountpoint", "/")
		usage := w.source(agent, "system.filesystem.usage", aggregate.Gauge, "By",
			"system.device", "sda1", "system.filesystem.mountpoint", "/", "system.filesystem.state", "used")
		free := w.source(agent, "system.filesystem.usage", aggregate.Gauge, "By",
			"system.device", "sda1", "system.filesystem.mountpoint", "/", "system.filesystem.state", "free")
		w.each(func(at time.Time, span time.Duration) {
			ago := w.now.Sub(at)
			if agent == "old-1" && ago < 2*time.Hour || agent == "web-2" && at.After(gapFrom) && at.Before(gapTo) {
				return
			}
			now := used[1]
			if ago > 12*time.Hour {
				now = used[0]
			}
			onDisk := 50e9
			if agent == "db-1" {
				onDisk = 100e9 - ago.Hours()/24*1e9
			}
			up := (40*24*time.Hour - ago).Seconds()
			if agent == "web-2" && ago < 3*time.Hour {
				up = (3*time.Hour - ago).Seconds()
			}
			w.add(cpu, at, now, 1)
			w.add(memory, at, 0.5, 1)
			w.add(received, at, 100*span.Seconds(), 1)
			w.add(sent, at, 50*span.Seconds(), 1)
			w.add(read, at, 10*span.Seconds(), 1)
			w.add(uptime, at, up, 1)
			w.add(full, at, onDisk/200e9, 1)
			w.add(usage, at, onDisk, 1)
			w.add(free, at, 200e9-onDisk, 1)
		})
	}
}

// addShop: of 100 requests for /checkout 98 take 0.1 s and 2 fail after 2 s; /search takes 0.05 s. postgres has 4 GB of memory.
func (w *analystWorld) addShop() {
	const metric = "http.server.request.duration"
	good := w.source("web-1", metric, aggregate.Distribution, "s", "http.response.status_code", "200", "http.route", "/checkout", "service.name", "shop")
	bad := w.source("web-1", metric, aggregate.Distribution, "s", "http.response.status_code", "500", "http.route", "/checkout", "service.name", "shop")
	search := w.source("web-1", metric, aggregate.Distribution, "s", "http.response.status_code", "200", "http.route", "/search", "service.name", "shop")
	orders := w.source("web-1", "orders.placed", aggregate.Counter, "1", "shop", "de")
	postgres := w.source("db-1", "process.memory.usage", aggregate.Gauge, "By", "process.executable.name", "postgres")
	backup := w.source("db-1", "process.memory.usage", aggregate.Gauge, "By", "process.executable.name", "backup")
	w.each(func(at time.Time, span time.Duration) {
		w.add(good, at, binOf(0.1), 98)
		w.add(bad, at, binOf(2), 2)
		w.add(search, at, binOf(0.05), 100)
		w.add(orders, at, 3*span.Minutes(), 1)
		w.add(postgres, at, 4e9, 1)
		w.add(backup, at, 1e8, 1)
	})
}

// addHub: what is stored is so within 0.5 s, and at times 2 s; of each minute one sample is refused.
func (w *analystWorld) addHub() {
	lag := w.source("telltale", "telltale.ingest.lag", aggregate.Distribution, "s")
	tooOld := w.source("telltale", "telltale.ingest.samples.refused", aggregate.Counter, "1", "reason", "too_old")
	tooNew := w.source("telltale", "telltale.ingest.samples.refused", aggregate.Counter, "1", "reason", "too_new")
	w.each(func(at time.Time, span time.Duration) {
		w.add(lag, at, binOf(0.5), 98)
		w.add(lag, at, binOf(2), 2)
		w.add(tooOld, at, span.Minutes(), 1)
		w.add(tooNew, at, 0, 1)
	})
}

// store writes the world as hubs do, and sums it up into the tiers.
func (w *analystWorld) store(s *analystStore) {
	s.t.Helper()
	s.storeSeries(w.sources...)
	s.storeRows(w.days, w.rows)
	for i := range tiers {
		t := &tiers[i]
		whole := Range{t.windowOf(w.now.AddDate(0, 0, -worldDays-1).UnixMilli()), t.windowOf(w.now.UnixMilli())}
		s.exec(recomputeSQL(t, whole, nil))
	}
	for agent, kernel := range map[string]string{"web-1": "6.1.0", "web-2": "6.1.0", "db-1": "6.12.0", "old-1": "5.10.0"} {
		var labels []string
		for i := 0; i < len(agentLabels[agent]); i += 2 {
			labels = append(labels, fmt.Sprintf("'%s', '%s'", agentLabels[agent][i], agentLabels[agent][i+1]))
		}
		seen, ahead := w.now, "NULL"
		if agent == "old-1" {
			seen = w.now.Add(-2 * time.Hour)
		}
		if agent == "web-2" {
			ahead = "1500"
		}
		s.exec(fmt.Sprintf(`INSERT INTO known_agents SELECT '%s', map(%s), map('os.type', 'linux', 'os.kernel.version', '%s', 'host.cpu.count', '4'),
			fromUnixTimestamp64Milli(%d), fromUnixTimestamp64Milli(%d), %s`,
			agent, strings.Join(labels, ", "), kernel, w.now.AddDate(0, 0, -worldDays).UnixMilli(), seen.UnixMilli(), ahead))
	}
	from, to := w.gap()
	s.exec(fmt.Sprintf(`INSERT INTO declared_gaps SELECT 'web-2', 'e', 1, 5, fromUnixTimestamp64Milli(%d), fromUnixTimestamp64Milli(%d), 300, 'spool_full',
		fromUnixTimestamp64Milli(%d)`, from.UnixMilli(), to.UnixMilli(), to.UnixMilli()))
}
