package main

import (
	"context"
	"time"

	"telltale/aggregate/history"
	"telltale/dashboard"
	"telltale/ingest/self"
)

// past shows the history's reader to the dashboard.
type past struct{ reader *history.Reader }

var _ dashboard.History = past{}

// Query answers queries over the past.
func (p past) Query(ctx context.Context, ask dashboard.HistoryQuery) (dashboard.HistoryAnswer, error) {
	answer, err := p.reader.Query(ctx, history.Request(ask))
	return dashboard.HistoryAnswer(answer), asAsked(err)
}

// Agents returns every agent that history knows, but the hub itself: it is no host.
func (p past) Agents(ctx context.Context) ([]dashboard.KnownAgent, error) {
	known, err := p.reader.Agents(ctx)
	agents := make([]dashboard.KnownAgent, 0, len(known))
	for _, a := range known {
		if a.ID != self.ID {
			agents = append(agents, dashboard.KnownAgent{
				ID: a.ID, Labels: a.Labels, Attributes: a.Attributes, LastSeen: a.LastSeen, ClockOffset: a.ClockOffset,
			})
		}
	}
	return agents, err
}

// Gaps returns what agents declared lost.
func (p past) Gaps(ctx context.Context, agent string, from, to time.Time) ([]dashboard.Gap, error) {
	found, err := p.reader.Gaps(ctx, agent, from, to)
	gaps := make([]dashboard.Gap, len(found))
	for i, g := range found {
		gaps[i] = dashboard.Gap(g)
	}
	return gaps, asAsked(err)
}
