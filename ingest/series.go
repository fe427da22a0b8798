package ingest

import (
	"cmp"
	"errors"
	"slices"

	"telltale/ingest/wire"
)

// resolvedSeries is a series of the connection as storage knows it.
type resolvedSeries struct {
	id      uint64
	kind    wire.Kind
	refused uint8 // 1 + the index in wire.Reasons why none of its samples is accepted
}

func (r *resolvedSeries) refuse(reason wire.Reason) {
	r.refused = uint8(1 + slices.Index(wire.Reasons, reason))
}

// resolve makes the series that the columns describe known to the Sink.
func (s *session) resolve(c *wire.Columns) error {
	if c.Reset {
		s.series = s.series[:0]
	}
	s.series = slices.Grow(s.series, len(c.Defined))
	for i := range c.Defined {
		d := &c.Defined[i]
		resolved := resolvedSeries{kind: d.Kind}
		if len(d.Reason) > 0 {
			resolved.refuse(d.Reason)
		} else if err := s.makeKnown(d.Series, &resolved); err != nil {
			return err
		}
		s.series = append(s.series, resolved)
	}
	return nil
}

// makeKnown asks the Sink for the series' id, or notes why it is refused.
func (s *session) makeKnown(series wire.Series, resolved *resolvedSeries) error {
	series.Labels = mergeLabels(series.Labels, s.labels, s.agent.id)
	if len(series.Labels) > s.server.config.Limits.LabelsPerSeries {
		resolved.refuse(wire.TooManyLabels)
		return nil
	}
	if series.Interval <= 0 {
		series.Interval = s.interval
	}
	id, err := s.server.sink.Series(series)
	var reason wire.Reason
	switch {
	case errors.As(err, &reason) && slices.Contains(wire.Reasons, reason):
		resolved.refuse(reason)
	case err != nil:
		s.log().Error("cannot make a series known", "metric", series.Metric, "error", err)
		return s.overloaded("series cannot be taken now")
	}
	resolved.id = id
	return nil
}

// mergeLabels returns the sample's labels, those of the agent it does not set itself, and
// the agent's id, sorted by name. Labels without a value are left out: they say nothing.
func mergeLabels(sample, agent []wire.Label, id string) []wire.Label {
	merged := make([]wire.Label, 0, len(sample)+len(agent)+1)
	merged = append(merged, sample...)
	for _, l := range agent {
		own := slices.ContainsFunc(sample, func(s wire.Label) bool { return s.Name == l.Name })
		if !own {
			merged = append(merged, l)
		}
	}
	merged = slices.DeleteFunc(merged, func(l wire.Label) bool { return l.Value == "" })
	merged = append(merged, wire.Label{Name: wire.AgentLabel, Value: id})
	slices.SortFunc(merged, func(a, b wire.Label) int { return cmp.Compare(a.Name, b.Name) })
	return merged
}
