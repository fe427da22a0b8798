package history

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSumsEqualThoseOfAMap adds blocks of any size and order, and compares with plain sums by key.
func TestSumsEqualThoseOfAMap(t *testing.T) {
	type key struct {
		series uint64
		bin    float64
	}
	rng := rand.New(rand.NewPCG(5, 5))
	for range 300 {
		want := map[key]*cell{}
		var a accumulator
		for range 1 + rng.IntN(6) {
			block := make([]cell, rng.IntN(200))
			for i := range block {
				block[i] = cell{series: rng.Uint64N(60), count: 1 + rng.Uint64N(4), lastTS: noLast}
				if c := &block[i]; c.series%3 == 0 {
					c.bin = float64(rng.IntN(5))
				} else {
					v := float64(rng.IntN(9))
					c.sum, c.min, c.max, c.last, c.lastTS = v, v, v, v, rng.Int64N(20)
				}
			}
			slices.SortStableFunc(block, func(a, b cell) int { return cmp.Compare(a.series, b.series) })
			for i := range block {
				c := block[i]
				a.add(&c)
				if w := want[key{c.series, c.bin}]; w != nil {
					w.merge(&c)
				} else {
					want[key{c.series, c.bin}] = &c
				}
			}
			a.settle()
		}
		if len(a.cells) != len(want) {
			t.Fatalf("%d cells, want %d", len(a.cells), len(want))
		}
		for i, c := range a.cells {
			if i > 0 && !a.cells[i-1].before(c.series, c.bin) {
				t.Fatal("cells are not sorted")
			}
			if w := want[key{c.series, c.bin}]; w == nil || *w != c {
				t.Fatalf("%+v, want %+v", c, w)
			}
			if isBin, known := a.kindOf(c.series); !known || isBin != (c.series%3 == 0) {
				t.Fatalf("series %d is bins: %v, known: %v", c.series, isBin, known)
			}
		}
	}
}

func TestLastIsTheGreatestOfTheNewestTime(t *testing.T) {
	c := cell{series: 1, count: 1, sum: 1, min: 1, max: 1, last: 1, lastTS: 5}
	for _, o := range []struct {
		last float64
		ts   int64
		want float64
	}{{9, 4, 1}, {3, 5, 3}, {2, 5, 3}, {0, 6, 0}} {
		c.merge(&cell{series: 1, count: 1, sum: o.last, min: o.last, max: o.last, last: o.last, lastTS: o.ts})
		if c.last != o.want {
			t.Errorf("after %v at %d the last is %v, want %v", o.last, o.ts, c.last, o.want)
		}
	}
	if c.count != 5 || c.sum != 15 || c.min != 0 || c.max != 9 {
		t.Errorf("%+v", c)
	}
}
