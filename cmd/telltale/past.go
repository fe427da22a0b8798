package main

import (
	"context"
	"errors"

	"telltale/aggregate/history"
	"telltale/dashboard"
)

// past shows the history's reader to the dashboard.
type past struct{ reader *history.Reader }

var _ dashboard.History = past{}

// Query answers queries over the past.
func (p past) Query(ctx context.Context, ask dashboard.HistoryQuery) (dashboard.HistoryAnswer, error) {
	answer, err := p.reader.Query(ctx, history.Request(ask))
	var limit *history.LimitError
	if errors.As(err, &limit) {
		passing := limit.Code == history.CodeBusy || limit.Code == history.CodeTooSlow
		err = &dashboard.LimitError{Code: limit.Code, Message: limit.Message, Passing: passing}
	}
	return dashboard.HistoryAnswer(answer), err
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
