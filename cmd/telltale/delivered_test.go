package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"telltale/ingest/wire"
)

// openHistory connects to the engine of the hub on the data directory as the hub itself does.
func openHistory(t *testing.T, data string) driver.Conn {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "engine.json"))
	if err != nil {
		t.Fatal(err)
	}
	var engine struct {
		Password string `json:"password"`
		TCPPort  int    `json:"tcp_port"`
	}
	if err := json.Unmarshal(text, &engine); err != nil {
		t.Fatal(err)
	}
	options, err := clickhouse.ParseDSN(fmt.Sprintf("clickhouse://telltale:%s@127.0.0.1:%d/telltale", engine.Password, engine.TCPPort))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// fact is one row that a tick must leave in history.
type fact struct {
	metric, lane string
	value        float64
	count        uint64
}

func appendFacts(dst []fact, samples []wire.Sample) []fact {
	for i := range samples {
		f := fact{metric: samples[i].Series.Metric, value: samples[i].Value, count: 1}
		for _, label := range samples[i].Series.Labels {
			f.lane = label.Value
		}
		if samples[i].Series.Kind != wire.Distribution {
			dst = append(dst, f)
			continue
		}
		for _, bin := range samples[i].Bins {
			f.value, f.count = wire.BinValue(bin.Key), uint64(bin.Count)
			dst = append(dst, f)
		}
	}
	return dst
}

// declared is a gap as history has it.
type declared struct {
	from, to int64 // milliseconds since the Unix epoch
	count    uint64
	reason   string
}

func (d declared) String() string {
	return fmt.Sprintf("gap %s from %s to %s, %d samples", d.reason, clockOf(d.from), clockOf(d.to), d.count)
}

func clockOf(ms int64) string { return time.UnixMilli(ms).UTC().Format("15:04:05.000") }

// delivery is what became of an agent's ticks.
type delivery struct {
	agent       string
	began       int64 // when the first tick was produced, ms
	ticks, lost int   // of the lost, none is stored, and a gap declares each
	gaps        []declared
	differences []string
}

func (d *delivery) differ(format string, args ...any) {
	d.differences = append(d.differences, d.agent+": "+fmt.Sprintf(format, args...))
}

// checkDelivery compares what agents have produced up to a time (milliseconds since the Unix epoch) with
// what history holds: each tick is there whole and once, or, where a gap declares it, not at all;
// and nothing is there that was not produced.
func checkDelivery(ctx context.Context, history driver.Conn, agents []*member, lanes int, until int64) ([]*delivery, error) {
	ids := make([]string, len(agents))
	records := make([][]int64, len(agents)) // read before the rows: those of later ticks are after the time
	for i, m := range agents {
		ids[i] = m.id
		var err error
		if records[i], err = readRecord(m.dir); err != nil {
			return nil, err
		}
	}
	gaps, err := readGaps(ctx, history, ids)
	if err != nil {
		return nil, err
	}
	rows, err := readFacts(ctx, history, ids, until)
	if err != nil {
		return nil, err
	}
	series := sequenceSeries(lanes)
	all := make([]*delivery, len(agents))
	for i, id := range ids {
		d := &delivery{agent: id, gaps: gaps[id]}
		if len(records[i]) > 0 {
			d.began = records[i][0]
		}
		all[i] = d
		for tick, ts := range records[i] {
			if ts <= until {
				d.ticks++
				key := rowTime{id, ts}
				d.checkTick(tick, ts, appendFacts(nil, appendTick(nil, series, int64(tick), ts)), rows[key])
				delete(rows, key)
			}
		}
		for key, facts := range rows {
			if key.agent == id {
				d.differ("%d rows at %s were never produced: %v", len(facts), clockOf(key.ts), facts)
			}
		}
	}
	return all, nil
}

// rowTime is the agent of a row, and its time in milliseconds since the Unix epoch.
type rowTime struct {
	agent string
	ts    int64
}

func (d *delivery) checkTick(tick int, ts int64, want []fact, got map[fact]int) {
	whole := 0
	for _, f := range want {
		switch n := got[f]; n {
		case 0:
		case 1:
			whole++
		default:
			d.differ("tick %d at %s is stored %d times: %v", tick, clockOf(ts), n, f)
		}
		delete(got, f)
	}
	for f := range got {
		d.differ("tick %d at %s has a row that was not produced: %v", tick, clockOf(ts), f)
	}
	switch {
	case whole == len(want):
	case whole > 0:
		d.differ("tick %d at %s is stored in part: %d of %d rows", tick, clockOf(ts), whole, len(want))
	case !d.declares(ts):
		d.differ("tick %d at %s is lost and not declared", tick, clockOf(ts))
	default:
		d.lost++
	}
}

func (d *delivery) declares(ts int64) bool {
	for _, g := range d.gaps {
		if g.from <= ts && ts <= g.to {
			return true
		}
	}
	return false
}

func readFacts(ctx context.Context, history driver.Conn, agents []string, until int64) (map[rowTime]map[fact]int, error) {
	found, err := history.Query(ctx, `SELECT agent, metric, labels['lane'], toUnixTimestamp64Milli(ts), value, toUInt64(count)
		FROM samples WHERE agent IN (?) AND metric IN (`+sequenceMetrics+`) AND toUnixTimestamp64Milli(ts) <= ?`, agents, until)
	if err != nil {
		return nil, fmt.Errorf("read the samples: %w", err)
	}
	defer func() { _ = found.Close() }()
	rows := make(map[rowTime]map[fact]int)
	for found.Next() {
		var key rowTime
		var f fact
		if err := found.Scan(&key.agent, &f.metric, &f.lane, &key.ts, &f.value, &f.count); err != nil {
			return nil, err
		}
		if rows[key] == nil {
			rows[key] = make(map[fact]int)
		}
		rows[key][f]++
	}
	return rows, found.Err()
}

func readGaps(ctx context.Context, history driver.Conn, agents []string) (map[string][]declared, error) {
	found, err := history.Query(ctx, `SELECT agent, toUnixTimestamp64Milli(start), toUnixTimestamp64Milli(end), count, toString(reason)
		FROM gaps WHERE agent IN (?) ORDER BY start`, agents)
	if err != nil {
		return nil, fmt.Errorf("read the gaps: %w", err)
	}
	defer func() { _ = found.Close() }()
	gaps := make(map[string][]declared)
	for found.Next() {
		var agent string
		var g declared
		if err := found.Scan(&agent, &g.from, &g.to, &g.count, &g.reason); err != nil {
			return nil, err
		}
		gaps[agent] = append(gaps[agent], g)
	}
	return gaps, found.Err()
}
