package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"telltale/aggregate"
)

// windows are those of an answer, counted since the Unix epoch: window w is [w*step, (w+1)*step) ms.
type windows struct {
	step        aggregate.Step
	first, last int64
}

// count is the number of windows, which may be 0.
func (w windows) count() int { return int(w.last - w.first + 1) }

// span is their time, with so many windows before.
func (w windows) span(before int64) Range {
	return Range{max(0, w.first-before) * int64(w.step), (w.last + 1) * int64(w.step)}
}

// ends are the windows' names, oldest first.
func (w windows) ends() []int64 {
	ends := make([]int64, 0, w.count())
	for window := w.first; window <= w.last; window++ {
		ends = append(ends, (window+1)*int64(w.step))
	}
	return ends
}

// reading is what is read at once: a query on a metric, without its top.
type reading struct {
	query   aggregate.Query // normal
	windows windows

	renamed bool // series may have two ids: see matching

	best   int               // so many groups, those with the greatest sums over the windows, best first; 0: all
	except []aggregate.Group // these groups are left out, and the series of the others read as one group
}

// groupValues is one group of a reading.
type groupValues struct {
	group   aggregate.Group
	place   uint32  // in the order of groups
	windows []int64 // in which the group has a value, in any order
	values  []float64
}

// fill writes the values to their windows' places.
func (g groupValues) fill(places []float64, w windows) {
	for i, window := range g.windows {
		places[window-w.first] = g.values[i]
	}
}

// read returns the groups of a reading that have a value, in their order; where it asks for the best, those and one more.
func (r *Reader) read(ctx context.Context, rd reading) ([]groupValues, error) {
	if rd.windows.count() == 0 {
		return nil, nil
	}
	key := fmt.Sprintf("%v %d..%d best %d except %s", rd.query, rd.windows.first, rd.windows.last, rd.best, groupKeys(rd.except))
	if groups, has := r.cache.get(key, r.tierStates()); has {
		return groups, nil
	}
	return r.flights.do(ctx, key, func(ctx context.Context) ([]groupValues, error) {
		if err := r.turn(ctx); err != nil {
			return nil, err
		}
		defer func() { <-r.turns }()
		began := time.Now()
		states := r.tierStates()
		groups, span, err := r.run(ctx, rd, states)
		r.metrics.seconds.Observe(time.Since(began).Seconds())
		if err == nil && settled(span, states) && settled(span, r.tierStates()) {
			r.cache.put(key, span, groups)
		}
		return groups, r.explain(ctx, err)
	})
}

// turn waits until a statement may run.
func (r *Reader) turn(ctx context.Context) error {
	if r.metrics.waiting.Add(1) > maxWaiting {
		r.metrics.waiting.Add(-1)
		r.metrics.refused.Inc()
		return errBusy
	}
	defer r.metrics.waiting.Add(-1)
	select {
	case r.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run also returns the span of time that it has read.
func (r *Reader) run(ctx context.Context, rd reading, states []TierState) ([]groupValues, Range, error) {
	m, err := r.lookup(ctx, rd)
	if err != nil {
		return nil, Range{}, err
	}
	span := rd.windows.span(m.longest)
	if len(m.id) == 0 {
		return nil, span, nil
	}
	table, err := m.table()
	if err != nil {
		return nil, span, fmt.Errorf("make the table of %d series: %w", len(m.id), err)
	}
	most := maxValues / rd.windows.count()
	wanted := most + 1
	if rd.best > 0 {
		wanted = min(wanted, rd.best+1)
	}
	rd.renamed = m.renamed
	var groups []groupValues
	parts := cover(r.tables, states, rd.windows.step, span, time.Now().UnixMilli())
	err = r.rows(ctx, compile(rd, parts, m.longest, wanted), table, func(rows driver.Rows) error {
		var g groupValues
		if err := rows.Scan(&g.place, &g.windows, &g.values); err != nil {
			return err
		}
		g.group = m.groups[g.place]
		groups = append(groups, g)
		return nil
	})
	if err == nil && len(groups) > most {
		err = errTooManyValues
	}
	if rd.best == 0 {
		slices.SortFunc(groups, func(a, b groupValues) int { return cmp.Compare(a.place, b.place) })
	}
	return groups, span, err
}

// rows runs a statement, with a table that it may name, and scans its rows.
func (r *Reader) rows(ctx context.Context, s statement, table *ext.Table, scan func(driver.Rows) error) error {
	if table != nil {
		ctx = clickhouse.Context(ctx, clickhouse.WithExternalTable(table))
	}
	rows, err := r.conn.Query(ctx, s.text, s.parameters...)
	if err != nil {
		return fmt.Errorf("query history: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("query history: %w", err)
	}
	return nil
}
