package history

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSortOrdersBySeriesThenTimeAndKeepsTies(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	type row struct {
		series uint64
		ts     int64
		value  float64
		n      uint32
	}
	for _, size := range []int{0, 1, 2, 1000, 5000} {
		var src rows
		var want []row
		for i := range size {
			// Few distinct ids and times, so that there are ties; ids over the whole range, some alike in their upper bits.
			r := row{random.Uint64N(7)*0x2545F4914F6CDD1D + random.Uint64N(3), random.Int64N(4), float64(i), uint32(i)}
			want = append(want, r)
			src.append(r.series, r.ts, r.value, r.n)
		}
		slices.SortStableFunc(want, func(a, b row) int {
			if a.series != b.series {
				if a.series < b.series {
					return -1
				}
				return 1
			}
			return int(a.ts - b.ts)
		})
		var dst rows
		var s sorter
		s.sort(&dst, &src)
		for i, w := range want {
			if got := (row{dst.series[i], dst.ts[i], dst.value[i], dst.n[i]}); got != w {
				t.Fatalf("size %d: row %d is %+v, want %+v", size, i, got, w)
			}
		}
		if dst.len() != size {
			t.Fatalf("%d rows, want %d", dst.len(), size)
		}
	}
}

func BenchmarkSort(b *testing.B) {
	const size = 100_000
	var src, dst rows
	random := rand.New(rand.NewPCG(1, 2))
	for range size {
		src.append(random.Uint64(), 0, 0, 1)
	}
	var s sorter
	for b.Loop() {
		dst.reset()
		s.sort(&dst, &src)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/size, "ns/row")
}
