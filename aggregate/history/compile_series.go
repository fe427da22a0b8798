package history

import "telltale/aggregate"

// folds say how the samples of a series within a window become its value, and acrossSeries how the values of a group
// do. acrossBins is that of distributions, whose rows are bins.
var (
	folds = map[aggregate.Over]string{
		aggregate.Last:     "argMax(value, (ts, value))",
		aggregate.Avg:      "avg(value)",
		aggregate.Min:      "min(value)",
		aggregate.Max:      "max(value)",
		aggregate.Sum:      "sum(value)",
		aggregate.Increase: "sum(value)",
		aggregate.Rate:     "sum(value) / ({step:Int64} / 1000)",
	}
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
func valued(q aggregate.Query, hold int64) string {
	switch {
	case q.Over == "":
		return `
		SELECT grp, w, v, weight
		FROM (` + folded("value AS v, sum(n) AS weight") + `, v
		) AS folded
		INNER JOIN matching ON folded.series = matching.id`
	case hold > 0:
		return carried(folded(folds[q.Over] + " AS v"))
	}
	return `
		SELECT grp, w, v
		FROM (` + folded(folds[q.Over]+" AS v") + `
		) AS folded
		INNER JOIN matching ON folded.series = matching.id`
}

// carried lets each value stand in the windows after its own, until the series has the next value or was silent for
// too long. It looks for the values' next windows, so that its work is bounded by the windows there are, whatever
// interval a series states.
func carried(folded string) string {
	return `
		SELECT grp, arrayJoin(range(greatest(at, {first:Int64}), least(next, at + hold + 1))) AS w, v
		FROM
		(
			SELECT series, w AS at, v, leadInFrame(w, 1, {last:Int64} + 1) OVER
				(PARTITION BY series ORDER BY w ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS next
			FROM (` + folded + `
			)
		) AS folded
		INNER JOIN matching ON folded.series = matching.id`
}

// folded has one row per series and window with samples.
//
// A sample is stored after it was taken, by clocks that differ by a minute at most: so it is in the parts of its own day
// or a later one, or of the day before where it was taken just after midnight. {day} allows for an hour; it spares older
// parts, which the primary key alone does not where a granule holds many series.
func folded(values string) string {
	return `
			SELECT series, intDiv(toUnixTimestamp64Milli(ts), {step:Int64}) AS w, ` + values + `
			FROM raw
			WHERE series IN (SELECT id FROM matching)
				AND ts >= fromUnixTimestamp64Milli({from:Int64}) AND ts < fromUnixTimestamp64Milli({to:Int64})
				AND day >= toDate({day:UInt16})
			GROUP BY series, w`
}
