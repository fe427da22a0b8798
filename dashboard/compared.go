package dashboard

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"telltale/aggregate"
)

const (
	compareEvery = time.Minute
	// compareAhead is how far ahead of the clock windows are compared, since the windows of yesterday are known: until the next
	// answer is there.
	compareAhead = compareEvery + 15*time.Second
	// tileWindows is how many windows a tile's comparison is made of: those of a minute, at a step of a second.
	tileWindows = 60
	// trendWindows bounds those of a trend's, all of which a snapshot holds.
	trendWindows = 1000
)

// comparison is what the windows of a topic are compared with. History is asked for it once a minute, however many watch.
type comparison struct {
	queries map[string]aggregate.Query
	asks    map[string]comparisonAsk // by shift
	step    aggregate.Step
	keep    int // windows

	mu     sync.Mutex // guards what follows
	asking bool
	asked  time.Time // when last; zero: never
	known  pastRows
	unsaid pastRows // of known, what no tick has carried
}

// comparisonAsk is the queries, by name, that one shift is for.
type comparisonAsk struct {
	aggregate.Comparison
	names []string // sorted
}

// pastRows is what consecutive windows are compared with: by shift and query, a value for each window; queries without any are
// left out. The windows are named by their own ends.
type pastRows struct {
	since, until int64                           // ms; until is before since where there are none
	rows         map[string]map[string][]float64 // read-only
}

// comparison returns what the dashboard compares, nil for nothing. The definition is valid.
func (d definition) comparison() *comparison {
	c := &comparison{queries: d.Queries, asks: map[string]comparisonAsk{}, step: aggregate.Step(d.StepMS), keep: tileWindows}
	for _, t := range d.Tiles {
		c.ask(t.Compare, d.Timezone, t.Query)
	}
	for _, t := range d.Trends {
		for _, l := range t.Lines {
			if t.Compare != "" {
				c.ask(t.Compare, d.Timezone, l.Query)
				c.keep = int(d.RangeMS / d.StepMS)
			}
		}
	}
	if len(c.asks) == 0 {
		return nil
	}
	return c
}

func (c *comparison) ask(shift, zone, query string) {
	if shift == "" {
		return
	}
	a, known := c.asks[shift]
	if !known {
		a.Comparison, _ = aggregate.NewComparison(shift, zone) // a valid definition names none that is unknown
	}
	if i, has := slices.BinarySearch(a.names, query); !has {
		a.names = slices.Insert(a.names, i, query)
	}
	c.asks[shift] = a
}

// key is the same for comparisons that mean the same; "" for none.
func (c *comparison) key() string {
	if c == nil {
		return ""
	}
	var key strings.Builder
	for _, shift := range slices.Sorted(maps.Keys(c.asks)) {
		fmt.Fprintf(&key, "%v: %q, %d windows\n", c.asks[shift].Comparison, c.asks[shift].names, c.keep)
	}
	return key.String()
}

// begin says whether it is time to ask; then the caller does.
func (c *comparison) begin(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asking || now.Sub(c.asked).Abs() < compareEvery {
		return false
	}
	c.asking, c.asked = true, now
	return true
}

// update asks history for the windows that are not known yet.
func (c *comparison) update(ctx context.Context, h History, now time.Time) error {
	c.mu.Lock()
	known := c.known
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.asking = false
		c.mu.Unlock()
	}()
	newest := c.step.WindowEnd(now.UnixMilli()) - int64(c.step)
	oldest := newest - int64(c.keep-1)*int64(c.step)
	until := c.step.WindowEnd(now.Add(compareAhead).UnixMilli() - 1)
	if known.until < oldest || known.until > until { // nothing is known, or the clock has jumped
		known = pastRows{since: oldest, until: oldest - int64(c.step)}
	}
	fresh := pastRows{since: known.until + int64(c.step), until: until, rows: map[string]map[string][]float64{}}
	if fresh.until < fresh.since {
		return nil
	}
	for shift, ask := range c.asks {
		rows, err := c.askShift(ctx, h, ask, fresh.ends(c.step))
		if err != nil {
			return fmt.Errorf("ask what is compared by %s: %w", shift, err)
		}
		if len(rows) > 0 {
			fresh.rows[shift] = rows
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = known.join(fresh, c.step).from(oldest, c.step)
	if len(c.unsaid.rows) > 0 { // no tick has carried the last answer
		fresh = c.known
	}
	c.unsaid = fresh
	return nil
}

// askShift returns the rows of the queries that have a value. What adds up within a window is not compared with a longer one.
func (c *comparison) askShift(ctx context.Context, h History, ask comparisonAsk, ends []int64) (map[string][]float64, error) {
	results, used, err := askBefore(ctx, h, withOperands(c.queries, ask.names), c.step, ask.Comparison, ends)
	if err != nil {
		return nil, err
	}
	rows := map[string][]float64{}
	for _, name := range ask.names {
		columns := results[name]
		if used != c.step && !c.queries[name].Steady(c.queries) || len(columns.Values) == 0 {
			continue
		}
		if row := columns.Values[0]; slices.ContainsFunc(row, isPresent) {
			rows[name] = row
		}
	}
	return rows, nil
}

func isPresent(v float64) bool { return !math.IsNaN(v) }

// withOperands are the queries of these names, and those that arithmetic among them names.
func withOperands(queries map[string]aggregate.Query, names []string) map[string]aggregate.Query {
	some := map[string]aggregate.Query{}
	for _, name := range names {
		some[name] = queries[name]
		if e, err := aggregate.ParseExpression(queries[name].Expr); err == nil {
			for _, operand := range e.Queries() {
				some[operand] = queries[operand]
			}
		}
	}
	return some
}

// news returns what no tick has carried yet, for the one that now does.
func (c *comparison) news() pastRows {
	if c == nil {
		return pastRows{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := c.unsaid
	c.unsaid = pastRows{}
	return fresh
}

// all returns what is known, for a snapshot.
func (c *comparison) all() pastRows {
	if c == nil {
		return pastRows{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known
}
