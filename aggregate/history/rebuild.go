package history

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// RebuildProgress is one statement of a rebuild that is done.
type RebuildProgress struct {
	Tier     string // its table
	From, To time.Time
	Took     time.Duration
	Percent  int // of the whole rebuild
}

// rebuildSpan is the time that one statement of a rebuild recomputes, at most.
const rebuildSpan = time.Hour

// Rebuild recomputes the windows of all tiers that the range [from, to) touches and that have ended, the
// finest tier first. A window of which raw has fewer samples than the tier counts stays as it is. It may run
// beside hubs, and be repeated; report is called after each statement.
func Rebuild(ctx context.Context, o *clickhouse.Options, from, to time.Time, report func(RebuildProgress)) error {
	conn, err := clickhouse.Open(writerOptions(o))
	if err != nil {
		return fmt.Errorf("open history: %w", err)
	}
	defer func() { _ = conn.Close() }()

	ended := time.Now().Add(-time.Minute).UnixMilli()
	var jobs []repair
	for i := range tiers {
		t := &tiers[i]
		r := t.cover(Range{from.UnixMilli(), to.UnixMilli()})
		r.To = min(r.To, t.windowOf(ended))
		span := max(rebuildSpan.Milliseconds(), 24*t.step)
		for at := r.From; at < r.To; {
			next := min(floorTo(at, span)+span, r.To)
			jobs = append(jobs, repair{Range: Range{at, next}, tier: i})
			at = next
		}
	}
	for done, job := range jobs {
		t := &tiers[job.tier]
		began := time.Now()
		if err := conn.Exec(ctx, recomputeSQL(t, job.Range, nil)); err != nil {
			return fmt.Errorf("rebuild %s from %s on: %w", t.table, time.UnixMilli(job.From).UTC().Format(time.DateTime), err)
		}
		report(RebuildProgress{
			Tier: t.table, From: time.UnixMilli(job.From), To: time.UnixMilli(job.To),
			Took: time.Since(began), Percent: (done + 1) * 100 / len(jobs),
		})
	}
	return nil
}
