package main

import (
	"context"
	"time"

	"telltale/ingest/self"
	"telltale/ingest/wire"
)

// newSelf makes the agent that sends what the hub counts of itself.
func (h *hub) newSelf(to self.Sink) *self.Agent {
	return self.New(self.Parts{
		Sink: to, Door: h.door, Storage: h.storage, Log: h.log,
		Attributes: []wire.Label{{Name: "service.name", Value: "telltale"}, {Name: "service.version", Value: version}},
	})
}

// storage is how storing goes.
func (h *hub) storage() self.Storage {
	s := self.Storage{UnstoredBytes: h.writer.UnstoredBytes(), Waiting: h.writer.Waiting(), Behind: h.writer.Behind()}
	if h.writer.Ready() != nil {
		s.Behind = "starting"
	}
	return s
}

// clocksEvery is how often the agents' clocks are noted: a round trip is known soon after hello.
const clocksEvery = 5 * time.Second

// noteClocks has it stored how far agents' clocks are from the hub's, until ctx ends.
func (h *hub) noteClocks(ctx context.Context) {
	tick := time.NewTicker(clocksEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, a := range h.door.Agents() {
			if a.ClockTold && a.RoundTrip > 0 {
				h.writer.ClockOffset(a.ID, a.ClockOffset)
			}
		}
	}
}
