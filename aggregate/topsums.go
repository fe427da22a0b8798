package aggregate

import (
	"slices"
	"time"
)

// sums remembers what windows that have left a panel's ring add to the sums over its span, by which top groups are
// chosen. They are summed up by the minute, or where the span is longer than 60 of those, by a longer step: then at most
// so much of the span's beginning is rounded.
type sums struct {
	length  Step // of a part
	parts   []partSums
	maxSpan time.Duration
}

// partSums is the sums over one part of the span.
type partSums struct {
	end     int64     // ms
	byGroup []float64 // groups that came later have none
}

func newSums(step Step, span time.Duration) *sums {
	s := &sums{length: max(Minute, step), maxSpan: span}
	for _, longer := range Steps {
		if longer > s.length && span > 60*s.length.Duration() {
			s.length = longer
		}
	}
	return s
}

// add takes the values by group of a window, which are final. Windows come in the order of their ends.
func (s *sums) add(end int64, values []float64) {
	partEnd := s.length.WindowEnd(end - 1)
	last := len(s.parts) - 1
	if last < 0 || s.parts[last].end != partEnd {
		s.parts = slices.DeleteFunc(s.parts, func(p partSums) bool {
			return p.end <= end-s.maxSpan.Milliseconds() || p.end > partEnd // the clock was set back
		})
		s.parts = append(s.parts, partSums{end: partEnd})
		last = len(s.parts) - 1
	}
	p := &s.parts[last]
	for len(p.byGroup) < len(values) {
		p.byGroup = append(p.byGroup, 0)
	}
	for g, v := range values {
		if present(v) {
			p.byGroup[g] += v
		}
	}
}

// sum is that of a group over the parts that end after from (ms).
func (s *sums) sum(g int32, from int64) float64 {
	total := 0.0
	for _, p := range s.parts {
		if p.end > from && int(g) < len(p.byGroup) {
			total += p.byGroup[g]
		}
	}
	return total
}

// renumber follows a change of the groups' numbers; -1 is for groups that are gone.
func (s *sums) renumber(numbers []int32) {
	for i := range s.parts {
		s.parts[i].byGroup = gather(s.parts[i].byGroup, numbers)
	}
}
