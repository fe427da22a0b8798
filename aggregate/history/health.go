package history

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Health is what ClickHouse tells of itself and of the history in it: figures, no verdicts.
type Health struct {
	Version    string        // ClickHouse's, such as 26.7.2.1
	ClockAhead time.Duration // ClickHouse's clock less that of this process, with an error of half of RoundTrip
	RoundTrip  time.Duration

	MemoryBytes      int64  // that ClickHouse has taken, as it counts
	MemoryLimitBytes uint64 // 0: none
	MemoryOf         string // the shard that has the least left; "": there are none

	DiskFreeBytes, DiskTotalBytes uint64 // of its disk with the least room
	DiskOf                        string // the shard that has this disk; "": there are none

	Schema Schema
	Parts  PartsHealth
	Tables []TableHealth // of the shard that has this disk
	Agents []AgentHealth `json:"-"` // by id; many
	Gaps   []GapCount    // declared within the last day, those of most samples first, at most maxGapCounts; nil: not known

	// Unknown are the parts of this that could not be read, each with the reason.
	Unknown []string
}

// Schema compares the history's schema with that of this program.
type Schema struct {
	Applied uint32 // the newest migration that the history has had; 0: none
	Known   uint32 // the newest one that this program has
	Pending int    // migrations of this program that the history has not had, as they are now
}

// AgentHealth is an agent as history knows it.
type AgentHealth struct {
	ID          string
	LastSeen    time.Time
	Interval    time.Duration  // the shortest of its series
	ClockOffset *time.Duration // as it was measured last; nil: never
}

// GapCount is what one agent declared lost for one reason.
type GapCount struct {
	Agent, Reason string
	Gaps, Samples uint64
}

const maxGapCounts = 100

// Examine reads what ClickHouse at o tells. It changes nothing, and needs neither a Writer nor the tables: what they
// are needed for is in Unknown where they are missing. The error says that ClickHouse did not answer.
func Examine(ctx context.Context, o *clickhouse.Options) (*Health, error) {
	own := readerOptions(o)
	own.Auth.Database = "" // it may not be there yet
	conn, err := clickhouse.Open(own)
	if err != nil {
		return nil, fmt.Errorf("open ClickHouse: %w", err)
	}
	defer func() { _ = conn.Close() }()
	e := &examination{conn: conn, database: o.Auth.Database}
	if err := e.server(ctx); err != nil {
		return nil, fmt.Errorf("ask ClickHouse: %w", err)
	}
	for _, part := range []struct {
		name string
		read func(context.Context) error
	}{
		{"memory", e.memory}, {"disks", e.disks}, {"schema", e.schema}, {"parts", e.parts}, {"merges", e.merges},
		{"mutations", e.mutations}, {"detached parts", e.detached}, {"growth", e.tables}, {"agents", e.agents}, {"gaps", e.gaps},
	} {
		if err := part.read(ctx); err != nil {
			e.Unknown = append(e.Unknown, part.name+": "+err.Error())
		}
	}
	return &e.Health, nil
}

// examination is a Health in the making.
type examination struct {
	Health
	conn     driver.Conn
	database string
}

// table is a table's or view's full name.
func (e *examination) table(name string) string { return quoteIdentifier(e.database) + "." + name }

func (e *examination) server(ctx context.Context) error {
	if err := e.conn.Ping(ctx); err != nil { // so that connecting is not in the round trip
		return err
	}
	var ms int64
	sent := time.Now()
	if err := e.conn.QueryRow(ctx, "SELECT version(), toUnixTimestamp64Milli(now64(3))").Scan(&e.Version, &ms); err != nil {
		return err
	}
	e.RoundTrip = time.Since(sent)
	e.ClockAhead = time.UnixMilli(ms).Sub(sent.Add(e.RoundTrip / 2)).Round(time.Millisecond)
	return nil
}

