package history

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	blocks, rows, doubts, full, quarantined prometheus.Counter
	storeSeconds                            prometheus.Histogram

	tierOverflows          prometheus.Counter
	tierRows, tierRepaired *prometheus.CounterVec // by tier
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
	m.tierOverflows = counter("tier_overflows_total", "Blocks that were not summed up in passing because too many rows waited; their windows are recomputed.")
	byTier := func(name, help string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "telltale_history_" + name, Help: help}, []string{"tier"})
		reg.MustRegister(c)
		return c
	}
	m.tierRows = byTier("tier_rows_total", "Rows written into a tier in passing.")
	m.tierRepaired = byTier("tier_repaired_windows_total", "Windows of a tier recomputed by ClickHouse.")
	reg.MustRegister(tierGauges{w})
	reg.MustRegister(m.storeSeconds, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "telltale_history_unstored_bytes",
		Help: "Memory held by samples that were taken and are not yet stored.",
	}, func() float64 { return float64(w.UnstoredBytes()) }), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "telltale_history_waiting_seconds",
		Help: "How long the oldest sample has waited that was taken and is not yet stored.",
	}, func() float64 { return w.Waiting().Seconds() }))
	return m
}

// tierGauges tells the state of each tier.
type tierGauges struct{ w *Writer }

var (
	tierDirty  = prometheus.NewDesc("telltale_history_tier_dirty_windows", "Windows of a tier that have yet to be recomputed; raw is read instead.", []string{"tier"}, nil)
	tierBehind = prometheus.NewDesc("telltale_history_tier_through_seconds", "Time (Unix) up to which a tier has every window that is not dirty.", []string{"tier"}, nil)
)

// Describe implements prometheus.Collector.
func (g tierGauges) Describe(out chan<- *prometheus.Desc) {
	out <- tierDirty
	out <- tierBehind
}

// Collect implements prometheus.Collector.
func (g tierGauges) Collect(out chan<- prometheus.Metric) {
	for i, dirty := range g.w.filler.dirtyWindows() {
		out <- prometheus.MustNewConstMetric(tierDirty, prometheus.GaugeValue, dirty.windows, tiers[i].table)
		out <- prometheus.MustNewConstMetric(tierBehind, prometheus.GaugeValue, dirty.throughSeconds, tiers[i].table)
	}
}
