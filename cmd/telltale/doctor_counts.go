package main

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// counts are values of metrics by name, with the value of the metric's only label in braces where it has one.
type counts map[string]float64

// readCounts reads the hub's own metrics that are counters and gauges.
func readCounts(from prometheus.Gatherer) counts {
	families, err := from.Gather()
	if err != nil {
		return nil // a collector that fails shows in /metrics
	}
	read := counts{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			if labels := m.GetLabel(); len(labels) == 1 {
				name += "{" + labels[0].GetValue() + "}"
			}
			switch {
			case m.GetCounter() != nil:
				read[name] = m.GetCounter().GetValue()
			case m.GetGauge() != nil:
				read[name] = m.GetGauge().GetValue()
			}
		}
	}
	return read
}

// hourly remembers what counters were at each of the last sixty minutes, so that what happened once, weeks ago, is not told
// for ever.
type hourly struct {
	minutes []minute // the oldest first
}

type minute struct {
	at     time.Time
	counts counts
}

const hourlyMinutes = 60

// note is called once a minute.
func (h *hourly) note(now time.Time, c counts) {
	if len(h.minutes) == hourlyMinutes {
		h.minutes = append(h.minutes[:0], h.minutes[1:]...)
	}
	only := counts{}
	for name, value := range c {
		if strings.HasSuffix(withoutLabel(name), "_total") {
			only[name] = value
		}
	}
	h.minutes = append(h.minutes, minute{now, only})
}

func withoutLabel(name string) string {
	name, _, _ = strings.Cut(name, "{")
	return name
}

// since returns by how much counters have grown since an hour ago, and how long ago that is. What did not grow is left out.
func (h *hourly) since(now, started time.Time, c counts) (grown counts, span time.Duration) {
	before := minute{at: started}
	if len(h.minutes) == hourlyMinutes {
		before = h.minutes[0]
	}
	grown = counts{}
	for name, value := range c {
		if more := value - before.counts[name]; more > 0 && strings.HasSuffix(withoutLabel(name), "_total") {
			grown[name] = more
		}
	}
	return grown, now.Sub(before.at)
}
