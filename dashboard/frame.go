package dashboard

import (
	"maps"
	"math"
	"slices"

	"telltale/aggregate"
)

// appendTick writes a tick's data. Names are those of the topic's queries, sorted; past is what windows are compared with,
// and unsure the windows to be marked as incomplete.
func appendTick(b []byte, names []string, t aggregate.Tick, past pastRows, unsure span) []byte {
	b = appendEnd(b, t.End, unsure)
	b = appendFields(append(b, `,"values":`...), names, t.Results, func(b []byte, r aggregate.Result) []byte {
		return appendNumbers(b, r.Values)
	})
	if changed := changedGroups(t); len(changed) > 0 {
		b = appendFields(append(b, `,"groups":`...), names, changed, appendGroups)
	}
	if len(t.Amended) > 0 {
		b = appendList(append(b, `,"amend":`...), t.Amended, func(b []byte, a aggregate.Amendment) []byte {
			b = appendEnd(b, a.End, unsure)
			b = appendFields(append(b, `,"values":`...), names, a.Values, appendNumbers)
			return append(b, '}')
		})
	}
	return append(appendPast(b, past), '}')
}

func appendEnd(b []byte, end int64, unsure span) []byte {
	b = appendInt(append(b, `{"end":`...), end)
	if unsure.has(end) {
		b = append(b, `,"partial":true`...)
	}
	return b
}

func changedGroups(t aggregate.Tick) map[string][]aggregate.Group {
	changed := map[string][]aggregate.Group{}
	for name, r := range t.Results {
		if r.Changed {
			changed[name] = r.Groups
		}
	}
	return changed
}

// isEmpty says whether a tick tells nothing: no value, nothing amended, and the groups as before,
// which the next tick's values are in the order of.
func isEmpty(t aggregate.Tick) bool {
	if len(t.Amended) > 0 {
		return false
	}
	for _, r := range t.Results {
		if r.Changed || slices.ContainsFunc(r.Values, func(v float64) bool { return !math.IsNaN(v) }) {
			return false
		}
	}
	return true
}

// appendSnapshot writes a snapshot's data.
func appendSnapshot(b []byte, names []string, s aggregate.Snapshot, past pastRows, unsure span) []byte {
	b = appendInt(append(b, `{"end":`...), s.End)
	b = appendInt(append(b, `,"since":`...), s.Since)
	b = appendInt(append(b, `,"step_ms":`...), int64(s.Step))
	if partial := unsure.within(span{s.Since - int64(s.Step), s.End}); partial != (span{}) {
		b = appendInt(append(b, `,"partial":{"from":`...), partial.from)
		b = append(appendInt(append(b, `,"to":`...), partial.to), '}')
	}
	b = appendFields(append(b, `,"queries":`...), names, s.Results, appendColumns)
	return append(appendPast(b, past), '}')
}

// appendHistory writes the answer to a history query: from and to are the bounds of its windows. Before is what they are
// compared with, nil for nothing.
func appendHistory(b []byte, ask historyRequest, answer HistoryAnswer, before map[string]aggregate.Columns) []byte {
	from, to := ask.From, ask.To
	if n := len(answer.Ends); n > 0 {
		from, to = answer.Ends[0]-int64(answer.Step), answer.Ends[n-1]
	}
	b = appendInt(append(b, `{"from":`...), from)
	b = appendInt(append(b, `,"to":`...), to)
	b = appendInt(append(b, `,"step_ms":`...), int64(answer.Step))
	b = appendList(append(b, `,"ends":`...), answer.Ends, appendInt)
	names := slices.Sorted(maps.Keys(ask.Queries))
	b = appendFields(append(b, `,"queries":`...), names, answer.Results, appendColumns)
	if c := ask.compare; c != nil {
		b = appendText(append(b, `,"compare":{"shift":`...), string(c.Shift))
		b = appendText(append(b, `,"timezone":`...), c.Zone.String())
		b = appendList(append(b, `,"ends":`...), c.Windows(answer.Step, answer.Ends), appendInt)
		b = append(appendFields(append(b, `,"queries":`...), names, before, appendColumns), '}')
	}
	return append(b, '}')
}
