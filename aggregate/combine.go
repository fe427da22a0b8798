package aggregate

// combiner aggregates the values of series into groups. It keeps its scratch memory from call to call.
type combiner struct {
	counts []int32
	sorted []float64
}

// combine writes the aggregate of each group to out, missing where no series of the group has a value.
// groupOf says for each value which group it belongs to; nil means all to the first.
// Sums are taken in the order of the values: plain summation stays within 1e-10 of the sum of absolute values even for a million.
func (c *combiner) combine(agg Agg, values []float64, groupOf []int32, out []float64) {
	fill(out, missing)
	switch agg {
	case AggMin:
		each(values, groupOf, func(g int32, v float64) {
			if !(out[g] <= v) { // true of a missing out[g] too
				out[g] = v
			}
		})
	case AggMax:
		each(values, groupOf, func(g int32, v float64) {
			if !(out[g] >= v) {
				out[g] = v
			}
		})
	case AggSum, AggAvg, AggCount:
		c.total(agg, values, groupOf, out)
	default:
		p, _ := agg.Percentile()
		c.percentile(p, values, groupOf, out)
	}
}

func each(values []float64, groupOf []int32, visit func(group int32, value float64)) {
	for i, v := range values {
		if !present(v) {
			continue
		}
		if groupOf == nil {
			visit(0, v)
		} else {
			visit(groupOf[i], v)
		}
	}
}

func (c *combiner) total(agg Agg, values []float64, groupOf []int32, out []float64) {
	c.count(values, groupOf, len(out))
	if agg != AggCount {
		fill(out, 0)
		each(values, groupOf, func(g int32, v float64) { out[g] += v })
	}
	for g, n := range c.counts {
		switch {
		case n == 0:
			out[g] = missing
		case agg == AggAvg:
			out[g] /= float64(n)
		case agg == AggCount:
			out[g] = float64(n)
		}
	}
}

// count sets c.counts to the number of values in each group.
func (c *combiner) count(values []float64, groupOf []int32, groups int) {
	c.counts = resize(c.counts, groups)
	clear(c.counts)
	counts := c.counts
	each(values, groupOf, func(g int32, _ float64) { counts[g]++ })
}

func (c *combiner) percentile(p int, values []float64, groupOf []int32, out []float64) {
	c.count(values, groupOf, len(out))
	ends, total := c.counts, int32(0)
	for g, n := range ends { // from here on the start of each group, and after the next loop its end
		ends[g] = total
		total += n
	}
	c.sorted = resize(c.sorted, int(total))
	each(values, groupOf, func(g int32, v float64) {
		c.sorted[ends[g]] = v
		ends[g]++
	})
	start := int32(0)
	for g, end := range ends {
		if n := end - start; n > 0 {
			out[g] = selectRank(c.sorted[start:end], int(nearestRank(p, uint64(n))))
		}
		start = end
	}
}

func fill[T any](all []T, v T) {
	for i := range all {
		all[i] = v
	}
}

// resize returns a slice of length n that reuses the memory of s where it can; its contents are anything.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/8)
	}
	return s[:n]
}
