package wire

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/DataDog/sketches-go/ddsketch/mapping"
)

// TestBinsAreThoseOfDDSketch holds keys and values to the mapping of another implementation. It numbers bins from their lower ends, so
// its numbers are one less; of a value on the edge of two bins, either may be said.
func TestBinsAreThoseOfDDSketch(t *testing.T) {
	theirs, err := mapping.NewLogarithmicMapping(0.01)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	values := []float64{1, 0.99, 1.01, 1e-300, 1e300, math.Pi}
	for range 200_000 {
		values = append(values, math.Exp((rng.Float64()*2-1)*700))
	}
	edges := 0
	for _, v := range values {
		ours, want := int(BinKey(v))-keyOffset, theirs.Index(v)+1
		if ours != want {
			edges++
			if position := math.Log(v) / lnGamma; math.Abs(position-math.Round(position)) > 1e-9 || ours-want > 1 || want-ours > 1 {
				t.Fatalf("%v is in bin %d, elsewhere in %d", v, ours, want)
			}
		}
		// The value that stands for a bin differs by how its middle is rounded: both are within 1 % of all in it.
		if got, other := BinValue(int32(want)+keyOffset), theirs.Value(want-1); math.Abs(got-other) > 1e-9*other {
			t.Fatalf("bin %d stands for %v, elsewhere for %v", want, got, other)
		}
	}
	if edges > 5 {
		t.Errorf("%d values of %d are on edges", edges, len(values))
	}
}
