package ingest

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"telltale/ingest/wire"
)

type metrics struct {
	connections    prometheus.Gauge
	agents         *level
	inFlight       *level
	liveOnlyAgents *level

	received         *total
	stored           *total
	duplicateSamples *total
	liveOnlySamples  *total
	refused          totalsBy // wire.Reasons
	gaps             totalsBy // gapReasons
	gapSamples       totalsBy // gapReasons

	bytes           prometheus.Counter
	samples         prometheus.Counter
	duplicates      prometheus.Counter
	liveOnlyBatches prometheus.Counter
	gapBatches      prometheus.Counter
	full            prometheus.Counter
	stalls          prometheus.Counter
	unanswered      prometheus.Counter
	duplicateAgents prometheus.Counter
	panics          prometheus.Counter

	lag  prometheus.Histogram
	lags lagSketch // the same values, for the hub's own series

	frames   *prometheus.CounterVec
	closed   *prometheus.CounterVec
	rejected *prometheus.CounterVec

	batchFrames prometheus.Counter // the child of frames that every frame needs
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	options := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Name: "telltale_ingest_" + name, Help: help}
	}
	counter := func(name, help string) prometheus.Counter { return f.NewCounter(options(name, help)) }
	total := func(name, help string) *total { return newTotal(f, options(name, help)) }
	vector := func(name, label, help string) *prometheus.CounterVec {
		return f.NewCounterVec(options(name, help), []string{label})
	}
	level := func(name, help string) *level {
		return newLevel(f, prometheus.GaugeOpts{Name: "telltale_ingest_" + name, Help: help})
	}
	refusals := make([]string, len(wire.Reasons))
	for i, reason := range wire.Reasons {
		refusals[i] = string(reason)
	}
	m := &metrics{
		connections: f.NewGauge(prometheus.GaugeOpts{
			Name: "telltale_ingest_connections", Help: "WebSocket connections of agents that are open.",
		}),
		agents:         level("agents", "Agents that are connected and welcome."),
		inFlight:       level("in_flight_batches", "Batches taken and not yet stored."),
		liveOnlyAgents: level("live_only_agents", "Connected agents whose batches are shown and not stored for the time being."),

		bytes:      counter("bytes_total", "Bytes of messages from agents, before decompression."),
		received:   total("received_samples_total", "Samples of all batches, those sent again included; a distribution counts once."),
		samples:    counter("samples_total", "Samples taken; a distribution counts once."),
		stored:     total("stored_samples_total", "Samples stored and acknowledged; a distribution counts once."),
		duplicates: counter("duplicate_batches_total", "Batches sent again that had been taken already."),
		gapBatches: counter("gap_batches_total", "Batches that agents declared lost."),

		duplicateSamples: total("duplicate_samples_total", "Samples of batches sent again that had been taken already."),
		liveOnlySamples:  total("live_only_samples_total", "Samples shown and not stored; they are to come again."),

		refused: newTotalsBy(f, options("refused_samples_total", "Samples refused by rule, or because storage cannot take their batch."), "reason", refusals),
		gaps:    newTotalsBy(f, options("gaps_total", "Gaps that agents declared."), "reason", gapReasons),
		gapSamples: newTotalsBy(f, options("gap_samples_total", "Samples that agents declared lost, as far as they know their number."),
			"reason", gapReasons),

		liveOnlyBatches: counter("live_only_batches_total", "Batches shown and not stored; they are to come again."),
		duplicateAgents: counter("duplicate_agents_total", "Times two machines with one agent id were found, and told."),
		full:            counter("full_total", "Batches for which the bound on unstored samples left no room."),

		stalls:     counter("stalls_total", "Times a connection was not read because too many of its batches were in flight."),
		unanswered: counter("unanswered_welcomes_total", "Agents welcomed live-only because storage could not say yet how far it has them."),

		panics: counter("panics_total", "Connections that ended in a defect of the hub; the log has each."),

		lag: f.NewHistogram(prometheus.HistogramOpts{
			Name: "telltale_ingest_lag_seconds", Help: "From the time of a batch's last sample to its being stored.",
			Buckets: []float64{.25, .5, .75, 1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 10, 30, 60, 300, 1800, 3600, 4 * 3600, 24 * 3600},
		}),

		frames:   vector("frames_total", "type", "Frames from agents."),
		closed:   vector("closed_total", "code", "Connections ended, by close code; client where the agent ended it."),
		rejected: vector("rejected_total", "reason", "Requests turned away before they became a WebSocket."),
	}
	m.batchFrames = m.frames.WithLabelValues("batch")
	return m
}

// countClosed counts the end of a connection; nil is the agent's own doing.
func (m *metrics) countClosed(cause *wire.CloseError) {
	code := "client"
	if cause != nil {
		code = cause.Code.String()
	}
	m.closed.WithLabelValues(code).Inc()
}
