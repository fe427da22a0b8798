package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"telltale/aggregate"
)

// registerStats exports what the domain code counts, which knows no metrics library.
func registerStats(reg prometheus.Registerer, registry *aggregate.Registry, live *aggregate.Live) {
	gauges := []struct {
		name, help string
		value      func() float64
	}{
		{"series", "Series the hub knows.", func() float64 { return float64(registry.Stats().Series) }},
		{"series_metrics", "Metrics the hub knows.", func() float64 { return float64(registry.Stats().Metrics) }},
		{"live_queries", "Distinct queries that are watched.", func() float64 { return float64(live.Stats().Queries) }},
	}
	for _, g := range gauges {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "telltale_" + g.name, Help: g.help}, g.value))
	}
	counters := []struct {
		name, help string
		value      func() uint64
	}{
		{"series_refused_total", "Series turned away: a limit or a conflict of kinds.", func() uint64 { return registry.Stats().Refused }},
		{"live_rows_total", "Rows the live state has taken.", func() uint64 { return live.Stats().Samples }},
		{"live_late_total", "Samples that amended a closed window.", func() uint64 { return live.Stats().Late }},
		{"live_too_late_total", "Samples too late for any window on screen; history has them.", func() uint64 { return live.Stats().TooLate }},
		{"live_overflow_total", "Samples the live state left out because too many waited; history has them.", func() uint64 { return live.Stats().Overflow }},
	}
	for _, c := range counters {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "telltale_" + c.name, Help: c.help},
			func() float64 { return float64(c.value()) }))
	}
}
