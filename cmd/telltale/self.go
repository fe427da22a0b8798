package main

import (
	"context"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"telltale/aggregate"
	"telltale/aggregate/history"
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
	shards := h.writer.Each()
	if h.writer.Ready() != nil || slices.ContainsFunc(shards, func(w *history.Writer) bool { return w.Ready() != nil }) {
		s.Behind = "starting"
	}
	if len(shards) > 1 {
		own := h.writer.Of(self.ID)
		s.Others = own == nil || own.Behind() == ""
	}
	return s
}

// watchSpools has /metrics tell how much agents hold, which is in their own series.
func (h *hub) watchSpools() error {
	held, err := h.live.Watch(time.Now(), map[string]aggregate.Query{
		"batches": {Metric: "telltale.agent.spool.batches", Over: aggregate.Last, Agg: aggregate.AggSum, Step: aggregate.Second},
	})
	if err != nil {
		return err
	}
	h.onClose(held.Close)
	var newest atomic.Uint64 // a window is given once, and there may be two scrapes of it
	return h.metrics.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "telltale_agents_spooled_batches", Help: "Batches that connected agents hold, as they say; a few of each are always under way.",
	}, func() float64 {
		for _, tick := range held.Ticks() {
			batches := 0.0
			for _, value := range tick.Results["batches"].Values {
				if !math.IsNaN(value) {
					batches = value
				}
			}
			newest.Store(math.Float64bits(batches))
		}
		return math.Float64frombits(newest.Load())
	}))
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
