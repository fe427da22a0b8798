package aggregate

import (
	"cmp"
	"slices"
)

// listTop lists the top groups, best first, and after them the others as one, if there are any.
func (p *panel) listTop(turn uint64) {
	if p.due() {
		p.decide(turn)
	}
	listed := slices.Clone(p.ranked)
	if slices.ContainsFunc(p.current, func(g int32) bool { return !p.isTop(g) }) {
		listed = append(listed, otherGroup)
	}
	if slices.Contains(listed, otherGroup) && !slices.Contains(p.listed, otherGroup) {
		p.ring.touch(turn) // its older values have not been shown
	}
	if !slices.Equal(listed, p.listed) {
		p.relist(listed)
	}
}

// due says whether membership is to be decided: at the end of each minute, and when there are fewer than
// there may be, lest a group that came first stands alone for a minute.
func (p *panel) due() bool {
	end := p.query.Step.end(p.ring.next - 1)
	return end%int64(Minute) == 0 || len(p.ranked) < p.query.Top && len(p.ranked) < len(p.candidates())
}

func (p *panel) decide(turn uint64) {
	ranked := Top(p.query.Top, p.candidates(), p.sum, func(a, b int32) int { return p.group(a).Compare(p.group(b)) })
	top := make([]bool, len(p.grouping.groups))
	changed := len(ranked) != len(p.ranked)
	for _, g := range ranked {
		top[g] = true
		changed = changed || !p.isTop(g)
	}
	p.ranked = ranked
	if !changed {
		return
	}
	p.top = top
	if p.formula != nil {
		p.formula.replay(p, turn)
	} else {
		p.replay(turn)
	}
}

// candidates are the groups that may be among the top: those with a value in the span, on whose sums over it they are ranked.
func (p *panel) candidates() []int32 {
	from := p.spanStart()
	var all []int32
	for g, w := range p.seen {
		if w >= 0 && p.query.Step.end(w) > from {
			all = append(all, int32(g))
		}
	}
	return all
}

// spanStart is the time (ms) at which the span of the newest window begins.
func (p *panel) spanStart() int64 { return p.query.Step.end(p.ring.next-1) - p.span.Milliseconds() }

// sum is what groups are ranked by: the sum of the group's values over the span, as far as the panel has been watched.
func (p *panel) sum(g int32) float64 {
	from := p.spanStart()
	total := p.past.sum(g, from)
	for w := p.ring.oldest(); w < p.ring.next; w++ {
		if v := p.ring.at(w).value(g); present(v) && p.query.Step.end(w) > from {
			total += v
		}
	}
	return total
}

// Top returns the n groups with the greatest sums, greatest first, of equal ones the first by key.
func Top[G any](n int, groups []G, sum func(G) float64, key func(a, b G) int) []G {
	type scored struct {
		group G
		sum   float64
	}
	all := make([]scored, len(groups))
	for i, g := range groups {
		all[i] = scored{g, sum(g)}
	}
	slices.SortFunc(all, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.sum, a.sum), key(a.group, b.group))
	})
	top := make([]G, min(n, len(all)))
	for i := range top {
		top[i] = all[i].group
	}
	return top
}