func (e *examination) memory(ctx context.Context) error {
	return e.conn.QueryRow(ctx, `SELECT (SELECT value FROM system.metrics WHERE metric = 'MemoryTracking'),
		(SELECT toUInt64(value) FROM system.server_settings WHERE name = 'max_server_memory_usage')`).Scan(&e.MemoryBytes, &e.MemoryLimitBytes)
}

func (e *examination) disks(ctx context.Context) error {
	return e.conn.QueryRow(ctx, "SELECT min(unreserved_space), argMin(total_space, unreserved_space) FROM system.disks").
		Scan(&e.DiskFreeBytes, &e.DiskTotalBytes)
}

// SchemaVersion is that of the newest migration of this program.
func SchemaVersion() uint32 {
	migrations, err := readMigrations(migrationFiles)
	if err != nil {
		panic(fmt.Sprintf("the program's own migrations: %v", err))
	}
	return newestOf(migrations)
}

func newestOf(migrations []migration) uint32 { return migrations[len(migrations)-1].version }

func (e *examination) schema(ctx context.Context) error {
	migrations, err := readMigrations(migrationFiles)
	if err != nil {
		return err
	}
	e.Schema.Known, e.Schema.Pending = newestOf(migrations), len(migrations)
	applied, err := e.appliedMigrations(ctx)
	if err != nil {
		return err
	}
	e.Schema.Applied = maxVersion(applied)
	for _, m := range migrations {
		if applied[m.version] == m.checksum {
			e.Schema.Pending--
		}
	}
	return nil
}

func (e *examination) appliedMigrations(ctx context.Context) (map[uint32]string, error) {
	applied := map[uint32]string{}
	var tables uint64
	err := e.conn.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = ? AND name = 'migrations'", e.database).Scan(&tables)
	if err != nil || tables == 0 {
		return applied, err
	}
	return applied, e.each(ctx, "SELECT version, checksum FROM "+e.table("migrations")+" FINAL", nil, func(rows driver.Rows) error {
		var version uint32
		var checksum string
		err := rows.Scan(&version, &checksum)
		applied[version] = checksum
		return err
	})
}

func (e *examination) agents(ctx context.Context) error {
	query := `SELECT agent, last_seen, interval_ms, clock_offset_ms FROM ` + e.table("agents") + ` AS known
		LEFT JOIN (SELECT agent, min(interval_ms) AS interval_ms FROM ` + e.table("known_series") + ` GROUP BY agent) AS series USING (agent)
		ORDER BY agent LIMIT ?`
	return e.each(ctx, query, []any{maxAgents}, func(rows driver.Rows) error {
		var a AgentHealth
		var intervalMS uint32
		var ahead *int32
		if err := rows.Scan(&a.ID, &a.LastSeen, &intervalMS, &ahead); err != nil {
			return err
		}
		a.Interval = time.Duration(intervalMS) * time.Millisecond
		if ahead != nil {
			offset := time.Duration(*ahead) * time.Millisecond
			a.ClockOffset = &offset
		}
		e.Agents = append(e.Agents, a)
		return nil
	})
}

func (e *examination) gaps(ctx context.Context) error {
	query := `SELECT agent, reason, count(), sum(count) AS samples FROM ` + e.table("gaps") + `
		WHERE declared > now() - INTERVAL 1 DAY GROUP BY agent, reason ORDER BY samples DESC, agent LIMIT ?`
	gaps := []GapCount{}
	err := e.each(ctx, query, []any{maxGapCounts}, func(rows driver.Rows) error {
		var g GapCount
		err := rows.Scan(&g.Agent, &g.Reason, &g.Gaps, &g.Samples)
		gaps = append(gaps, g)
		return err
	})
	if err == nil {
		e.Gaps = gaps
	}
	return err
}

func (e *examination) each(ctx context.Context, query string, parameters []any, scan func(driver.Rows) error) error {
	rows, err := e.conn.Query(ctx, query, parameters...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
