package history

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

type readerMetrics struct {
	waiting atomic.Int64
	refused prometheus.Counter
	shared  prometheus.Counter
	kept    prometheus.Counter
	seconds prometheus.Histogram
}

func newReaderMetrics(reg prometheus.Registerer) *readerMetrics {
	m := &readerMetrics{
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "telltale_history_reads_refused_total",
			Help: "Queries refused because too many were waiting.",
		}),
		shared: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "telltale_history_reads_shared_total",
			Help: "Queries answered by an equal one that was running.",
		}),
		kept: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "telltale_history_reads_kept_total",
			Help: "Queries answered by what an equal one had read shortly before.",
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "telltale_history_read_seconds",
			Help:    "Time a query took in ClickHouse.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}),
	}
	reg.MustRegister(m.refused, m.shared, m.kept, m.seconds, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "telltale_history_reads_waiting",
		Help: "Queries that wait for their turn.",
	}, func() float64 { return float64(m.waiting.Load()) }))
	return m
}
