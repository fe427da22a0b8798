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
		s.server.sink.Detach(s.agent.id)
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
		s.tellOnce(reason, err)
	case err != nil:
		s.log().Error("cannot make a series known", "metric", series.Metric, "error", err)
		return s.overloaded("series cannot be taken now")
	}
	resolved.id = id
	return nil
}

// tellOnce gives the agent and the log all that is known of why series are refused, once for each reason: it may go on for ever,
// and an ack has only the reason's name.
func (s *session) tellOnce(reason wire.Reason, why error) {
	if slices.Contains(s.told, reason) {
		return
	}
	s.told = append(s.told, reason)
	s.log().Warn("series of an agent are refused", "reason", why)
	s.send(&wire.Notice{Level: "warning", Text: "series are refused: " + why.Error()})
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
