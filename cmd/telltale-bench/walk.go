package main

import (
	"fmt"
	"math"
	"math/rand/v2"

	"telltale/ingest/wire"
)

// walk is the values of one agent's series: at each tick a third of them move by a Gaussian
// step of standard deviation 1. They have two decimals, so they are kept as hundredths.
type walk struct {
	random *rand.Rand
	values []int32 // hundredths
}

// newWalk starts anywhere from 0 to 100. The same seed and agent walk the same way.
func newWalk(seed, agent uint64, series int) *walk {
	w := &walk{random: rand.New(rand.NewPCG(seed, agent)), values: make([]int32, series)}
	for i := range w.values {
		w.values[i] = w.random.Int32N(100 * 100)
	}
	return w
}

// third is a third of all numbers of 32 bits.
const third = math.MaxUint32 / 3

// step moves the values and returns a copy.
func (w *walk) step() []int32 {
	for i := range w.values {
		if w.random.Uint32() < third {
			w.values[i] += int32(math.Round(w.random.NormFloat64() * 100))
		}
	}
	return append([]int32(nil), w.values...)
}

// metrics is over how many metrics an agent's series spread; a label tells the rest apart.
const metrics = 20

// describe returns the series of every agent: one description serves all, since the hub
// tells agents apart and each connection's encoder knows a series by its pointer.
func describe(series int) []*wire.Series {
	described := make([]*wire.Series, series)
	for i := range described {
		described[i] = &wire.Series{
			Metric: fmt.Sprintf("bench.metric_%02d", i%metrics),
			Unit:   "1",
			Labels: []wire.Label{{Name: "instance", Value: fmt.Sprint(i / metrics)}},
		}
	}
	return described
}
