package history

import (
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"telltale/aggregate"
)

// A reading is two statements: the first finds the series that match, the second reads their rows of raw by primary
// key. The series go with the second as a table of their own, "matching", which costs a third of the time that
// looking them up again inside it takes, where several joins need them.

// statement is SQL and its parameters. The text is made of the fragments in this package and nothing else: what
// comes from outside is the value of a parameter, which the server does not parse as SQL.
type statement struct {
	text       string
	parameters []any
	renamed    bool // see matching
}

// series is what tells the series of a row apart.
func (s *statement) series() string {
	if s.renamed {
		return fmt.Sprintf("bitAnd(series, %d) AS series", aggregate.SeriesBits)
	}
	return "series"
}

// matching is the table of that name, to be joined with what is folded.
func (s *statement) matching() string {
	if s.renamed {
		return fmt.Sprintf(`(SELECT bitAnd(id, %d) AS id, any(grp) AS grp, max(hold) AS hold FROM matching AS m GROUP BY bitAnd(m.id, %[1]d))`, aggregate.SeriesBits)
	}
	return "matching"
}

// bind gives a parameter its value and returns its place in the text.
func (s *statement) bind(name, typ string, value any) string {
	s.parameters = append(s.parameters, clickhouse.Named(name, value))
	return "{" + name + ":" + typ + "}"
}

// compileLookup asks for the series that match: id, kind, interval in ms, and values of the labels grouped by.
func compileLookup(q aggregate.Query) statement {
	var s statement
	labels := make([]string, len(q.By))
	for i, name := range q.By {
		labels[i] = s.label(fmt.Sprintf("by_%d", i), name)
	}
	s.text = `SELECT id, CAST(kind, 'String'), interval_ms, CAST([` + strings.Join(labels, ", ") + `], 'Array(String)')
FROM known_series FINAL
WHERE metric = ` + s.bind("metric", "String", q.Metric) + s.matchers(q.Where) + `
LIMIT ` + s.bind("most", "UInt64", maxSeries+1)
	return s
}

// matchers are conditions on a row of known_series, each with its "AND".
func (s *statement) matchers(all []aggregate.Matcher) string {
	var b strings.Builder
	for i, m := range all {
		label := s.label(fmt.Sprintf("label_%d", i), m.Label)
		value := m.Value
		if m.Op == aggregate.Like || m.Op == aggregate.NotLike {
			value = aggregate.Anchored(value)
		}
		fmt.Fprintf(&b, "\n\tAND "+comparisons[m.Op], label, s.bind(fmt.Sprintf("value_%d", i), "String", value))
	}
	return b.String()
}

// comparisons are given a label and a value.
var comparisons = map[aggregate.Op]string{
	aggregate.Equal:    "%s = %s",
	aggregate.NotEqual: "%s != %s",
	aggregate.Like:     "match(%s, %s)",
	aggregate.NotLike:  "NOT match(%s, %s)",
}

// label is a label's value in a row of known_series: "" where the series does not have it.
func (s *statement) label(parameter, name string) string {
	if name == aggregate.AgentLabel {
		return "agent"
	}
	return "labels[" + s.bind(parameter, "String", name) + "]"
}

// compile makes the statement that reads the series in the table matching (id, grp, hold) from the parts that history is in:
// its rows are the groups with a value in any window, the windows in which they have one, and these values. It gives
// at most so many groups. hold is the longest in matching.
func compile(r reading, parts []part, hold int64, most int) statement {
	s := statement{renamed: r.renamed}
	s.bind("step", "Int64", int64(r.windows.step))
	s.bind("first", "Int64", r.windows.first)
	s.bind("last", "Int64", r.windows.last)
	order := ""
	if r.best > 0 {
		order = "\nORDER BY arraySum(values) DESC, grp"
	}
	s.text = `SELECT grp, groupArray(w), groupArray(value) AS values
FROM
(` + s.across(r.query, s.valued(r, parts, hold)) + `
)
GROUP BY grp` + order + `
LIMIT ` + s.bind("most", "UInt64", most)
	return s
}

// across has one row per group and window that has a value.
func (s *statement) across(q aggregate.Query, valued string) string {
	if p, is := q.Agg.Percentile(); is {
		return s.percentile(p, q, valued)
	}
	aggregates := acrossSeries
	if q.Over == "" {
		aggregates = acrossBins
	}
	return `
	SELECT grp, w, ` + aggregates[q.Agg] + ` AS value
	FROM (` + valued + `)
	GROUP BY grp, w`
}

// percentile is by nearest rank, as everywhere; ClickHouse's own quantiles round otherwise.
func (s *statement) percentile(p int, q aggregate.Query, valued string) string {
	rank := "intDiv(" + s.bind("percentile", "UInt64", p) + " * "
	if q.Over != "" {
		return `
	SELECT grp, w, arraySort(groupArray(v))[` + rank + `count() + 99, 100)] AS value
	FROM (` + valued + `)
	GROUP BY grp, w`
	}
	return `
	SELECT grp, w, tupleElement(bins[arrayFirstIndex(sum -> sum >= rank, arrayCumSum(tupleElement(bins, 2)))], 1) AS value
	FROM
	(
		SELECT grp, w, arraySort(groupArray((v, weight))) AS bins, ` + rank + `sum(weight) + 99, 100) AS rank
		FROM (` + valued + `)
		GROUP BY grp, w
	)`
}
