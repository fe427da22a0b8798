package history

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	blocks, rows, doubts, full, quarantined prometheus.Counter
	storeSeconds                            prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, w *Writer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "telltale_history_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	m := &metrics{
		blocks:      counter("stored_blocks_total", "Blocks stored in ClickHouse."),
		rows:        counter("stored_rows_total", "Rows stored in ClickHouse: samples, with one row per bin of a distribution."),
		doubts:      counter("doubts_total", "Inserts whose outcome had to be settled by looking."),
		full:        counter("full_total", "Batches refused because the bound on unstored samples was reached."),
		quarantined: counter("quarantined_batches_total", "Batches set aside because ClickHouse cannot take them."),
		storeSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "telltale_history_store_seconds",
			Help:    "Time from the first attempt to store a block until it was stored.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 14),
		}),
	}
	reg.MustRegister(m.storeSeconds, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "telltale_history_unstored_bytes",
		Help: "Memory held by samples that were taken and are not yet stored.",
	}, func() float64 {
		w.mu.Lock()
		defer w.mu.Unlock()
		return float64(w.unstored)
	}))
	return m
}
