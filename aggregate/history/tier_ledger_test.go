package history

import (
	"math/rand/v2"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

func testCounter(t *testing.T, c prometheus.Metric) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

func TestRangeSetIsASet(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 500 {
		var s rangeSet
		var want [60]bool
		for range 40 {
			r := Range{rng.Int64N(60), rng.Int64N(60)}
			in := rng.IntN(2) == 0
			if in {
				s.add(r)
			} else if r.From < r.To {
				s.remove(r)
			}
			for at := r.From; at < r.To; at++ {
				want[at] = in
			}
		}
		var total int64
		for at, in := range want {
			if got := s.overlaps(Range{int64(at), int64(at) + 1}); got != in {
				t.Fatalf("%v has %d: %v, want %v", s, at, got, in)
			}
			if in {
				total++
			}
		}
		if s.total() != total {
			t.Fatalf("%v is %d long, want %d", s, s.total(), total)
		}
		for i := 1; i < len(s); i++ {
			if s[i-1].To >= s[i].From {
				t.Fatalf("%v touch", s)
			}
		}
		joined := s.joined(3)
		if len(joined) > 3 {
			t.Fatalf("%v joined to %v", s, joined)
		}
		for _, r := range s {
			if r.From < joined[0].From || !joined.overlaps(Range{r.From, r.From + 1}) || !joined.overlaps(Range{r.To - 1, r.To}) {
				t.Fatalf("%v lacks %v of %v", joined, r, s)
			}
		}
	}
}
