package dashboard

import (
	"maps"
	"math"
	"slices"

	"telltale/aggregate"
)

// ends names the windows.
func (p pastRows) ends(step aggregate.Step) []int64 {
	ends := make([]int64, 0, p.count(step))
	for end := p.since; end <= p.until; end += int64(step) {
		ends = append(ends, end)
	}
	return ends
}

func (p pastRows) count(step aggregate.Step) int { return int((p.until-p.since)/int64(step)) + 1 }

// join returns the windows of both: next goes on where p ends.
func (p pastRows) join(next pastRows, step aggregate.Step) pastRows {
	joined := pastRows{since: p.since, until: next.until, rows: map[string]map[string][]float64{}}
	for _, part := range []pastRows{p, next} {
		for shift, rows := range part.rows {
			if joined.rows[shift] == nil {
				joined.rows[shift] = map[string][]float64{}
			}
			for name := range rows {
				joined.rows[shift][name] = slices.Concat(p.row(shift, name, step), next.row(shift, name, step))
			}
		}
	}
	return joined
}

// row is the values of a query, missing ones where it is left out.
func (p pastRows) row(shift, name string, step aggregate.Step) []float64 {
	if row, has := p.rows[shift][name]; has {
		return row
	}
	return slices.Repeat([]float64{math.NaN()}, p.count(step))
}

// from returns the windows that end at oldest or later; queries that have no value in them are left out.
func (p pastRows) from(oldest int64, step aggregate.Step) pastRows {
	drop := max(0, int((oldest-p.since)/int64(step)))
	kept := pastRows{since: p.since + int64(drop)*int64(step), until: p.until, rows: map[string]map[string][]float64{}}
	for shift, rows := range p.rows {
		some := map[string][]float64{}
		for name, row := range rows {
			if slices.ContainsFunc(row[drop:], isPresent) {
				some[name] = row[drop:]
			}
		}
		if len(some) > 0 {
			kept.rows[shift] = some
		}
	}
	return kept
}

// appendPast writes the field "compare" behind others, or nothing where there is none to tell.
func appendPast(b []byte, p pastRows) []byte {
	if len(p.rows) == 0 {
		return b
	}
	b = appendInt(append(b, `,"compare":{"since":`...), p.since)
	b = appendFields(append(b, `,"shifts":`...), slices.Sorted(maps.Keys(p.rows)), p.rows, func(b []byte, rows map[string][]float64) []byte {
		return appendFields(b, slices.Sorted(maps.Keys(rows)), rows, appendNumbers)
	})
	return append(b, '}')
}
