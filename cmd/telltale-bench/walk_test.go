package main

import (
	"math"
	"slices"
	"testing"

	"telltale/ingest/wire"
)

func TestWalk(t *testing.T) {
	const series, steps = 1000, 200
	w, again, other := newWalk(7, 3, series), newWalk(7, 3, series), newWalk(7, 4, series)
	before := slices.Clone(w.values)
	moved, squares := 0, 0.0
	for range steps {
		values := w.step()
		if !slices.Equal(values, again.step()) {
			t.Fatal("the same seed and agent walk differently")
		}
		if slices.Equal(values, other.step()) {
			t.Fatal("two agents walk alike")
		}
		for i, v := range values {
			if v != before[i] {
				moved++
				squares += float64(v-before[i]) * float64(v-before[i])
			}
		}
		before = values
	}
	if share := float64(moved) / (series * steps); math.Abs(share-1.0/3) > 0.01 {
		t.Errorf("%.3f of the values move at each step, want a third", share)
	}
	if deviation := math.Sqrt(squares/float64(moved)) / 100; math.Abs(deviation-1) > 0.02 {
		t.Errorf("steps have a standard deviation of %.3f, want 1", deviation)
	}
}

// What step returned must not move with the next step: it is held for a resend.
func TestStepReturnsACopy(t *testing.T) {
	w := newWalk(1, 1, 500)
	first := w.step()
	kept := slices.Clone(first)
	w.step()
	if !slices.Equal(first, kept) {
		t.Error("a later step changed the values of an earlier one")
	}
}

func TestDescribe(t *testing.T) {
	limits := wire.DefaultLimits()
	seen := map[string]bool{}
	for _, s := range describe(limits.SamplesPerBatch) {
		if reason := limits.CheckSeries(s); reason != "" {
			t.Fatalf("series %+v would be refused: %s", s, reason)
		}
		seen[s.Metric+s.Labels[0].Value] = true
	}
	if len(seen) != limits.SamplesPerBatch {
		t.Errorf("%d different series of %d", len(seen), limits.SamplesPerBatch)
	}
}
