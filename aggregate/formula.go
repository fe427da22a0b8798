package aggregate

import "slices"

// formula is arithmetic between panels. Its groups are those of its first grouped operand; the others are joined by
// equal labels, and operands without groups apply to all.
type formula struct {
	expression *Expression
	names      []string
	operands   []*panel  // by name
	joins      [][]int32 // by operand, by group: the operand's group, -1 for none
}

// operand returns the number of a query's operand.
func (f *formula) operand(query string) int {
	i, _ := slices.BinarySearch(f.names, query)
	return i
}

// lead is the operand whose groups the result has: the first grouped one, or one without groups where none is.
func (f *formula) lead() *panel {
	for _, o := range f.operands {
		if len(o.query.By) > 0 {
			return o
		}
	}
	return f.operands[0]
}

// bounds returns the windows [from, to) that every operand has.
func (f *formula) bounds() (from, to int64) {
	from, to = f.operands[0].ring.oldest(), f.operands[0].ring.next
	for _, o := range f.operands[1:] {
		from, to = max(from, o.ring.oldest()), min(to, o.ring.next)
	}
	return from, to
}

// update computes the windows that are new, or changed in this turn, and says whether there were any.
func (f *formula) update(p *panel, turn uint64) (updated bool) {
	f.join(p)
	from, to := f.bounds()
	if p.ring.next < from {
		p.ring.begin(from)
	}
	for w := max(from, p.ring.oldest()); w < to; w++ {
		if w >= p.ring.next || slices.ContainsFunc(f.operands, func(o *panel) bool { return o.ring.at(w).changed == turn }) {
			f.evaluate(p, w, turn)
			updated = true
		}
	}
	return updated
}

// join brings the joins up to date with the operands' groups.
func (f *formula) join(p *panel) {
	for i, o := range f.operands {
		join := f.joins[i][:0]
		for _, g := range p.grouping.groups {
			join = append(join, o.grouping.find(g.Labels))
		}
		f.joins[i] = join
	}
}

func (f *formula) evaluate(p *panel, w int64, turn uint64) {
	out := resize(p.scratch.out, len(p.grouping.groups))
	p.scratch.out = out
	for g := range out {
		out[g] = f.expression.Eval(func(query string) float64 {
			i := f.operand(query)
			if joined := f.joins[i][g]; joined >= 0 {
				return f.operands[i].ring.at(w).value(joined)
			}
			return missing
		})
	}
	other := f.expression.Eval(func(query string) float64 {
		o := f.operands[f.operand(query)]
		if len(o.query.By) == 0 {
			return o.ring.at(w).value(0)
		}
		return o.ring.at(w).other
	})
	p.record(w, out, other, turn)
}

// replay computes the result again after its top groups have changed: the operands, which are the formula's own,
// aggregate the rest of their series anew.
func (f *formula) replay(p *panel, turn uint64) {
	for i, o := range f.operands {
		if len(o.query.By) == 0 {
			continue
		}
		o.top = make([]bool, len(o.grouping.groups))
		for g, top := range p.top {
			if joined := f.joins[i][g]; top && joined >= 0 {
				o.top[joined] = true
			}
		}
		o.replay(turn)
	}
	from, to := f.bounds()
	for w := max(from, p.ring.oldest()); w < to; w++ {
		f.evaluate(p, w, turn)
	}
	p.ring.touch(turn)
}
