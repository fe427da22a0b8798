package history

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"golang.org/x/sync/errgroup"

	"telltale/aggregate"
)

// answering is one request on its way.
type answering struct {
	reader  *Reader
	windows windows
	queries map[string]aggregate.Query

	mu      sync.Mutex // guards what follows
	results map[string]aggregate.Columns
	values  int
}

// each answers the formulas, or the other queries, a few at once.
func (a *answering) each(ctx context.Context, formulas bool,
	answer func(context.Context, aggregate.Query) (aggregate.Columns, error),
) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxReads)
	for name, q := range a.queries {
		if formulas != (q.Expr != "") {
			continue
		}
		group.Go(func() error {
			columns, err := answer(ctx, q)
			if err != nil {
				return inQuery(name, err)
			}
			return a.add(name, columns)
		})
	}
	return group.Wait()
}

func inQuery(name string, err error) error {
	if wrong := (*aggregate.QueryError)(nil); errors.As(err, &wrong) {
		return &aggregate.QueryError{Key: name + "." + wrong.Key, Err: wrong.Err}
	}
	return fmt.Errorf("query %s: %w", name, err)
}

func (a *answering) add(name string, columns aggregate.Columns) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.values += len(columns.Groups) * a.windows.count(); a.values > maxValues {
		return errTooManyValues
	}
	a.results[name] = columns
	return nil
}

// metric answers a query on a metric.
func (a *answering) metric(ctx context.Context, q aggregate.Query) (aggregate.Columns, error) {
	found, err := a.reader.read(ctx, reading{query: withoutTop(q), windows: a.windows, best: q.Top})
	if err != nil {
		return aggregate.Columns{}, err
	}
	columns := a.columns(q, found)
	if q.Top == 0 {
		return columns, nil
	}
	if len(columns.Groups) > q.Top {
		columns.Groups, columns.Values = columns.Groups[:q.Top], columns.Values[:q.Top]
		others, err := a.others(ctx, q, columns.Groups)
		if err != nil {
			return aggregate.Columns{}, err
		}
		columns.Groups, columns.Values = append(columns.Groups, aggregate.Group{Other: true}), append(columns.Values, others)
	}
	return columns, nil
}

// others reads as one group the series that are in none of the top ones.
func (a *answering) others(ctx context.Context, q aggregate.Query, top []aggregate.Group) ([]float64, error) {
	found, err := a.reader.read(ctx, reading{query: withoutTop(q), windows: a.windows, except: top})
	if err != nil {
		return nil, err
	}
	values := a.missing()
	for _, g := range found {
		g.fill(values, a.windows)
	}
	return values, nil
}

func withoutTop(q aggregate.Query) aggregate.Query {
	q.Top = 0
	return q
}

// columns are the groups found, with a place for each window.
func (a *answering) columns(q aggregate.Query, found []groupValues) aggregate.Columns {
	var c aggregate.Columns
	if len(q.By) == 0 && len(found) == 0 {
		found = []groupValues{{}}
	}
	for _, g := range found {
		values := a.missing()
		if q.Agg == aggregate.AggCount && len(q.By) == 0 {
			clear(values) // an ungrouped count of nothing is 0
		}
		g.fill(values, a.windows)
		c.Groups, c.Values = append(c.Groups, g.group), append(c.Values, values)
	}
	return c
}

func (a *answering) missing() []float64 {
	values := make([]float64, a.windows.count())
	for i := range values {
		values[i] = math.NaN()
	}
	return values
}
