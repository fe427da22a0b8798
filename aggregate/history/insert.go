package history

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column/orderedmap"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"telltale/aggregate"
)

// insert writes a block once, in the order that makes the rows the last step: what they refer to,
// the manifest, the rows with the marker.
func (w *Writer) insert(ctx context.Context, b *block, attempt int) error {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.InsertTimeout)
	defer cancel()
	steps := []struct {
		table string
		rows  int
		write func(context.Context, *block) (driver.Batch, error)
	}{
		{"known_series", len(b.series), w.seriesBatch},
		{"known_agents", len(b.agents), w.agentsBatch},
		{"declared_gaps", b.gaps(), w.gapsBatch},
		{"progress", len(b.manifest), w.manifestBatch},
		{rawTable, w.sorted.len(), w.rowsBatch},
	}
	for _, step := range steps {
		if step.rows == 0 {
			continue
		}
		err := w.insertStep(ctx, b, step.table, step.write, attempt)
		if err != nil && step.table == rawTable {
			return rowsError{err}
		}
		if err != nil {
			return err
		}
		if err := w.syncTable(ctx, step.table); err != nil {
			return err
		}
	}
	return nil
}

// rawTable is the one whose rows are a block's.
const rawTable = "raw"

func (w *Writer) insertStep(ctx context.Context, b *block, table string, write func(context.Context, *block) (driver.Batch, error), attempt int) error {
	id := fmt.Sprintf("%s%d-%d-%s-%d", queryIDPrefix, w.hub, b.number, table, attempt)
	batch, err := write(clickhouse.Context(ctx, clickhouse.WithQueryID(id)), b)
	if err != nil {
		return fmt.Errorf("prepare block %d for %s: %w", b.number, table, err)
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("insert block %d into %s: %w", b.number, table, err)
	}
	return nil
}

// queryIDPrefix marks our inserts, so that KILL QUERY finds them and nothing else.
const queryIDPrefix = "telltale-insert-"

// rowsBatch sends what number has sorted.
func (w *Writer) rowsBatch(ctx context.Context, b *block) (driver.Batch, error) {
	batch, err := w.conn.PrepareBatch(ctx, "INSERT INTO raw (day, series, ts, value, n)")
	if err != nil {
		return nil, err
	}
	day := make([]time.Time, w.sorted.len())
	for i := range day {
		day[i] = b.day
	}
	return batch, appendColumns(batch, day, w.sorted.series, w.sorted.ts, w.sorted.value, w.sorted.n)
}

func appendColumns(batch driver.Batch, columns ...any) error {
	for i, column := range columns {
		if err := batch.Column(i).Append(column); err != nil {
			_ = batch.Abort()
			return err
		}
	}
	return nil
}

func (w *Writer) manifestBatch(ctx context.Context, b *block) (driver.Batch, error) {
	batch, err := w.conn.PrepareBatch(ctx, "INSERT INTO progress (agent, epoch, version, hub, block, from_seq, to_seq, updated)")
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	for i := range b.manifest {
		m := &b.manifest[i]
		if err := batch.Append(m.agent, m.epoch, m.version, w.hub, b.number, m.fromSeq, m.toSeq, now); err != nil {
			return nil, err
		}
	}
	return batch, nil
}

func (w *Writer) seriesBatch(ctx context.Context, b *block) (driver.Batch, error) {
	batch, err := w.conn.PrepareBatch(ctx, "INSERT INTO known_series (metric, agent, id, kind, unit, labels, interval_ms, first_seen)")
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	for _, s := range b.series {
		err := batch.Append(s.Metric, s.Label(aggregate.AgentLabel), s.ID, s.Kind.String(), s.Unit,
			orderedmap.FromMap(ownLabels(s)), uint32(s.Interval.Milliseconds()), now)
		if err != nil {
			return nil, err
		}
	}
	return batch, nil
}

// ownLabels is a series' labels without the agent, which has a column of its own.
func ownLabels(s *aggregate.Series) map[string]string {
	labels := make(map[string]string, len(s.Labels))
	for _, l := range s.Labels {
		if l.Name != aggregate.AgentLabel {
			labels[l.Name] = l.Value
		}
	}
	return labels
}

func (w *Writer) agentsBatch(ctx context.Context, b *block) (driver.Batch, error) {
	batch, err := w.conn.PrepareBatch(ctx, "INSERT INTO known_agents (agent, labels, attributes, first_seen, updated, clock_offset_ms)")
	if err != nil {
		return nil, err
	}
	for i := range b.agents {
		a := &b.agents[i]
		// Maps compare in the order of their keys in SQL, so equal ones are written alike.
		labels, attributes := orderedmap.FromMap(a.labels), orderedmap.FromMap(a.attributes)
		if err := batch.Append(a.agent, labels, attributes, a.firstSeen, a.updated, a.clockOffsetMS); err != nil {
			return nil, err
		}
	}
	return batch, nil
}

func (b *block) gaps() int {
	n := 0
	for i := range b.passes {
		if b.passes[i].gap != nil {
			n++
		}
	}
	return n
}

func (w *Writer) gapsBatch(ctx context.Context, b *block) (driver.Batch, error) {
	batch, err := w.conn.PrepareBatch(ctx, "INSERT INTO declared_gaps (agent, epoch, from_seq, to_seq, start, end, count, reason, declared)")
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	for i := range b.passes {
		g := b.passes[i].gap
		if g == nil {
			continue
		}
		if err := batch.Append(g.Agent, g.Epoch, g.Seq, g.ToSeq, time.UnixMilli(g.From).UTC(), time.UnixMilli(g.To).UTC(), g.Count, g.Reason, now); err != nil {
			return nil, err
		}
	}
	return batch, nil
}

// syncTable makes a part's rename last through a power cut: with both fsync settings on, the
// server syncs the part and its files but not the folder of the table it is renamed into.
func (w *Writer) syncTable(ctx context.Context, table string) error {
	if w.server == nil {
		return nil
	}
	paths, known := w.folders.Load(table)
	if !known {
		var found []string
		err := w.conn.QueryRow(ctx, "SELECT data_paths FROM system.tables WHERE database = ? AND name = ?", w.database, table).Scan(&found)
		if err != nil {
			return fmt.Errorf("find the folder of table %s: %w", table, err)
		}
		w.folders.Store(table, found)
		paths = found
	}
	for _, path := range paths.([]string) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(w.server.StorePath(), path)
		}
		if err := syncFolder(path); err != nil {
			return fmt.Errorf("sync table %s: %w", table, err)
		}
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }()
	return folder.Sync()
}
