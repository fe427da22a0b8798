//go:build prove

package history

import "testing"

func TestProveEveryStepOfStoring(t *testing.T) {
	victims := newVictims(t)
	for _, harms := range [][]harm{withoutTheEngine, withTheEngine} {
		for turn := range harms {
			strike(t, victims, harms, turn)
		}
	}
}
