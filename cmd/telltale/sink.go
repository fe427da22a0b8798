package main

import (
	"context"
	"errors"
	"fmt"

	"telltale/aggregate"
	"telltale/aggregate/history"
	"telltale/ingest"
	"telltale/ingest/wire"
)

// sink is where the agents' door hands over: live state and history.
type sink struct {
	registry *aggregate.Registry
	live     *aggregate.Live
	writer   *history.Shards
}

var _ ingest.Sink = (*sink)(nil)

// Series makes a series known.
func (s *sink) Series(d wire.Series) (uint64, error) {
	labels := make([]aggregate.Label, len(d.Labels))
	for i, l := range d.Labels {
		labels[i] = aggregate.Label(l)
	}
	id, err := s.registry.Intern(aggregate.Series{
		Metric: d.Metric, Kind: aggregate.Kind(d.Kind), Unit: d.Unit, Labels: labels, Interval: d.Interval,
	})
	var refusal *aggregate.Refusal
	if !errors.As(err, &refusal) {
		return id, err
	}
	reason := wire.SeriesLimit
	if refusal.Reason == aggregate.ReasonKindConflict {
		reason = wire.KindConflict
	}
	return 0, fmt.Errorf("%w: %s", reason, refusal.Message)
}

// Detach lets series that the agent does not describe again be forgotten in time.
func (s *sink) Detach(agent string) { s.registry.Detach(agent) }

// Admit asks storage how far it has the agent's epochs, and makes it known to storage.
func (s *sink) Admit(ctx context.Context, a wire.Agent) (map[string]uint64, error) {
	return s.writer.Admit(ctx, a.ID, labelMap(a.Labels), labelMap(a.Attributes))
}

func labelMap(labels []wire.Label) map[string]string {
	m := make(map[string]string, len(labels))
	for _, l := range labels {
		m[l.Name] = l.Value
	}
	return m
}

// Take gives a batch to storage.
func (s *sink) Take(b *ingest.Batch) error {
	batch := aggregate.Batch(*b)
	return full(s.writer.Take(&batch))
}

// TakeGap gives a declared gap to storage.
func (s *sink) TakeGap(g *ingest.Gap) error {
	gap := aggregate.Gap(*g)
	return full(s.writer.TakeGap(&gap))
}

// full says in the door's words that storage has no room.
func full(err error) error {
	if errors.Is(err, history.ErrFull) {
		return ingest.ErrFull
	}
	return err
}

// Live updates the live state.
func (s *sink) Live(b *ingest.Batch) {
	batch := aggregate.Batch(*b)
	s.live.Apply(&batch)
}

// Fill is the share of the bound on unstored samples that is used, where the agent's go.
func (s *sink) Fill(agent string) float64 { return s.writer.Level(agent) }

// Forget drops what is held for an agent that has left.
func (s *sink) Forget(agent string) {
	s.writer.Forget(agent)
	s.registry.Detach(agent)
}
