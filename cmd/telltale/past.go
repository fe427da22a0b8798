package main

import (
	"context"

	"telltale/aggregate/history"
	"telltale/dashboard"
)

// past shows the history's reader to the dashboard.
type past struct{ reader *history.Reader }

var _ dashboard.History = past{}

// Query answers queries over the past.
func (p past) Query(ctx context.Context, ask dashboard.HistoryQuery) (dashboard.HistoryAnswer, error) {
	answer, err := p.reader.Query(ctx, history.Request(ask))
	return dashboard.HistoryAnswer(answer), asAsked(err)
}

// Agents returns every agent that history knows.
func (p past) Agents(ctx context.Context) ([]dashboard.KnownAgent, error) {
	known, err := p.reader.Agents(ctx)
	agents := make([]dashboard.KnownAgent, len(known))
	for i, a := range known {
		agents[i] = dashboard.KnownAgent{ID: a.ID, Labels: a.Labels, Attributes: a.Attributes, LastSeen: a.LastSeen}
	}
	return agents, err
}
