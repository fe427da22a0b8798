package history

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// tierQueryIDPrefix marks what is done for tiers. It may be ended at any moment and done again: nobody
// waits for it, and the doubt procedure has no part in it.
const tierQueryIDPrefix = "telltale-tier-"

// maxTierInsertRows bounds the memory that an insert takes.
const maxTierInsertRows = 100_000

// tierColumns are rows of a tier as they are sent.
type tierColumns struct {
	series, count            []uint64
	start                    []int64 // s
	bin, sum, min, max, last []float64
}

func newTierColumns(startSeconds int64, cells []cell) *tierColumns {
	n := len(cells)
	c := &tierColumns{
		series: make([]uint64, n), count: make([]uint64, n), start: make([]int64, n), bin: make([]float64, n),
		sum: make([]float64, n), min: make([]float64, n), max: make([]float64, n), last: make([]float64, n),
	}
	for i := range cells {
		cell := &cells[i]
		c.series[i], c.start[i], c.bin[i], c.count[i] = cell.series, startSeconds, cell.bin, cell.count
		c.sum[i], c.min[i], c.max[i], c.last[i] = cell.sum, cell.min, cell.max, cell.last
	}
	return c
}

// write inserts a window's rows into a tier, again and again until it succeeds or ctx ends.
func (f *filler) write(ctx context.Context, i int, window int64, cells []cell) error {
	for len(cells) > 0 {
		n := min(len(cells), maxTierInsertRows)
		columns := newTierColumns(window/1000, cells[:n])
		err := f.w.retry(ctx, func() error {
			err := f.insertRows(ctx, tiers[i].table, columns)
			if err != nil {
				f.failed(i, err)
			}
			return err
		})
		if err != nil {
			return err
		}
		f.w.metrics.tierRows.WithLabelValues(tiers[i].table).Add(float64(n))
		cells = cells[n:]
	}
	return nil
}

// insertRows sends columns to a tier once.
func (f *filler) insertRows(ctx context.Context, table string, c *tierColumns) error {
	ctx, cancel := context.WithTimeout(ctx, f.w.cfg.InsertTimeout)
	defer cancel()
	batch, err := f.w.conn.PrepareBatch(f.queryID(ctx), "INSERT INTO "+table+" (series, start, bin, count, sum, min, max, last)")
	if err != nil {
		return fmt.Errorf("prepare rows of %s: %w", table, err)
	}
	if err := appendColumns(batch, c.series, c.start, c.bin, c.count, c.sum, c.min, c.max, c.last); err != nil {
		return fmt.Errorf("prepare rows of %s: %w", table, err)
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("insert into %s: %w", table, err)
	}
	return f.w.syncTable(ctx, table)
}

// queryID names the next statement.
func (f *filler) queryID(ctx context.Context) context.Context {
	id := fmt.Sprintf("%s%d-%d", tierQueryIDPrefix, f.w.hub, f.statements.Add(1))
	return clickhouse.Context(ctx, clickhouse.WithQueryID(id))
}

// recordProgress writes how far each tier has followed this hub's blocks. A start reads it to learn
// which blocks may have brought what a tier lacks.
func (f *filler) recordProgress(ctx context.Context) error {
	var news []checkpoint
	f.mu.Lock()
	for i := range f.ledgers {
		if block := f.ledgers[i].complete(f.last); block != f.recorded[i] {
			news = append(news, checkpoint{tiers[i].table, f.w.hub, block})
			f.recorded[i] = block
		}
	}
	f.mu.Unlock()
	return f.w.retry(ctx, func() error { return f.record(ctx, news) })
}

// checkpoint is a row of tier_progress: the tier has all that the hub's blocks up to this one brought.
type checkpoint struct {
	tier       string
	hub, block uint32
}

func (f *filler) record(ctx context.Context, rows []checkpoint) error {
	if len(rows) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	batch, err := f.w.conn.PrepareBatch(f.queryID(ctx), "INSERT INTO tier_progress (tier, hub, block, updated)")
	if err != nil {
		return fmt.Errorf("prepare the tiers' progress: %w", err)
	}
	now := time.Now().UTC()
	for _, c := range rows {
		if err := batch.Append(c.tier, c.hub, c.block, now); err != nil {
			return fmt.Errorf("prepare the tiers' progress: %w", err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("record the tiers' progress: %w", err)
	}
	return f.w.syncTable(ctx, "tier_progress")
}
