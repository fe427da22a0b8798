package wire

import (
	"math"
	"slices"
)

// Bin is one bin of a DDSketch with a relative accuracy of 1 %: how many values fell into it.
type Bin struct {
	Key   int32
	Count uint32
}

// Keys of bins: 0 holds zero; a value v > 0 is in ceil(ln v / ln gamma) + keyOffset, so
// that the bin of 1 is keyOffset; v < 0 is in minus the key of -v.
const keyOffset = 1 << 16

// gamma is the ratio of a bin's upper to its lower bound.
const gamma = 1.01 / 0.99

// smallestNormal is the smallest value that has a bin of its own sign. Below it floats
// thin out so that whole bins hold no number at all; such values count as zero.
const smallestNormal = 0x1p-1022

var (
	lnGamma = math.Log(gamma)
	minKey  = BinKey(smallestNormal)
	maxKey  = BinKey(math.MaxFloat64)
)

// BinKey is the key of the bin that v falls into. v must be finite.
func BinKey(v float64) int32 {
	switch {
	case v >= smallestNormal:
		return int32(math.Ceil(math.Log(v)/lnGamma)) + keyOffset
	case v <= -smallestNormal:
		return -BinKey(-v)
	default:
		return 0
	}
}

// BinValue is the value that stands for a bin, within 1 % of every value in it.
func BinValue(key int32) float64 {
	switch {
	case key < 0:
		return -BinValue(-key)
	case key == 0:
		return 0
	}
	// In two halves: math.Exp gives up a little before the largest float64.
	half := math.Exp(float64(key-keyOffset) * lnGamma / 2)
	middle := half * (2 / (gamma + 1)) * half
	return min(max(middle, smallestNormal), math.MaxFloat64)
}

// bin makes a Bin of two numbers from outside. It is not ok if no value has the key, the
// count is none or too large, or the key does not follow the one before: bins ascend.
func bin(before, key int64, count uint64) (b Bin, ok bool) {
	b = Bin{Key: int32(key), Count: uint32(count)}
	return b, key > before && int64(b.Key) == key && validKey(b.Key) && count > 0 && count <= math.MaxUint32
}

// validKey says whether some finite value has this key.
func validKey(key int32) bool {
	return key == 0 || key >= minKey && key <= maxKey || key <= -minKey && key >= -maxKey
}

// Sketch sorts values into bins, in ascending order of their keys. The values must be finite.
func Sketch(values []float64) []Bin {
	keys := make([]int32, len(values))
	for i, v := range values {
		keys[i] = BinKey(v)
	}
	slices.Sort(keys)
	var bins []Bin
	for i, key := range keys {
		if i == 0 || key != keys[i-1] {
			bins = append(bins, Bin{Key: key})
		}
		bins[len(bins)-1].Count++
	}
	return bins
}
