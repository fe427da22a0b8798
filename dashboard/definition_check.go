package dashboard

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"telltale/aggregate"
)

var (
	formats = []string{"percent", "bytes", "bytes_per_second", "number", "duration"}
	betters = []string{"lower", "higher", "none"}
)

// validate checks all that the page and the live state rely on.
func (d definition) validate() error {
	if d.Title == "" || d.StepMS <= 0 || d.RangeMS < d.StepMS {
		return errors.New("give a title, a step_ms, and a range_ms not shorter than it")
	}
	if err := aggregate.ValidateQueries(d.Queries); err != nil {
		return fmt.Errorf("queries: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Queries)) {
		if step := d.Queries[name].Step; int64(step) != d.StepMS {
			return fmt.Errorf("queries: %s.step is %v: a dashboard has one step, that of step_ms", name, step)
		}
	}
	check := definitionCheck{queries: d.Queries, used: map[string]bool{}}
	check.comparisons(d)
	check.tiles(d.Tiles)
	check.trends(d.Trends)
	check.table(d.Table)
	check.storage(d.Storage)
	check.unused()
	return errors.Join(check.errs...)
}

// definitionCheck collects what is wrong between the parts of a definition.
type definitionCheck struct {
	queries map[string]aggregate.Query
	used    map[string]bool
	errs    []error
}

func (c *definitionCheck) fail(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf(format, args...))
}

func (c *definitionCheck) query(at, name string) aggregate.Query {
	q, known := c.queries[name]
	if !known {
		c.fail("%s: there is no query %q", at, name)
	}
	c.used[name] = true
	return q
}

func (c *definitionCheck) format(at, name string) {
	if !slices.Contains(formats, name) {
		c.fail("%s: unknown format %q: use one of %v", at, name, formats)
	}
}

func (c *definitionCheck) tiles(tiles []tile) {
	seen := map[string]bool{}
	for _, t := range tiles {
		at := "tile " + t.ID
		if t.ID == "" || t.Title == "" || seen[t.ID] {
			c.fail("%s: give a title, and an id that no other tile has", at)
		}
		seen[t.ID] = true
		if !slices.Contains(betters, t.Better) {
			c.fail("%s: unknown better %q: use one of %v", at, t.Better, betters)
		}
		c.format(at, t.Format)
		if q := c.query(at, t.Query); len(q.By) > 0 {
			c.fail("%s: query %s has groups, and a tile shows one number", at, t.Query)
		}
	}
}

var placeholder = regexp.MustCompile(`\{([^}]*)\}`)

func (c *definitionCheck) trends(trends []trend) {
	seen := map[string]bool{}
	for _, t := range trends {
		at := "trend " + t.ID
		if t.ID == "" || t.Title == "" || seen[t.ID] || len(t.Lines) == 0 {
			c.fail("%s: give a title, lines, and an id that no other trend has", at)
		}
		seen[t.ID] = true
		c.format(at, t.Format)
		for _, l := range t.Lines {
			q := c.query(at, l.Query)
			for _, name := range placeholder.FindAllStringSubmatch(l.Label, -1) {
				if !slices.Contains(q.By, name[1]) {
					c.fail("%s: label %q names %q, by which query %s does not group", at, l.Label, name[1], l.Query)
				}
			}
		}
	}
}

func (c *definitionCheck) table(t *table) {
	if t == nil {
		return
	}
	if t.Title == "" || t.Row == "" || len(t.Columns) == 0 {
		c.fail("table: give a title, row and columns")
	}
	for _, column := range t.Columns {
		at := "column " + column.Title
		c.format(at, column.Format)
		if q := c.query(at, column.Query); !slices.Equal(q.By, []string{t.Row}) {
			c.fail("%s: query %s groups by %v, the rows are by %s", at, column.Query, q.By, t.Row)
		}
	}
}

func (c *definitionCheck) storage(s *storage) {
	if s == nil {
		return
	}
	if q := c.query("storage.behind", s.Behind); !slices.Equal(q.By, []string{"reason"}) {
		c.fail("storage.behind: query %s groups by %v: group it by reason", s.Behind, q.By)
	}
	for at, name := range map[string]string{"storage.backlog": s.Backlog, "storage.senders": s.Senders} {
		if q := c.query(at, name); len(q.By) > 0 {
			c.fail("%s: query %s has groups, and is to be one number", at, name)
		}
	}
}

// unused finds queries that nothing shows: they would be computed each second all the same.
func (c *definitionCheck) unused() {
	for name := range c.used {
		if expression, err := aggregate.ParseExpression(c.queries[name].Expr); err == nil {
			for _, operand := range expression.Queries() {
				c.used[operand] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.queries)) {
		if !c.used[name] {
			c.fail("query %s: nothing shows it", name)
		}
	}
}

// comparisons checks what tiles and trends are compared with. Both compare one number with one.
func (c *definitionCheck) comparisons(d definition) {
	if _, err := aggregate.LoadZone(d.Timezone); err != nil {
		c.fail("%w", err)
	}
	for _, t := range d.Tiles {
		c.shift("tile "+t.ID, t.Compare)
	}
	for _, t := range d.Trends {
		if t.Compare == "" {
			continue
		}
		at := "trend " + t.ID
		c.shift(at, t.Compare)
		if n := d.RangeMS / d.StepMS; n > trendWindows {
			c.fail("%s: range_ms has %d windows, which is too many to compare: the limit is %d", at, n, trendWindows)
		}
		for _, l := range t.Lines {
			if len(c.queries[l.Query].By) > 0 {
				c.fail("%s: compare: query %s has groups, and one line is compared with one", at, l.Query)
			}
		}
	}
}

func (c *definitionCheck) shift(at, shift string) {
	if shift == "" {
		return
	}
	if _, err := aggregate.NewComparison(shift, ""); err != nil {
		c.fail("%s: %w", at, err)
	}
}
