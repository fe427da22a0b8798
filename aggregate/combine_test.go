package aggregate

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestNearestRank(t *testing.T) {
	f := func(p int, n, want uint64) {
		t.Helper()
		if got := nearestRank(p, n); got != want {
			t.Errorf("p%d of %d values has rank %d, want %d", p, n, got, want)
		}
	}
	f(50, 1, 1)
	f(50, 2, 1)
	f(50, 3, 2)
	f(90, 10, 9)
	f(95, 20, 19)
	f(95, 21, 20)
	f(99, 100, 99)
	f(99, 101, 100)
	f(99, 1, 1)
}

func TestSelectRankIsThatOfTheSortedValues(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		values := make([]float64, 1+rng.IntN(2000))
		for i := range values {
			values[i] = float64(rng.IntN(1 + rng.IntN(5000)))
		}
		if rng.IntN(4) == 0 {
			slices.Sort(values)
		}
		sorted := slices.Sorted(slices.Values(values))
		rank := 1 + rng.IntN(len(values))
		if got := selectRank(values, rank); got != sorted[rank-1] {
			t.Fatalf("rank %d of %d values: %v, want %v", rank, len(values), got, sorted[rank-1])
		}
	}
}

func TestSelectRankOfAnUnluckyOrder(t *testing.T) {
	values := make([]float64, 4096)
	for i := range values { // an organ pipe, which a median of three halves badly
		values[i] = float64(min(i, len(values)-i))
	}
	if got := selectRank(values, 4096); got != 2048 {
		t.Fatalf("got %v, want 2048", got)
	}
}

func TestBinLogMerges(t *testing.T) {
	var l binLog
	for i := range 100_000 {
		l.add(binRow{pos: int32(i % 3), value: float64(i % 7), n: 2})
	}
	if len(l.rows) > 2048 {
		t.Fatalf("%d rows are kept of 21 bins", len(l.rows))
	}
	var out [1]float64
	combineBins(AggCount, l.rows, nil, out[:])
	if out[0] != 200_000 {
		t.Fatalf("they count %v values, want 200000", out[0])
	}
}

func TestSteps(t *testing.T) {
	for i, step := range Steps {
		if again, err := ParseStep(step.String()); err != nil || again != step {
			t.Errorf("%v reads back as %v, %v", step, again, err)
		}
		if i > 0 && step <= Steps[i-1] {
			t.Errorf("%v is not longer than %v", step, Steps[i-1])
		}
	}
	if _, err := ParseStep("2s"); err == nil {
		t.Error("2s was taken")
	}
	if end := Minute.WindowEnd(60_000); end != 120_000 {
		t.Errorf("60 s is in the window that ends at %d", end)
	}
	if end := Minute.WindowEnd(59_999); end != 60_000 {
		t.Errorf("59.999 s is in the window that ends at %d", end)
	}
}

func TestCarriedWindows(t *testing.T) {
	f := func(interval time.Duration, step Step, want int64) {
		t.Helper()
		if got := step.CarriedWindows(interval); got != want {
			t.Errorf("an interval of %v is carried for %d windows of %v, want %d", interval, got, step, want)
		}
	}
	f(time.Second, Second, 2)
	f(15*time.Second, Second, 37)
	f(time.Second, TenSeconds, 0)
	f(4*time.Second, TenSeconds, 1)
	f(3999*time.Millisecond, TenSeconds, 0)
	f(time.Minute, Minute, 2)
}
