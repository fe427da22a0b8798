package aggregate

import (
	"slices"
	"time"
)

// otherGroup is the number of the group of all that are not among the top.
const otherGroup int32 = -1

// panel is a query being evaluated: once, for all who watch it.
type panel struct {
	key   string
	query Query
	users int // watches, and formulas of which it is an operand
	ring  ring

	track    *track    // nil for a formula
	grouping *grouping // of the track; of a formula, that of its first grouped operand
	formula  *formula  // nil for a query on a metric

	seen    []int64 // by group: the newest window in which it had a value
	current []int32 // the groups with a value in the ring, in the order of their numbers
	listed  []int32 // the groups of the answer, in their order
	answer  []Group // the same; given out, so never written to
	version int     // of listed

	// Of queries with a top only.
	span   time.Duration // whose sums decide about the top: up to the newest window
	past   *sums
	ranked []int32 // the top groups, best first; nil until decided
	top    []bool  // by group: is among the top; nil until decided

	scratch *scratch
}

// scratch is memory that all panels use in turn.
type scratch struct {
	combiner
	values []float64 // of the series of a track in one window
	out    []float64
	masked []float64
	rows   []binRow
}

// evaluate computes the result of window w, which is c, whose values the track has resolved.
func (p *panel) evaluate(w int64, c *column, turn uint64) {
	s := p.scratch
	s.out = resize(s.out, len(p.grouping.groups))
	other := missing
	if p.track.fold == foldBins {
		s.rows = append(s.rows[:0], c.bins.rows...)
		combineBins(p.query.Agg, s.rows, p.grouping.of, s.out)
		if p.top != nil {
			s.rows = slices.DeleteFunc(s.rows, func(r binRow) bool { return p.isTop(p.grouping.of[r.pos]) })
			other = p.one(func(out []float64) { combineBins(p.query.Agg, s.rows, nil, out) })
		}
	} else {
		s.combine(p.query.Agg, s.values, p.grouping.of, s.out)
		if p.top != nil {
			p.mask()
			other = p.one(func(out []float64) { s.combine(p.query.Agg, s.masked, nil, out) })
		}
	}
	if p.query.Agg == AggCount && len(p.grouping.by) == 0 && !present(s.out[0]) {
		s.out[0] = 0
	}
	p.record(w, s.out, other, turn)
}

func (p *panel) one(combine func(out []float64)) float64 {
	var out [1]float64
	combine(out[:])
	return out[0]
}

// mask sets scratch.masked to the values of the series that are not in a top group.
func (p *panel) mask() {
	s := p.scratch
	s.masked = append(s.masked[:0], s.values...)
	for i, g := range p.grouping.of {
		if p.isTop(g) {
			s.masked[i] = missing
		}
	}
}

func (p *panel) isTop(g int32) bool { return int(g) < len(p.top) && p.top[g] }

func (p *panel) record(w int64, values []float64, other float64, turn uint64) {
	for len(p.seen) < len(values) {
		p.seen = append(p.seen, -1)
	}
	for g, v := range values {
		if present(v) {
			p.seen[g] = max(p.seen[g], w)
		}
	}
	if leaving := w - ringWindows; p.query.Top > 0 && w == p.ring.next && p.ring.has(leaving) {
		p.past.add(p.query.Step.end(leaving), p.ring.at(leaving).values)
	}
	p.ring.record(w, values, other, turn)
}

// replay computes every window that the track still has again, after the top groups have changed.
func (p *panel) replay(turn uint64) {
	for w := p.ring.oldest(); w < min(p.track.first, p.ring.next); w++ {
		p.ring.at(w).other = missing // its samples are gone
	}
	p.track.replay(func(*column) bool { return true }, func(w int64, c *column) { p.evaluate(w, c, turn) })
	p.ring.touch(turn)
}

// list decides which groups the answer has, after all windows of a turn are evaluated. Groups stay as long as
// they have a value in the ring.
func (p *panel) list(turn uint64) {
	oldest := p.ring.oldest()
	var current []int32
	if len(p.grouping.by) == 0 {
		current = []int32{0}
	} else {
		for g, w := range p.seen {
			if w >= oldest {
				current = append(current, int32(g))
			}
		}
	}
	changed := !slices.Equal(current, p.current)
	p.current = current
	if p.query.Top > 0 {
		p.listTop(turn)
		return
	}
	if changed {
		listed := slices.Clone(current)
		slices.SortFunc(listed, func(a, b int32) int { return p.group(a).Compare(p.group(b)) })
		p.relist(listed)
	}
}

func (p *panel) relist(listed []int32) {
	p.listed = listed
	p.answer = make([]Group, len(listed))
	for i, g := range listed {
		p.answer[i] = p.group(g)
	}
	p.version++
}

func (p *panel) group(g int32) Group {
	if g == otherGroup {
		return Group{Other: true}
	}
	return p.grouping.groups[g]
}

// valuesAt returns the values of window w, one per group of the answer.
func (p *panel) valuesAt(w int64) []float64 {
	values := make([]float64, len(p.listed))
	for i, g := range p.listed {
		values[i] = missing
		if p.ring.has(w) {
			values[i] = p.ring.at(w).value(g)
		}
	}
	return values
}
