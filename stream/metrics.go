package stream

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	viewers   prometheus.Gauge
	events    prometheus.Counter
	bytes     prometheus.Counter
	conflated prometheus.Counter
	gaps      *prometheus.CounterVec // by reason
	gone      *prometheus.CounterVec // by reason
	refused   *prometheus.CounterVec // by reason
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "telltale", Subsystem: "stream", Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	byReason := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), []string{"reason"})
	}
	m := &metrics{
		viewers:   prometheus.NewGauge(prometheus.GaugeOpts(opts("viewers", "Streams open now."))),
		events:    counter("events_total", "Ticks, snapshots and notices handed to viewers."),
		bytes:     counter("bytes_total", "Bytes handed to viewers' connections, before TLS."),
		conflated: counter("conflated_total", "Times a slow viewer got a snapshot in place of the ticks it was behind."),
		gaps:      byReason("gaps_total", "Gaps announced to viewers."),
		gone:      byReason("gone_total", "Streams ended."),
		refused:   byReason("refused_total", "Viewers asked to come back later."),
	}
	for _, c := range []prometheus.Collector{m.viewers, m.events, m.bytes, m.conflated, m.gaps, m.gone, m.refused} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// tally is what a writer counts for itself between two flushes: viewers come by the
// hundred thousand a second, and writers share the metrics.
type tally struct {
	events, bytes, conflated int
	gaps                     map[string]int
}

func (t *tally) flush(m *metrics) {
	m.events.Add(float64(t.events))
	m.bytes.Add(float64(t.bytes))
	m.conflated.Add(float64(t.conflated))
	for reason, n := range t.gaps {
		m.gaps.WithLabelValues(reason).Add(float64(n))
	}
	clear(t.gaps)
	*t = tally{gaps: t.gaps}
}
