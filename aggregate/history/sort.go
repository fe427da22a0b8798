package history

import (
	"cmp"
	"slices"
)

// rows is a block's rows as columns of equal length.
type rows struct {
	series []uint64
	ts     []int64 // milliseconds since the Unix epoch
	value  []float64
	n      []uint32
}

func (r *rows) len() int { return len(r.series) }

func (r *rows) reset() {
	r.series, r.ts, r.value, r.n = r.series[:0], r.ts[:0], r.value[:0], r.n[:0]
}

func (r *rows) append(series uint64, ts int64, value float64, n uint32) {
	r.series = append(r.series, series)
	r.ts = append(r.ts, ts)
	r.value = append(r.value, value)
	r.n = append(r.n, n)
}

func (r *rows) slice(from, to int) rows {
	return rows{r.series[from:to:to], r.ts[from:to:to], r.value[from:to:to], r.n[from:to:to]}
}

// sorter orders rows by series and time. It keeps its memory from block to block.
type sorter struct {
	keys, spare []sortKey
}

type sortKey struct {
	series uint64
	row    uint32
}

// sort appends src to dst in the order of (series, ts); rows that tie keep their order.
// ClickHouse would sort a block itself, at four times the cost: it compares whole rows, while
// ids are hashes, which a radix sort (least significant digit first) orders without comparing.
func (s *sorter) sort(dst, src *rows) {
	s.keys = slices.Grow(s.keys[:0], src.len())[:src.len()]
	for i, id := range src.series {
		s.keys[i] = sortKey{id, uint32(i)}
	}
	s.radix()
	s.withinPrefix(src.ts)
	for _, k := range s.keys {
		dst.append(k.series, src.ts[k.row], src.value[k.row], src.n[k.row])
	}
}

const (
	radixBits    = 11
	radixBuckets = 1 << radixBits
	// Three digits tell nearly all series of a block apart.
	prefixShift = 64 - 3*radixBits
)

// radix sorts by the upper bits of the series.
func (s *sorter) radix() {
	s.spare = slices.Grow(s.spare[:0], len(s.keys))[:len(s.keys)]
	var offsets [radixBuckets]uint32
	for shift := prefixShift; shift < 64; shift += radixBits {
		clear(offsets[:])
		for i := range s.keys {
			offsets[s.keys[i].series>>shift&(radixBuckets-1)]++
		}
		var at uint32
		for i, count := range offsets {
			offsets[i] = at
			at += count
		}
		for _, k := range s.keys {
			bucket := k.series >> shift & (radixBuckets - 1)
			s.spare[offsets[bucket]] = k
			offsets[bucket]++
		}
		s.keys, s.spare = s.spare, s.keys
	}
}

// withinPrefix sorts the runs of equal upper bits that are not in order yet; nearly all are.
func (s *sorter) withinPrefix(ts []int64) {
	compare := func(a, b sortKey) int {
		return cmp.Or(cmp.Compare(a.series, b.series), cmp.Compare(ts[a.row], ts[b.row]))
	}
	for start := 0; start < len(s.keys); {
		end := start + 1
		inOrder := true
		for end < len(s.keys) && s.keys[end].series>>prefixShift == s.keys[start].series>>prefixShift {
			inOrder = inOrder && compare(s.keys[end-1], s.keys[end]) <= 0
			end++
		}
		if !inOrder {
			slices.SortStableFunc(s.keys[start:end], compare)
		}
		start = end
	}
}
