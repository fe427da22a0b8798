package history

import (
	"math"
	"slices"
	"sort"

	"telltale/aggregate"
)

// cell is a row of a tier before it is written: a plain series' window, or one bin of a distribution's.
type cell struct {
	series uint64
	bin    float64
	count  uint64
	sum    float64
	min    float64
	max    float64
	last   float64
	lastTS int64 // ms, of last; noLast in a bin, which has a count and nothing else
}

const noLast = math.MinInt64

func (c *cell) isBin() bool { return c.lastTS == noLast }

func (c *cell) before(series uint64, bin float64) bool {
	return c.series < series || c.series == series && c.bin < bin
}

// merge adds what another cell of the same series and bin has.
func (c *cell) merge(o *cell) {
	c.count += o.count
	if o.isBin() {
		return
	}
	c.sum += o.sum
	c.min, c.max = min(c.min, o.min), max(c.max, o.max)
	if o.lastTS > c.lastTS || o.lastTS == c.lastTS && o.last > c.last {
		c.last, c.lastTS = o.last, o.lastTS
	}
}

// accumulator sums up one window: cells sorted by series and bin. What is added in about that order
// finds its cell next to the one before. New cells that belong between others wait in fresh until settle.
type accumulator struct {
	cells, fresh []cell
	cursor       int // where in cells the last one was found
}

// add merges a cell into the one of its series and bin.
func (a *accumulator) add(c *cell) {
	if a.seek(c.series, c.bin); a.cursor == len(a.cells) {
		a.cells = append(a.cells, *c)
		return
	}
	if known := &a.cells[a.cursor]; known.series == c.series && known.bin == c.bin {
		known.merge(c)
		return
	}
	at := len(a.fresh)
	if at > 0 && !a.fresh[at-1].before(c.series, c.bin) {
		at = search(a.fresh, c.series, c.bin)
		if known := &a.fresh[at]; known.series == c.series && known.bin == c.bin {
			known.merge(c)
			return
		}
	}
	a.fresh = slices.Insert(a.fresh, at, *c)
}

// seek moves the cursor to the first cell that is not before the key. Steps double, so that a
// block of a few series does not walk over all cells.
func (a *accumulator) seek(series uint64, bin float64) {
	if a.cursor > 0 && !a.cells[a.cursor-1].before(series, bin) {
		a.cursor = search(a.cells[:a.cursor], series, bin)
		return
	}
	step := 1
	for a.cursor+step <= len(a.cells) && a.cells[a.cursor+step-1].before(series, bin) {
		a.cursor += step
		step *= 2
	}
	if step > 1 {
		a.cursor += search(a.cells[a.cursor:min(a.cursor+step, len(a.cells))], series, bin)
	}
}

func search(cells []cell, series uint64, bin float64) int {
	return sort.Search(len(cells), func(i int) bool { return !cells[i].before(series, bin) })
}

// kindOf says whether the series is known here, and then whether its cells are bins.
func (a *accumulator) kindOf(series uint64) (isBin, known bool) {
	a.seek(series, math.Inf(-1))
	if a.cursor < len(a.cells) && a.cells[a.cursor].series == series {
		return a.cells[a.cursor].isBin(), true
	}
	return false, false
}

// settle moves the fresh cells to their places, from the back, and begins anew at the front.
func (a *accumulator) settle() {
	old, fresh := len(a.cells), len(a.fresh)
	a.cells = slices.Grow(a.cells, fresh)[:old+fresh]
	for to := old + fresh - 1; fresh > 0; to-- {
		if f := &a.fresh[fresh-1]; old == 0 || a.cells[old-1].before(f.series, f.bin) {
			a.cells[to] = *f
			fresh--
		} else {
			a.cells[to] = a.cells[old-1]
			old--
		}
	}
	a.fresh, a.cursor = a.fresh[:0], 0
}

// addCells adds the cells of a finer window.
func (a *accumulator) addCells(cells []cell) {
	for i := range cells {
		a.add(&cells[i])
	}
	a.settle()
}

// sums are the windows of a tier that are being summed up.
type sums struct {
	open map[int64]*accumulator // by start, ms
	size int                    // cells of the last window: the next one will have about as many
}

// at returns the sums of the window that begins at start.
func (s *sums) at(start int64) *accumulator {
	a := s.open[start]
	if a == nil {
		a = &accumulator{cells: make([]cell, 0, s.size+s.size/32)}
		s.open[start] = a
	}
	return a
}

// end drops a window.
func (s *sums) end(start int64) {
	if a := s.open[start]; a != nil {
		s.size = len(a.cells)
		delete(s.open, start)
	}
}

// adder adds the rows of one block to the finest windows.
type adder struct {
	f       *filler
	block   *followed
	late    int64 // ms: windows that end by then are left out
	window  Range
	sum     *accumulator // of window, nil where its rows are left out
	touched []*accumulator
	series  uint64 // of the last row, and
	isBin   bool   // whether it is a distribution
}

func (f *filler) addBlock(block *followed, late int64) {
	a := adder{f: f, block: block, late: late}
	r := &block.rows
	for i, series := range r.series {
		if isMarker(series) {
			continue
		}
		ts := r.ts[i]
		if ts < a.window.From || ts >= a.window.To {
			a.enter(ts)
		}
		if a.sum == nil || series != a.series && !a.begin(series) {
			continue
		}
		c := cell{series: series, count: uint64(r.n[i]), lastTS: noLast}
		if v := r.value[i]; a.isBin {
			c.bin = v
		} else {
			c.sum, c.min, c.max, c.last, c.lastTS = v, v, v, v, ts
		}
		a.sum.add(&c)
	}
	for _, sum := range a.touched {
		sum.settle()
	}
}

// enter goes to the window of the time ts.
func (a *adder) enter(ts int64) {
	start := floorTo(ts, windowMS)
	a.window, a.sum = Range{start, start + windowMS}, nil
	if a.window.To <= a.late || start < a.f.floor || start > a.block.sealed+aheadMS {
		return // the ledgers have it recomputed
	}
	a.sum = a.f.sums[0].at(start)
	if !slices.Contains(a.touched, a.sum) {
		a.touched = append(a.touched, a.sum)
	}
}

// begin finds out of what kind the series is. One that nobody knows any more makes its window dirty.
func (a *adder) begin(series uint64) bool {
	isBin, known := a.sum.kindOf(series)
	if !known {
		var s *aggregate.Series
		if s, known = a.f.w.definitions.Series(series); known {
			isBin = s.Kind == aggregate.Distribution
		}
	}
	if !known {
		a.f.giveUp(a.window.From)
		return false
	}
	a.series, a.isBin = series, isBin
	return true
}
