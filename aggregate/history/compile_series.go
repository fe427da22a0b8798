package history

import "telltale/aggregate"

// acrossSeries says how the values of a group become one, acrossBins how those of distributions do, whose rows are bins.
var (
	acrossSeries = map[aggregate.Agg]string{
		aggregate.AggSum:   "sum(v)",
		aggregate.AggAvg:   "avg(v)",
		aggregate.AggMin:   "min(v)",
		aggregate.AggMax:   "max(v)",
		aggregate.AggCount: "toFloat64(count())",
	}
	acrossBins = map[aggregate.Agg]string{
		aggregate.AggSum:   "sum(v * weight)",
		aggregate.AggAvg:   "sum(v * weight) / sum(weight)",
		aggregate.AggMin:   "min(v)",
		aggregate.AggMax:   "max(v)",
		aggregate.AggCount: "toFloat64(sum(weight))",
	}
)

// valued has one row per series and window that has a value, of a distribution one per bin.
func (s *statement) valued(r reading, parts []part, hold int64) string {
	f := folds[r.query.Over]
	folded := s.folded(f, r.windows.step, parts)
	if hold > 0 {
		return s.carried(folded)
	}
	columns := "v"
	if f.by != "" {
		columns = "v, weight"
	}
	return `
		SELECT grp, w, ` + columns + `
		FROM (` + folded + `
		) AS folded
		INNER JOIN ` + s.matching() + ` AS found ON folded.series = found.id`
}

// carried lets each value stand in the windows after its own, until the series has the next value or was silent for
// too long. It looks for the values' next windows, so that its work is bounded by the windows there are, whatever
// interval a series states.
func (s *statement) carried(folded string) string {
	return `
		SELECT grp, arrayJoin(range(greatest(at, {first:Int64}), least(next, at + hold + 1))) AS w, v
		FROM
		(
			SELECT series, w AS at, v, leadInFrame(w, 1, {last:Int64} + 1) OVER
				(PARTITION BY series ORDER BY w ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS next
			FROM (` + folded + `
			)
		) AS folded
		INNER JOIN ` + s.matching() + ` AS found ON folded.series = found.id`
}
