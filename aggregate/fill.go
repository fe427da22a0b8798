package aggregate

// Fill tells the watch what its queries gave in the windows before it began, as history has them: consecutive windows,
// named by their ends (ms, oldest first), and the results by query. Snapshots then reach back to them. Fill may be
// called again, when history knows more: windows that have changed are amended with the next tick. Windows that the
// watch has computed itself, and those that are too old to be kept, stay as they are.
func (w *Watch) Fill(ends []int64, past map[string]Columns) {
	if len(ends) == 0 {
		return
	}
	w.live.work.Lock()
	defer w.live.work.Unlock()
	if w.closed {
		return
	}
	first := w.step.window(ends[0]) - 1
	for name, p := range w.panels {
		p.fill(first, len(ends), past[name], w.live.turn)
	}
}

// fill takes the results of n windows from first on. Changes count as of the next turn, in which formulas see them too.
func (p *panel) fill(first int64, n int, past Columns, turn uint64) {
	oldest := p.ring.oldest()
	p.ring.reach(first)
	numbers := p.numbers(past.Groups)
	values := make([]float64, len(p.grouping.groups))
	for w := max(first, p.ring.oldest()); w < min(p.ring.born, first+int64(n)); w++ {
		fill(values, missing)
		other := missing
		for g, number := range numbers {
			if v := past.Values[g][w-first]; number == otherGroup {
				other = v
			} else {
				values[number] = v
			}
		}
		p.record(w, values, other, turn+1)
		if w < oldest { // nobody has been told of it
			p.ring.at(w).changed = 0
		}
	}
	p.list(turn)
}

// numbers returns the groups' numbers; those that no series here belongs to are new.
func (p *panel) numbers(groups []Group) []int32 {
	numbers := make([]int32, len(groups))
	for i, g := range groups {
		numbers[i] = otherGroup
		if !g.Other {
			numbers[i] = p.grouping.enter(g)
		}
	}
	return numbers
}

// enter returns the number of a group, which need not have a series.
func (g *grouping) enter(group Group) int32 {
	if number := g.find(group.Labels); number >= 0 {
		return number
	}
	var key []byte
	for _, l := range group.Labels {
		key = appendKey(key, l.Value)
	}
	number := int32(len(g.groups))
	g.groups = append(g.groups, group)
	g.index[string(key)] = number
	return number
}
