package history

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// kept is a table and how long its rows are.
type kept struct {
	table     string
	retention time.Duration
	// next is when the partition that begins at a day ends.
	next func(day time.Time) time.Time
}

func (c Config) kept() []kept {
	days := func(n int) func(time.Time) time.Time {
		return func(day time.Time) time.Time { return day.AddDate(0, 0, n) }
	}
	months := func(n int) func(time.Time) time.Time {
		return func(day time.Time) time.Time { return day.AddDate(0, n, 0) }
	}
	return []kept{
		{rawTable, c.Retention, days(1)},
		{tiers[0].table, c.Retention10s, days(1)},
		{tiers[1].table, c.Retention1m, days(7)},
		{tiers[2].table, c.Retention1h, months(1)},
		// By the month in which an event was recorded, which may be the one before it begins.
		{eventsTable, c.Retention1h, months(2)},
	}
}

// dropOld drops at most one partition of each table: the oldest, once all of it is past retention. There is
// no TTL, and one partition an hour at most: a clock that is wrong for a moment must not empty the history.
func (w *Writer) dropOld(ctx context.Context) {
	for _, k := range w.cfg.kept() {
		if err := w.dropBefore(ctx, k, time.Now().Add(-k.retention)); err != nil && !errors.Is(err, context.Canceled) {
			w.log.Warn("cannot drop old samples; it is tried again in an hour", "table", k.table, "error", err)
		}
	}
}

// dropBefore drops a table's oldest partition where that ends by the limit.
func (w *Writer) dropBefore(ctx context.Context, k kept, limit time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var parts uint64
	var oldest string
	err := w.conn.QueryRow(ctx, `SELECT count(), min(partition) FROM system.parts
		WHERE active AND database = currentDatabase() AND table = ?`, k.table).Scan(&parts, &oldest)
	if err != nil {
		return fmt.Errorf("find the oldest partition of %s: %w", k.table, err)
	}
	if parts == 0 {
		return nil
	}
	day, err := time.Parse(time.DateOnly, oldest)
	if err != nil {
		return fmt.Errorf("find the oldest partition of %s: %w", k.table, err)
	}
	if k.next(day).After(limit) {
		return nil
	}
	if err := w.conn.Exec(ctx, "ALTER TABLE "+k.table+" DROP PARTITION ?", oldest); err != nil {
		return fmt.Errorf("drop what %s has of %s: %w", k.table, oldest, err)
	}
	w.log.Info("dropped samples past their retention", "table", k.table, "begin", oldest)
	return nil
}
