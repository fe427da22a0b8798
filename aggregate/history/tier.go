package history

import (
	"time"

	"telltale/aggregate"
)

// A tier holds raw summed up by series and window. It is a pure function of raw: whatever is in
// doubt is computed once more, and of two rows the one that counts more samples is right.

// maxStaleRanges bounds TierState.Stale. Beyond it neighbours are joined over the windows between them.
const maxStaleRanges = 100

// tier is one of the three tables, and what it is summed up from.
type tier struct {
	step   int64 // ms
	table  string
	source string // the table that its windows are recomputed from
}

// tiers are all of them, the finest first. The windows of each are whole windows of the one before.
var tiers = [...]tier{
	{int64(aggregate.TenSeconds), "tier_10s", rawTable},
	{int64(aggregate.Minute), "tier_1m", "tier_10s"},
	{int64(aggregate.Hour), "tier_1h", "tier_1m"},
}

// windowOf is the start of the tier's window that the time ts (ms) lies in.
func (t *tier) windowOf(ts int64) int64 { return floorTo(ts, t.step) }

// floorTo is the greatest multiple of step that is not above ts.
func floorTo(ts, step int64) int64 {
	rest := ts % step
	if rest < 0 {
		rest += step
	}
	return ts - rest
}

func ceilTo(ts, step int64) int64 { return floorTo(ts+step-1, step) }

// cover is the smallest range of whole windows that r lies in.
func (t *tier) cover(r Range) Range { return Range{floorTo(r.From, t.step), ceilTo(r.To, t.step)} }

// retention is how long each tier keeps its windows.
func (c Config) retention(i int) time.Duration {
	return [...]time.Duration{c.Retention10s, c.Retention1m, c.Retention1h}[i]
}

// TierStates returns the state of each tier, the finest first. Before the start is settled it
// returns nil: raw alone can be trusted. It may be called from any goroutine, and what it returns is read-only.
func (w *Writer) TierStates() []TierState { return w.filler.states() }
