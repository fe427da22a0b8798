package ingest

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// total is a counter that the hub itself can read: what /metrics tells and what it sends of
// itself are the same numbers.
type total struct {
	prometheus.CounterFunc
	n atomic.Uint64
}

func newTotal(f promauto.Factory, o prometheus.CounterOpts) *total {
	t := &total{}
	t.CounterFunc = f.NewCounterFunc(o, func() float64 { return float64(t.n.Load()) })
	return t
}

func (t *total) add(n uint64) { t.n.Add(n) }

// level is a gauge that the hub itself can read.
type level struct {
	prometheus.GaugeFunc
	n atomic.Int64
}

func newLevel(f promauto.Factory, o prometheus.GaugeOpts) *level {
	l := &level{}
	l.GaugeFunc = f.NewGaugeFunc(o, func() float64 { return float64(l.n.Load()) })
	return l
}

func (l *level) add(n int) { l.n.Add(int64(n)) }

// totalsBy is a counter for each value of one label. The values are all there from the
// beginning: a rate of nothing is 0, and no client can make more of them.
type totalsBy map[string]*total

func newTotalsBy(f promauto.Factory, o prometheus.CounterOpts, label string, values []string) totalsBy {
	by := make(totalsBy, len(values))
	for _, value := range values {
		o.ConstLabels = prometheus.Labels{label: value}
		by[value] = newTotal(f, o)
	}
	return by
}

func (by totalsBy) load() map[string]uint64 {
	loaded := make(map[string]uint64, len(by))
	for value, t := range by {
		loaded[value] = t.n.Load()
	}
	return loaded
}
