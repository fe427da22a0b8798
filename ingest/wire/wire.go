// Package wire is the agent protocol, telltale.v1: its frames, their binary and JSON
// forms, its limits and its close codes. Both ends use it; docs/protocol.md describes it
// for those who write another client.
package wire

import (
	"fmt"
	"slices"
	"time"
)

// Subprotocol is the WebSocket subprotocol, and with it the version, that both ends name.
const Subprotocol = "telltale.v1"

// Path is where a hub answers agents.
const Path = "/api/v1/ingest"

// Kind says what a sample's value means.
type Kind uint8

// The kinds of series. The zero value is a gauge, which is what a sample without a kind is.
const (
	Gauge        Kind = iota // the value is a state: a temperature, a ratio
	Counter                  // the value is the increase since the series' previous sample
	Distribution             // the sample is a sketch of many values, see Bin
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

// Label is one name-value pair of a series or an agent.
type Label struct{ Name, Value string }

// AgentLabel is the reserved label that names the agent a series comes from. The hub sets it.
const AgentLabel = "agent"

// Series describes one stream of samples.
type Series struct {
	Metric   string
	Kind     Kind
	Unit     string        // UCUM, as OpenTelemetry writes it: "By", "s", "1"
	Labels   []Label       // sorted by name, names unique
	Interval time.Duration // between two samples; zero is the agent's interval
}

// Agent is who sends: a host agent, or any program that speaks the protocol.
type Agent struct {
	ID         string  // stable across restarts, unique per hub
	Labels     []Label // added to every series of the agent
	Attributes []Label // facts about the host, kept beside the agent and not part of any series
}

// Sample is one reading of a series. The Series pointer is its identity on the agent's
// side: use the same pointer for the same series, and its description is sent only once
// per connection.
type Sample struct {
	Series *Series
	TS     int64   // milliseconds since the Unix epoch; 0 is the hub's clock
	Value  float64 // of a gauge or a counter
	Bins   []Bin   // of a distribution
}
