package aggregate

import "slices"

// nearestRank is the rank, counted from 1, of the p-th percentile of n values.
func nearestRank(p int, n uint64) uint64 { return (uint64(p)*n + 99) / 100 }

// selectRank returns the value of a rank, counted from 1, and reorders the values. It takes linear time on
// average, where sorting a million values each second would not fit into the tick.
func selectRank(values []float64, rank int) float64 {
	k := rank - 1
	for tries := 0; len(values) > 24; tries++ {
		if tries > 50 { // an unlucky order must not cost quadratic time
			break
		}
		low, high := partition(values)
		switch {
		case k < low:
			values = values[:low]
		case k >= high:
			values, k = values[high:], k-high
		default:
			return values[k]
		}
	}
	slices.Sort(values)
	return values[k]
}

// partition orders values into less than a pivot, equal to it in [low, high), and greater.
func partition(values []float64) (low, high int) {
	last := len(values) - 1
	pivot := median(values[0], values[last/2], values[last])
	high = len(values)
	for i := 0; i < high; {
		switch v := values[i]; {
		case v < pivot:
			values[i], values[low] = values[low], v
			low++
			i++
		case v > pivot:
			high--
			values[i], values[high] = values[high], v
		default:
			i++
		}
	}
	return low, high
}

func median(a, b, c float64) float64 { return max(min(a, b), min(max(a, b), c)) }
