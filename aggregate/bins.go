package aggregate

import (
	"cmp"
	"slices"
	"sync"
)

// binRow says that n values of a series fall into the bin that value stands for.
type binRow struct {
	pos   int32
	value float64
	n     uint64
}

// binLog holds the bins of one window of a track, in any order, a bin perhaps in several rows. It is merged
// whenever it has doubled, so its size is that of the distinct bins and appending costs nothing to speak of.
type binLog struct {
	mu     sync.Mutex // many senders append to one log
	rows   []binRow
	merged int // rows after the last merge
}

func (l *binLog) add(row binRow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = append(l.rows, row)
	if len(l.rows) >= 1024 && len(l.rows) >= 2*l.merged {
		l.merge()
	}
}

func (l *binLog) merge() {
	slices.SortFunc(l.rows, func(a, b binRow) int {
		return cmp.Or(cmp.Compare(a.pos, b.pos), cmp.Compare(a.value, b.value))
	})
	kept := l.rows[:0]
	for _, row := range l.rows {
		if last := len(kept) - 1; last >= 0 && kept[last].pos == row.pos && kept[last].value == row.value {
			kept[last].n += row.n
		} else {
			kept = append(kept, row)
		}
	}
	l.rows, l.merged = kept, len(kept)
}

// renumber moves rows to their series' new places and drops those of series without one, which is -1.
func (l *binLog) renumber(places []int32) {
	l.rows = slices.DeleteFunc(l.rows, func(row binRow) bool { return places[row.pos] < 0 })
	for i := range l.rows {
		l.rows[i].pos = places[l.rows[i].pos]
	}
	l.merged = 0
}

func (l *binLog) reset() { l.rows, l.merged = l.rows[:0], 0 }

// combineBins aggregates rows into groups: the values they stand for are one multiset per group.
// out has one place per group. The rows' order is changed.
func combineBins(agg Agg, rows []binRow, groupOf []int32, out []float64) {
	group := func(r binRow) int32 {
		if groupOf == nil {
			return 0
		}
		return groupOf[r.pos]
	}
	fill(out, missing)
	slices.SortFunc(rows, func(a, b binRow) int {
		return cmp.Or(cmp.Compare(group(a), group(b)), cmp.Compare(a.value, b.value))
	})
	for start := 0; start < len(rows); {
		g, end := group(rows[start]), start+1
		for end < len(rows) && group(rows[end]) == g {
			end++
		}
		out[g] = ofBins(agg, rows[start:end])
		start = end
	}
}

// ofBins aggregates the rows of one group, sorted by value, at least one.
func ofBins(agg Agg, rows []binRow) float64 {
	var n uint64
	var sum float64
	for _, r := range rows {
		n += r.n
		sum += r.value * float64(r.n)
	}
	switch agg {
	case AggSum:
		return sum
	case AggAvg:
		return sum / float64(n)
	case AggMin:
		return rows[0].value
	case AggMax:
		return rows[len(rows)-1].value
	case AggCount:
		return float64(n)
	}
	p, _ := agg.Percentile()
	rank := nearestRank(p, n)
	for _, r := range rows {
		if rank <= r.n {
			return r.value
		}
		rank -= r.n
	}
	return missing // a rank is never above the count
}
