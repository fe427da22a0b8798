// Package aggregate is the domain of Telltale: series, queries and live rollups.
// It knows no HTTP, no SSE and no SQL.
package aggregate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Kind says what a sample's value means; the three kinds are defined in docs/protocol.md.
type Kind uint8

// The kinds of series. The zero value is a gauge, which is what a sample without a kind is.
const (
	Gauge        Kind = iota // the value is a state: a temperature, a ratio
	Counter                  // the value is the increase since the series' previous sample
	Distribution             // the value stands for n values in one sketch bin
)

var kindNames = [...]string{"gauge", "counter", "distribution"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// ParseKind reads a kind's name; the empty name is a gauge.
func ParseKind(name string) (Kind, error) {
	if name == "" {
		return Gauge, nil
	}
	i := slices.Index(kindNames[:], name)
	if i < 0 {
		return 0, fmt.Errorf("unknown kind %q: use gauge, counter or distribution", name)
	}
	return Kind(i), nil
}

// Label is one name-value pair of a series.
type Label struct{ Name, Value string }

// AgentLabel is the reserved label that names the agent a series comes from.
const AgentLabel = "agent"

// Series describes one stream of samples.
type Series struct {
	ID       SeriesID
	Metric   string
	Kind     Kind
	Unit     string        // UCUM, as OpenTelemetry writes it: "By", "s", "1"
	Labels   []Label       // sorted by name, names unique, AgentLabel among them
	Interval time.Duration // between two samples, as its sender says; never zero
}

// Label returns the value of the label with this name, or "" where there is none.
func (s *Series) Label(name string) string {
	i, found := slices.BinarySearchFunc(s.Labels, name, func(l Label, name string) int {
		return strings.Compare(l.Name, name)
	})
	if !found {
		return ""
	}
	return s.Labels[i].Value
}

// SeriesID identifies a series by its metric and labels, alike on every hub.
// The top bit is always set: ids without it are reserved for storage's own rows.
type SeriesID = uint64

// FirstSeriesID is the smallest id a series of samples can have.
const FirstSeriesID SeriesID = 1 << 63

// metricBits is how much of a series' id is of its metric alone.
const metricBits = 12

// NewSeriesID hashes (XXH64) the metric and the labels, which must be sorted by name.
// Kind and unit are attributes of a series, not part of its identity.
//
// The upper bits are of the metric, so that storage, which is ordered by id, has the series of a metric side by side: a panel
// reads those of one metric, and so a run of rows in place of one place for each series.
func NewSeriesID(metric string, labels []Label) SeriesID {
	var d xxhash.Digest
	d.Reset()
	separator := []byte{0xff} // no valid UTF-8 text contains it
	_, _ = d.WriteString(metric)
	for _, l := range labels {
		_, _ = d.Write(separator)
		_, _ = d.WriteString(l.Name)
		_, _ = d.Write(separator)
		_, _ = d.WriteString(l.Value)
	}
	return FirstSeriesID | xxhash.Sum64String(metric)>>1&^SeriesBits | d.Sum64()&SeriesBits
}

// SeriesBits are the bits of an id that tell the series of a metric apart. The others are of the metric alone; they were not in the
// first ids there were, in which these bits were the same as now.
const SeriesBits SeriesID = 1<<(63-metricBits) - 1
