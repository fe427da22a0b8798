package history

import (
	"context"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// PartsHealth is how ClickHouse comes along with merging what is inserted.
type PartsHealth struct {
	Active uint64 // parts in all

	Most          uint64 // parts of one partition: the one with most
	MostTable     string
	MostPartition string
	Delayed       uint64 // from so many parts of a partition on, inserts are slowed down
	Refused       uint64 // and from so many on they are refused

	Merges        uint64 // that run
	LongestMerge  time.Duration
	LongestTable  string
	Mutations     uint64 // that are not done
	OldestSince   time.Time
	MutationError string // why one of them fails; "": none does

	Detached []DetachedParts
}

// DetachedParts are parts that ClickHouse, or somebody, has set aside: they are not read.
type DetachedParts struct {
	Table, Reason string // no reason: somebody did it
	Parts         uint64
}

// TableHealth is the size of one of the tables that grow.
type TableHealth struct {
	Name  string
	Bytes uint64
	Rows  uint64
	Since time.Time // what it holds was stored since
}

func (e *examination) parts(ctx context.Context) error {
	p := &e.Parts
	err := e.conn.QueryRow(ctx, `SELECT sum(n), max(n), argMax(table, n), argMax(partition, n)
		FROM (SELECT table, partition, count() AS n FROM system.parts WHERE active AND database = ? GROUP BY table, partition)`, e.database).
		Scan(&p.Active, &p.Most, &p.MostTable, &p.MostPartition)
	if err != nil {
		return err
	}
	return e.conn.QueryRow(ctx, `SELECT sumIf(toUInt64(value), name = 'parts_to_delay_insert'), sumIf(toUInt64(value), name = 'parts_to_throw_insert')
		FROM system.merge_tree_settings WHERE name IN ('parts_to_delay_insert', 'parts_to_throw_insert')`).Scan(&p.Delayed, &p.Refused)
}

func (e *examination) merges(ctx context.Context) error {
	p, seconds := &e.Parts, 0.0
	err := e.conn.QueryRow(ctx, "SELECT count(), max(elapsed), argMax(table, elapsed) FROM system.merges WHERE database = ? AND NOT is_mutation",
		e.database).Scan(&p.Merges, &seconds, &p.LongestTable)
	p.LongestMerge = time.Duration(seconds * float64(time.Second))
	return err
}

func (e *examination) mutations(ctx context.Context) error {
	p := &e.Parts
	return e.conn.QueryRow(ctx, "SELECT count(), min(create_time), anyIf(latest_fail_reason, latest_fail_reason != '') "+
		"FROM system.mutations WHERE database = ? AND NOT is_done", e.database).Scan(&p.Mutations, &p.OldestSince, &p.MutationError)
}

func (e *examination) detached(ctx context.Context) error {
	query := "SELECT table, ifNull(reason, '') AS why, count() FROM system.detached_parts WHERE database = ? GROUP BY table, why ORDER BY table, why"
	return e.each(ctx, query, []any{e.database}, func(rows driver.Rows) error {
		var d DetachedParts
		err := rows.Scan(&d.Table, &d.Reason, &d.Parts)
		e.Parts.Detached = append(e.Parts.Detached, d)
		return err
	})
}

// tables reads how large the tables are that retention bounds. Their partitions are named by their first day.
func (e *examination) tables(ctx context.Context) error {
	var first time.Time
	if err := e.conn.QueryRow(ctx, "SELECT min(first_seen) FROM "+e.table("known_series")).Scan(&first); err != nil {
		return err
	}
	names := []string{rawTable}
	for _, t := range tiers {
		names = append(names, t.table)
	}
	query := `SELECT table, sum(bytes_on_disk), sum(rows), min(partition) FROM system.parts
		WHERE active AND database = ? AND table IN (?) GROUP BY table ORDER BY table`
	return e.each(ctx, query, []any{e.database, names}, func(rows driver.Rows) error {
		var t TableHealth
		var oldest string
		if err := rows.Scan(&t.Name, &t.Bytes, &t.Rows, &oldest); err != nil {
			return err
		}
		begin, err := time.Parse(time.DateOnly, oldest)
		if err != nil {
			return err
		}
		t.Since = begin
		if first.After(begin) {
			t.Since = first
		}
		e.Tables = append(e.Tables, t)
		return nil
	})
}
