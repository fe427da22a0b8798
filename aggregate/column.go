package aggregate

import "math"

// missing is how a value that is not there is kept: samples are never NaN.
var missing = math.NaN()

func present(v float64) bool { return !math.IsNaN(v) }

// fold says what a column keeps of the samples of one series in one window.
type fold uint8

const (
	foldSum  fold = iota // of sum, increase and rate
	foldMean             // the sum, and beside it the number of samples
	foldMin
	foldMax
	foldLast // the greatest by (time, value), and beside it its time
	foldBins // of distributions: a log of bins
)

func (o Over) fold() fold {
	switch o {
	case Last:
		return foldLast
	case Avg:
		return foldMean
	case Min:
		return foldMin
	case Max:
		return foldMax
	case "":
		return foldBins
	default:
		return foldSum
	}
}

// column holds one window of every series of a track. While the window is open, each place is written
// by its series' sender only; once it is closed, by Live.Advance only. So values need no lock.
type column struct {
	value []float64 // missing where the series has no sample
	aux   []uint32  // foldMean: number of samples; foldLast: ms since the window's start; else nil
	bins  binLog    // foldBins

	late bool // a sample came after the window was evaluated
}

func (f fold) hasAux() bool { return f == foldMean || f == foldLast }

// grow gives the column places up to n, without samples in them.
func (c *column) grow(f fold, n int) {
	if f == foldBins {
		return
	}
	old := len(c.value)
	c.value = extended(c.value, n)
	fill(c.value[old:], missing)
	if f.hasAux() {
		c.aux = extended(c.aux, n)
		clear(c.aux[old:])
	}
}

// extended returns the slice at length n, with a sixteenth to spare where it had to move.
func extended[T any](s []T, n int) []T {
	if n <= cap(s) {
		return s[:n]
	}
	moved := make([]T, n, n+n/16)
	copy(moved, s)
	return moved
}

// add takes a sample: the place of its series, its time in ms since the window's start, its value, and for how many values it stands.
func (c *column) add(f fold, pos int32, offset uint32, value float64, n uint32) {
	if f == foldBins {
		c.bins.add(binRow{pos: pos, value: value, n: uint64(n)})
		return
	}
	old := c.value[pos]
	switch {
	case !present(old):
		c.value[pos] = value
		switch f {
		case foldMean:
			c.aux[pos] = 1
		case foldLast:
			c.aux[pos] = offset
		}
	case f == foldSum:
		c.value[pos] = old + value
	case f == foldMean:
		c.value[pos] = old + value
		c.aux[pos]++
	case f == foldMin:
		c.value[pos] = min(old, value)
	case f == foldMax:
		c.value[pos] = max(old, value)
	case offset > c.aux[pos] || offset == c.aux[pos] && value > old:
		c.value[pos], c.aux[pos] = value, offset
	}
}
