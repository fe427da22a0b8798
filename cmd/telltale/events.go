package main

import (
	"context"
	"errors"
	"time"

	"telltale/aggregate/history"
	"telltale/dashboard"
)

// events shows what is recorded in history to the dashboard.
type events struct {
	reader *history.Reader
	writer *history.Shards
}

var _ dashboard.Events = events{}

// Between returns the events that touch a range of time.
func (e events) Between(ctx context.Context, from, to time.Time, limit int) ([]dashboard.Event, error) {
	found, err := e.reader.Events(ctx, from, to, limit)
	events := make([]dashboard.Event, len(found))
	for i, event := range found {
		events[i] = dashboard.Event(event)
	}
	return events, asAsked(err)
}

// Find returns the newest version of an event.
func (e events) Find(ctx context.Context, id string) (dashboard.Event, bool, error) {
	event, is, err := e.reader.Event(ctx, id)
	return dashboard.Event(event), is, asAsked(err)
}

// Store stores a version of an event.
func (e events) Store(ctx context.Context, event dashboard.Event) error {
	err := e.writer.StoreEvent(ctx, history.Event(event))
	if errors.Is(err, history.ErrDiskFull) {
		return &dashboard.LimitError{Code: "disk_full", Message: err.Error() + ": nothing is stored until there is room", Passing: true}
	}
	return err
}
