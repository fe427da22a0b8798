package history

import (
	"cmp"
	"slices"
)

// A set of times is a list of ranges: sorted, disjoint, none empty.

// union sorts ranges and joins those that touch.
func union(ranges []Range) []Range {
	ranges = slices.Clone(ranges)
	slices.SortFunc(ranges, func(a, b Range) int { return cmp.Compare(a.From, b.From) })
	var joined []Range
	for _, r := range ranges {
		switch last := len(joined) - 1; {
		case r.From >= r.To:
		case last >= 0 && r.From <= joined[last].To:
			joined[last].To = max(joined[last].To, r.To)
		default:
			joined = append(joined, r)
		}
	}
	return joined
}

// intersect returns the times that are in both sets.
func intersect(a, b []Range) []Range {
	var both []Range
	for _, x := range a {
		for _, y := range b {
			if from, to := max(x.From, y.From), min(x.To, y.To); from < to {
				both = append(both, Range{from, to})
			}
		}
	}
	return both
}

// subtract returns the times of a that are not in b.
func subtract(a, b []Range) []Range {
	var left []Range
	for _, x := range a {
		for _, y := range b {
			if y.To <= x.From || y.From >= x.To {
				continue
			}
			if y.From > x.From {
				left = append(left, Range{x.From, y.From})
			}
			x.From = min(y.To, x.To)
		}
		if x.From < x.To {
			left = append(left, x)
		}
	}
	return left
}

// joinHoles makes holes in whole fewer, by joining the nearest, until there are at most maxHoles, or one in each range of whole.
func joinHoles(holes, whole []Range) []Range {
	for len(holes) > maxHoles {
		nearest := -1
		for i := range len(holes) - 1 {
			gap := Range{holes[i].From, holes[i+1].To}
			if len(subtract([]Range{gap}, whole)) == 0 && (nearest < 0 || distance(holes, i) < distance(holes, nearest)) {
				nearest = i
			}
		}
		if nearest < 0 {
			break
		}
		holes[nearest].To = holes[nearest+1].To
		holes = slices.Delete(holes, nearest+1, nearest+2)
	}
	return holes
}

// distance is that of a range from the next.
func distance(ranges []Range, i int) int64 { return ranges[i+1].From - ranges[i].To }
