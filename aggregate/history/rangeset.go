package history

import "slices"

// rangeSet is a set of times: sorted, disjoint ranges that do not touch.
type rangeSet []Range

// first is the place of the first range that ends after at.
func (s rangeSet) first(at int64) int {
	i, _ := slices.BinarySearchFunc(s, at, func(r Range, at int64) int {
		if r.To > at {
			return 1
		}
		return -1
	})
	return i
}

// add puts r into the set.
func (s *rangeSet) add(r Range) {
	if r.From >= r.To {
		return
	}
	from := s.first(r.From - 1) // a range that ends where r begins is joined
	to := from
	for to < len(*s) && (*s)[to].From <= r.To {
		r.From, r.To = min(r.From, (*s)[to].From), max(r.To, (*s)[to].To)
		to++
	}
	*s = slices.Replace(*s, from, to, r)
}

// remove takes r out of the set.
func (s *rangeSet) remove(r Range) {
	from := s.first(r.From)
	to := from
	var rest []Range
	for to < len(*s) && (*s)[to].From < r.To {
		cut := (*s)[to]
		if cut.From < r.From {
			rest = append(rest, Range{cut.From, r.From})
		}
		if r.To < cut.To {
			rest = append(rest, Range{r.To, cut.To})
		}
		to++
	}
	*s = slices.Replace(*s, from, to, rest...)
}

// overlaps says whether any of r is in the set.
func (s rangeSet) overlaps(r Range) bool {
	i := s.first(r.From)
	return i < len(s) && s[i].From < r.To
}

// total is how much time is in the set, in ms.
func (s rangeSet) total() int64 {
	var sum int64
	for _, r := range s {
		sum += r.To - r.From
	}
	return sum
}

// joined is a set of at most limit ranges that has all of s: the smallest holes are filled.
func (s rangeSet) joined(limit int) rangeSet {
	if len(s) <= limit {
		return s
	}
	holes := make([]int64, 0, len(s)-1)
	for i := 1; i < len(s); i++ {
		holes = append(holes, s[i].From-s[i-1].To)
	}
	slices.Sort(holes)
	filled := holes[len(s)-limit-1] // holes up to this one are filled
	var out rangeSet
	for i, r := range s {
		if i > 0 && r.From-s[i-1].To <= filled {
			out[len(out)-1].To = r.To
		} else {
			out = append(out, r)
		}
	}
	return out
}
