package history

import (
	"slices"
	"time"

	"telltale/aggregate"
)

// ReaderConfig tells a Reader which tables it may read for which times.
type ReaderConfig struct {
	// Tiers returns the present state of each tier, the finest first; none while raw alone can be trusted. It is
	// called from any goroutine for each reading, so it must be cheap. Nil: there are no tiers.
	Tiers func() []TierState

	Cluster bool // what is read is on several servers, of which one may not be ready

	// How long each table is kept. Zero: for ever.
	KeptRaw, Kept10s, Kept1m, Kept1h time.Duration
}

// table is raw, or a tier of it.
type table struct {
	name string
	step aggregate.Step // of a tier; 0 of raw
	kept int64          // ms
}

// tables lists raw and the tiers, the finest first.
func (c ReaderConfig) tables() []table {
	return []table{
		{"raw", 0, keptMS(c.KeptRaw)},
		{"tier_10s", aggregate.TenSeconds, keptMS(c.Kept10s)},
		{"tier_1m", aggregate.Minute, keptMS(c.Kept1m)},
		{"tier_1h", aggregate.Hour, keptMS(c.Kept1h)},
	}
}

// keptMS of what is kept for ever is longer than the time there is.
func keptMS(kept time.Duration) int64 {
	if kept <= 0 {
		return maxTime
	}
	return kept.Milliseconds()
}

// serves says whether windows of the step can be made of the table's rows.
func (t table) serves(step aggregate.Step) bool { return t.step == 0 || step%t.step == 0 }

// since is from when on the table has all its rows. Whole days are dropped, once they are past: so it is safe
// to count a begun hour as kept, and a request of just as long ago as rows are kept finds them.
func (t table) since(now int64) int64 {
	since := now - t.kept
	return since - since%int64(aggregate.Hour)
}

// stepFor returns the shortest step, at least the one asked for, of which a table that serves it is kept for as
// long as the range reaches back, or as long as any.
func stepFor(tables []table, asked aggregate.Step, from, now int64) aggregate.Step {
	oldest := now
	for _, t := range tables {
		oldest = min(oldest, t.since(now))
	}
	for _, step := range aggregate.Steps {
		if step >= asked && slices.ContainsFunc(tables, func(t table) bool {
			return t.serves(step) && t.since(now) <= max(from, oldest)
		}) {
			return step
		}
	}
	return asked
}

// part is what a statement reads of one table.
type part struct {
	table  table
	ranges []Range
}

// maxHoles bounds in how many places a table is left for a finer one, so that a statement stays small.
const maxHoles = 4

// cover says which table each time of the span is read from: the coarsest that serves the step and equals raw there. The span
// is of whole windows, and the parts are disjoint and cover it, each range of whole windows of its table.
//
// What a tier must not tell because raw has changed since, it tells all the same where no finer table is kept: raw without its
// older half would tell less.
func cover(tables []table, states []TierState, step aggregate.Step, span Range, now int64) []part {
	c := covering{ranges: make([][]Range, len(tables))}
	rest := []Range{span}
	for i, t := range slices.Backward(tables) {
		if t.step == 0 || !t.serves(step) {
			continue
		}
		left := joinHoles(intersect(rest, unfit(t, states, now)), rest)
		c.take(i, subtract(rest, left))
		rest = left
	}
	for i, t := range tables {
		if t.serves(step) {
			gone := []Range{{0, max(0, t.since(now))}}
			c.take(i, subtract(rest, gone))
			rest = intersect(rest, gone)
		}
	}
	c.take(coarsest(tables, step), rest)
	return c.parts(tables)
}

// coarsest is the place of the coarsest table that serves the step.
func coarsest(tables []table, step aggregate.Step) int {
	last := 0
	for i, t := range tables {
		if t.serves(step) {
			last = i
		}
	}
	return last
}

// unfit are the times for which the tier must not be asked, sorted.
func unfit(t table, states []TierState, now int64) []Range {
	ranges := []Range{{0, max(0, t.since(now))}}
	through := int64(0)
	for _, state := range states {
		if state.Step == t.step {
			through = state.Through - state.Through%int64(t.step)
			ranges = append(ranges, state.Stale...)
		}
	}
	return union(append(ranges, Range{through, maxTime}))
}

// covering collects the ranges of each table.
type covering struct{ ranges [][]Range }

func (c *covering) take(table int, ranges []Range) {
	c.ranges[table] = append(c.ranges[table], ranges...)
}

// parts are the tables with something to read, the finest first.
func (c *covering) parts(tables []table) []part {
	var parts []part
	for i, ranges := range c.ranges {
		if len(ranges) > 0 {
			parts = append(parts, part{tables[i], union(ranges)})
		}
	}
	return parts
}
