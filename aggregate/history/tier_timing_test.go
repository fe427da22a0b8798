package history

import (
	"math/rand/v2"
	"slices"
	"testing"

	"telltale/aggregate"
)

// kindless knows every series as a gauge.
type kindless struct{}

func (kindless) TakeNew() []*aggregate.Series { return nil }
func (kindless) Series(aggregate.SeriesID) (*aggregate.Series, bool) {
	return &aggregate.Series{}, true
}

// BenchmarkSumUpBlock adds blocks of one second, 100,000 series, to their windows, and closes these.
func BenchmarkSumUpBlock(b *testing.B) {
	const series = 100_000
	f := newFiller(&Writer{definitions: kindless{}})
	ids := make([]uint64, series)
	for i := range ids {
		ids[i] = rand.Uint64() | aggregate.FirstSeriesID
	}
	slices.Sort(ids)
	block := followed{}
	for _, id := range ids {
		block.rows.append(id, 0, 1, 1)
	}
	b.ReportAllocs()
	for second := int64(0); b.Loop(); second++ {
		ts := second * 1000
		for i := range block.rows.ts {
			block.rows.ts[i] = ts + int64(i%400)
		}
		block.sealed = ts
		f.addBlock(&block, ts-windowMS)
		if window := ts - windowMS + 1000; window >= 0 && window%windowMS == 0 {
			minute := f.sums[1].at(floorTo(window, 60_000))
			minute.addCells(f.sums[0].open[window].cells)
			f.sums[0].end(window)
			if window%60_000 == 50_000 {
				f.sums[2].at(0).addCells(minute.cells)
				f.sums[1].end(floorTo(window, 60_000))
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/series, "ns/sample")
}
