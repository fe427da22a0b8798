package ingest

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"telltale/ingest/wire"
)

type metrics struct {
	connections prometheus.Gauge
	bytes       prometheus.Counter
	samples     prometheus.Counter
	duplicates  prometheus.Counter
	gapBatches  prometheus.Counter
	stalls      prometheus.Counter
	panics      prometheus.Counter

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
	m := &metrics{
		connections: f.NewGauge(prometheus.GaugeOpts{
			Name: "telltale_ingest_connections", Help: "WebSocket connections of agents that are open.",
		}),
		bytes:      counter("bytes_total", "Bytes of messages from agents, before decompression."),
		samples:    counter("samples_total", "Samples taken; a distribution counts once."),
		duplicates: counter("duplicate_batches_total", "Batches sent again that had been taken already."),
		gapBatches: counter("gap_batches_total", "Batches that agents declared lost."),
		stalls:     counter("stalls_total", "Times a connection was not read because too many of its batches were in flight."),
		panics:     counter("panics_total", "Connections that ended in a defect of the hub; the log has each."),
		frames:     vector("frames_total", "type", "Frames from agents."),
		refused:    vector("refused_samples_total", "reason", "Samples refused by rule."),
		closed:     vector("closed_total", "code", "Connections ended, by close code; client where the agent ended it."),
		rejected:   vector("rejected_total", "reason", "Requests turned away before they became a WebSocket."),
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
