package collect

import (
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"telltale/ingest/wire"
)

// The precision to which values are rounded where they are read, as the number of steps per unit:
// digits beyond what was measured cost bytes and say nothing.
const (
	ratioSteps       = 1e4
	loadSteps        = 100
	temperatureSteps = 10
	secondSteps      = 1e3
)

func round(v, steps float64) float64 { return math.Round(v*steps) / steps }

// ratio is part/whole, within [0, 1] and rounded; of an empty whole it is 0.
func ratio(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return round(min(max(part/whole, 0), 1), ratioSteps)
}

// readings is what one reading of a source yields.
type readings struct {
	samples []wire.Sample
	cut     int // instances left out because there are too many
}

func (r *readings) reset() { r.samples, r.cut = r.samples[:0], 0 }

// add takes a value, unless it is not a number: sensors are known to report such.
func (r *readings) add(s *wire.Series, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return
	}
	r.samples = append(r.samples, wire.Sample{Series: s, Value: v})
}

// A counter turns a total that only grows into increases.
type counter struct {
	series *wire.Series
	last   uint64
	primed bool
}

// increase returns how much the total has grown since the last call; the first call knows nothing
// yet. A total that has fallen was reset to zero in between, so all of it is new.
func (c *counter) increase(total uint64) (increase uint64, known bool) {
	known = c.primed
	increase = total - c.last
	if total < c.last {
		increase = total
	}
	c.last, c.primed = total, true
	return increase, known
}

// count adds the increase of a total.
func (r *readings) count(c *counter, total uint64) {
	if n, known := c.increase(total); known {
		r.add(c.series, float64(n))
	}
}

// countMillis adds the increase of a total of milliseconds, in seconds.
func (r *readings) countMillis(c *counter, total uint64) {
	if n, known := c.increase(total); known {
		r.add(c.series, round(float64(n)/1000, secondSteps))
	}
}

func gauge(metric, unit string, interval time.Duration, labels ...wire.Label) *wire.Series {
	return newSeries(metric, wire.Gauge, unit, interval, labels)
}

func newCounter(metric, unit string, interval time.Duration, labels ...wire.Label) counter {
	return counter{series: newSeries(metric, wire.Counter, unit, interval, labels)}
}

func newSeries(metric string, kind wire.Kind, unit string, interval time.Duration, labels []wire.Label) *wire.Series {
	labels = slices.Clone(labels)
	for i := range labels {
		labels[i].Value = cleanText(labels[i].Value)
	}
	slices.SortFunc(labels, func(a, b wire.Label) int { return strings.Compare(a.Name, b.Name) })
	return &wire.Series{Metric: metric, Kind: kind, Unit: unit, Labels: labels, Interval: interval}
}

// maxValueBytes bounds a label's value: names from the kernel, such as mount points, may be longer
// than a hub accepts.
const maxValueBytes = 256

// cleanText makes a name from outside fit for a label: UTF-8, and not too long.
func cleanText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxValueBytes {
		return s
	}
	end := maxValueBytes
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
