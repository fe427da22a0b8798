package dashboard

import "telltale/aggregate"

// span is the windows that end after from and not after to, both ms; the zero span has none.
type span struct{ from, to int64 }

func (s span) has(end int64) bool { return end > s.from && end <= s.to }

// within is the part of s that lies in another span.
func (s span) within(other span) span {
	s = span{max(s.from, other.from), min(s.to, other.to)}
	if s.from >= s.to {
		return span{}
	}
	return s
}

func (s span) ends(step aggregate.Step) (ends []int64) {
	for end := s.from - s.from%int64(step) + int64(step); end <= s.to; end += int64(step) {
		ends = append(ends, end)
	}
	return ends
}
