package collect

import "github.com/prometheus/client_golang/prometheus"

// metrics are the package's own, each by collector.
type metrics struct {
	registerer          prometheus.Registerer
	failures, late, cut *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		registerer: r,
		failures:   byCollector("telltale_collect_failures_total", "Readings that failed, wholly or in part."),
		late:       byCollector("telltale_collect_late_total", "Readings that were not there when their tick was sent."),
		cut:        byCollector("telltale_collect_cut_instances_total", "Instances (disks, interfaces, ...) left out of a reading by the bound on their number."),
	}
	if r != nil {
		r.MustRegister(m.failures, m.late, m.cut)
	}
	return m
}

func byCollector(name, help string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"collector"})
}

func (m *metrics) unregister() {
	if m.registerer == nil {
		return
	}
	for _, v := range []*prometheus.CounterVec{m.failures, m.late, m.cut} {
		m.registerer.Unregister(v)
	}
}
