package ingest

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"telltale/ingest/wire"
)

type metrics struct {
	connections    prometheus.Gauge
	inFlight       prometheus.Gauge
	liveOnlyAgents prometheus.Gauge

	bytes           prometheus.Counter
	received        prometheus.Counter
	samples         prometheus.Counter
	stored          prometheus.Counter
	duplicates      prometheus.Counter
	liveOnlyBatches prometheus.Counter
	gaps            prometheus.Counter
	gapBatches      prometheus.Counter
	gapSamples      prometheus.Counter
	full            prometheus.Counter
	stalls          prometheus.Counter
	unanswered      prometheus.Counter
	duplicateAgents prometheus.Counter
	panics          prometheus.Counter

	lag prometheus.Histogram

	frames   *prometheus.CounterVec
	refused  *prometheus.CounterVec
	closed   *prometheus.CounterVec
	rejected *prometheus.CounterVec

	batchFrames   prometheus.Counter // children of the vectors above that every frame needs
	refusedReason map[wire.Reason]prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "telltale_ingest_" + name, Help: help})
	}
	vector := func(name, label, help string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: "telltale_ingest_" + name, Help: help}, []string{label})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: "telltale_ingest_" + name, Help: help})
	}
	m := &metrics{
		connections:    gauge("connections", "WebSocket connections of agents that are open."),
		inFlight:       gauge("in_flight_batches", "Batches taken and not yet stored."),
		liveOnlyAgents: gauge("live_only_agents", "Connected agents whose batches are shown and not stored for the time being."),

		bytes:      counter("bytes_total", "Bytes of messages from agents, before decompression."),
		received:   counter("received_samples_total", "Samples of all batches, those sent again included; a distribution counts once."),
		samples:    counter("samples_total", "Samples taken; a distribution counts once."),
		stored:     counter("stored_samples_total", "Samples stored and acknowledged; a distribution counts once."),
		duplicates: counter("duplicate_batches_total", "Batches sent again that had been taken already."),
		gaps:       counter("gaps_total", "Gaps that agents declared."),
		gapBatches: counter("gap_batches_total", "Batches that agents declared lost."),
		gapSamples: counter("gap_samples_total", "Samples that agents declared lost."),

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
		refused:  vector("refused_samples_total", "reason", "Samples refused by rule, or because storage cannot take their batch."),
		closed:   vector("closed_total", "code", "Connections ended, by close code; client where the agent ended it."),
		rejected: vector("rejected_total", "reason", "Requests turned away before they became a WebSocket."),
	}
	m.batchFrames = m.frames.WithLabelValues("batch")
	m.refusedReason = make(map[wire.Reason]prometheus.Counter)
	for _, reason := range wire.Reasons {
		m.refusedReason[reason] = m.refused.WithLabelValues(string(reason))
	}
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
