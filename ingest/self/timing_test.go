package self

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"telltale/aggregate"
	"telltale/ingest"
	"telltale/ingest/wire"
)

// real is a sink with the real registry and live state.
type real struct {
	hub
	registry *aggregate.Registry
	live     *aggregate.Live
}

func (r *real) Series(s wire.Series) (uint64, error) {
	labels := make([]aggregate.Label, len(s.Labels))
	for i, l := range s.Labels {
		labels[i] = aggregate.Label(l)
	}
	return r.registry.Intern(aggregate.Series{
		Metric: s.Metric, Kind: aggregate.Kind(s.Kind), Unit: s.Unit, Labels: labels, Interval: s.Interval,
	})
}

func (r *real) Take(*ingest.Batch) error { return nil }

func (r *real) Live(b *ingest.Batch) {
	batch := aggregate.Batch(*b)
	r.live.Apply(&batch)
}

// A round of 10,000 agents and the nine ticks between two of them: ten seconds of a large hub.
func BenchmarkTenSecondsOf10000Agents(b *testing.B) {
	registry := aggregate.NewRegistry(aggregate.Limits{Own: ID})
	r := &real{registry: registry, live: aggregate.NewLive(aggregate.LiveConfig{}, registry)}
	for i := range 10_000 {
		r.agents = append(r.agents, ingest.AgentStatus{
			ID: fmt.Sprintf("web-%05d", i), ClockTold: true, RoundTrip: 1, Tally: ingest.Tally{Received: 1, Stored: 1, Lag: time.Second},
		})
	}
	a := New(Parts{Sink: r, Door: r, Storage: func() Storage { return Storage{} }, Log: slog.New(slog.DiscardHandler)})
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		for range ticksPerRound {
			now = now.Add(Interval)
			a.tick(b.Context(), now)
			r.live.Advance(now)
		}
	}
	if a.queue.rows != 0 {
		b.Fatal("batches are held")
	}
}
