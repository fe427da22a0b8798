package history

import (
	"fmt"
	"strings"

	"telltale/aggregate"
)

// fold says how the rows of a series within a window become its value. Rows of raw and of tiers are brought to the same
// columns first, and then folded together, so that a window may be made of both. Where a tier's windows are those asked for,
// its rows are the values, and folding them would cost twice as much as all the rest.
type fold struct {
	raw, tier string // the columns of a row
	value     string // of those of all rows
	by        string // what the rows of a window are kept apart by, besides series and window
	exact     string // of a tier's row that is a whole window

	// repeats says that a tier's row that was written again, and of which no merge has removed the older version yet, must not
	// be read twice. Raw only grows, so for the other folds the older version changes nothing.
	repeats bool
}

// folds are by Over; "" is that of distributions.
var folds = map[aggregate.Over]fold{
	aggregate.Last: {
		raw:   "value AS one, (toUnixTimestamp64Milli(ts), value) AS rank",
		tier:  "last AS one, (toInt64(toUnixTimestamp(start)) * 1000, toFloat64(count)) AS rank",
		value: "argMax(one, rank) AS v",
		exact: "last AS v",
	},
	aggregate.Avg: {
		raw: "value AS one, toUInt64(1) AS of", tier: "sum AS one, count AS of", repeats: true,
		value: "sum(one) / sum(of) AS v",
		exact: "sum / count AS v",
	},
	aggregate.Min:      {raw: "value AS one", tier: "min AS one", value: "min(one) AS v", exact: "min AS v"},
	aggregate.Max:      {raw: "value AS one", tier: "max AS one", value: "max(one) AS v", exact: "max AS v"},
	aggregate.Sum:      {raw: "value AS one", tier: "sum AS one", value: "sum(one) AS v", exact: "sum AS v", repeats: true},
	aggregate.Increase: {raw: "value AS one", tier: "sum AS one", value: "sum(one) AS v", exact: "sum AS v", repeats: true},
	aggregate.Rate: {
		raw: "value AS one", tier: "sum AS one", repeats: true,
		value: "sum(one) / ({step:Int64} / 1000) AS v",
		exact: "sum / ({step:Int64} / 1000) AS v",
	},
	"": {
		raw: "value AS v, toUInt64(n) AS of", tier: "bin AS v, count AS of", repeats: true,
		value: "v, sum(of) AS weight", by: ", v",
		exact: "bin AS v, count AS weight",
	},
}

// folded has one row per series and window with samples, of distributions one per bin. No window is in both a tier of
// the same step and another part.
func (s *statement) folded(f fold, step aggregate.Step, parts []part) string {
	var folded, rows []string
	for i, p := range parts {
		switch {
		case p.table.step == step && !s.renamed:
			folded = append(folded, s.tierRows(f.exact, true, p, i))
		case p.table.step == 0:
			rows = append(rows, s.rawRows(f.raw, p, i))
		default:
			rows = append(rows, s.tierRows(f.tier, f.repeats, p, i))
		}
	}
	if len(rows) > 0 {
		folded = append(folded, `
			SELECT series, w, `+f.value+`
			FROM (`+strings.Join(rows, "\n\t\t\t\tUNION ALL")+`
			)
			GROUP BY series, w`+f.by)
	}
	return strings.Join(folded, "\n\t\t\tUNION ALL")
}

// tierRows are those of a part of a tier, each once where that is asked for.
func (s *statement) tierRows(columns string, once bool, p part, number int) string {
	final := ""
	if once {
		final = " FINAL"
	}
	return `
				SELECT ` + s.series() + `, intDiv(toInt64(toUnixTimestamp(start)) * 1000, {step:Int64}) AS w, ` + columns + `
				FROM ` + p.table.name + final + `
				WHERE ` + p.table.name + `.series IN (SELECT id FROM matching)
					AND (` + s.within("start", "toDateTime", 1000, p, number) + `)`
}

// rawRows are those of a part of raw.
//
// A sample is stored after it was taken, by clocks that differ by a minute at most: so it is in the parts of its own day
// or a later one, or of the day before where it was taken just after midnight. day allows for an hour; it spares older
// parts, which the primary key alone does not where a granule holds many series.
func (s *statement) rawRows(columns string, p part, number int) string {
	day := max(0, p.ranges[0].From-int64(aggregate.Hour)) / int64(aggregate.Day)
	return `
				SELECT ` + s.series() + `, intDiv(toUnixTimestamp64Milli(ts), {step:Int64}) AS w, ` + columns + `
				FROM raw
				WHERE raw.series IN (SELECT id FROM matching)
					AND (` + s.within("ts", "fromUnixTimestamp64Milli", 1, p, number) + `)
					AND day >= toDate(` + s.bind("day", "UInt16", day) + `)`
}

// within is the condition that a column lies in one of the part's ranges. The function makes a time of a number of
// units of so many ms.
func (s *statement) within(column, function string, unit int64, p part, number int) string {
	conditions := make([]string, len(p.ranges))
	for i, r := range p.ranges {
		from := s.bind(fmt.Sprintf("from_%d_%d", number, i), "Int64", r.From/unit)
		to := s.bind(fmt.Sprintf("to_%d_%d", number, i), "Int64", r.To/unit)
		conditions[i] = fmt.Sprintf("%[1]s >= %[2]s(%[3]s) AND %[1]s < %[2]s(%[4]s)", column, function, from, to)
	}
	return strings.Join(conditions, " OR ")
}
