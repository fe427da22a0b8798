package aggregate

import (
	"fmt"
	"testing"
	"time"
)

// The hub's own agent has series of all others: none of the limits of one agent, and no series for ever.
func TestTheHubsOwnSeries(t *testing.T) {
	registry := NewRegistry(Limits{SeriesPerAgent: 2, Own: "hub"})
	live := NewLive(LiveConfig{Idle: time.Minute}, registry)
	now := time.Unix(1_763_800_000, 0)
	live.Advance(now)
	apply := func(source int) {
		t.Helper()
		id := mustIntern(t, registry, testSeries("m", "hub", Gauge, Label{"source", fmt.Sprint(source)}))
		live.Apply(&Batch{Agent: "hub", Series: []SeriesID{id}, TS: []int64{now.UnixMilli()}, Value: []float64{1}, N: []uint32{1}})
	}
	for source := range 5 {
		apply(source)
	}
	for range 120 {
		now = now.Add(30 * time.Second)
		apply(0)
		live.Advance(now)
	}
	if n := registry.Stats().Series; n != 1 {
		t.Errorf("%d series are known an hour later, want the one that has samples", n)
	}
	apply(3) // as good as new
	if stats := live.Stats(); stats.Unknown != 0 || registry.Stats().Series != 2 {
		t.Errorf("%+v", stats)
	}
}
