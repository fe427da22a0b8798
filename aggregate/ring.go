package aggregate

// ring keeps the newest results of a panel: windows since..next-1, of them the last ringWindows.
type ring struct {
	slots       [ringWindows]slot
	since, next int64
	born        int64 // the first window that was computed here; those before were told by Fill
}

// slot is the result of one window.
type slot struct {
	values  []float64 // by group number; groups that came later are missing
	other   float64
	changed uint64 // the turn in which a recorded result was last changed
}

func (r *ring) begin(first int64) { r.since, r.next, r.born = first, first, first }

// reach makes room for windows before the oldest, from first on, as far as the ring is long.
func (r *ring) reach(first int64) {
	for r.since > first && r.next-r.since < ringWindows {
		r.since--
		s := r.at(r.since)
		s.values, s.other, s.changed = s.values[:0], missing, 0
	}
}

// oldest is the oldest window kept; where it equals next, there is none.
func (r *ring) oldest() int64 { return max(r.since, r.next-ringWindows) }

func (r *ring) has(w int64) bool { return w >= r.oldest() && w < r.next }

func (r *ring) at(w int64) *slot { return &r.slots[w%ringWindows] }

// record takes the result of the next window, or that of a window it has, computed again.
func (r *ring) record(w int64, values []float64, other float64, turn uint64) {
	if w != r.next && !r.has(w) {
		return
	}
	s := r.at(w)
	if w == r.next {
		r.next++
		s.changed = 0
	} else if s.equal(values, other) {
		return
	} else {
		s.changed = turn
	}
	s.values, s.other = append(s.values[:0], values...), other
}

// touch marks every result as changed.
func (r *ring) touch(turn uint64) {
	for w := r.oldest(); w < r.next; w++ {
		r.at(w).changed = turn
	}
}

func (s *slot) equal(values []float64, other float64) bool {
	for g, v := range values {
		if !same(s.value(int32(g)), v) {
			return false
		}
	}
	return same(s.other, other)
}

// value is that of a group; otherGroup is a group too.
func (s *slot) value(g int32) float64 {
	switch {
	case g == otherGroup:
		return s.other
	case int(g) < len(s.values):
		return s.values[g]
	}
	return missing
}

func same(a, b float64) bool { return a == b || !present(a) && !present(b) }
