// Package aggregatetest says what queries mean in the plainest way there is: every sample is at hand, nothing is
// incremental, nothing is fast. The live evaluation and the one in SQL are both held to it.
package aggregatetest

import (
	"cmp"
	"math"
	"slices"

	"telltale/aggregate"
)

// Sample is one row of a series.
type Sample struct {
	Series *aggregate.Series
	TS     int64 // ms since the epoch
	Value  float64
	N      uint32 // 1, or the number of values in a distribution's bin
}

// Evaluate answers the queries, which must be valid together, for the windows named by ends: contiguous, oldest first.
// Groups that have no value in any of them are left out, except of queries without groups. Missing values are NaN.
func Evaluate(queries map[string]aggregate.Query, samples []Sample, ends []int64) map[string]aggregate.Columns {
	answers := map[string]aggregate.Columns{}
	for name, q := range queries {
		var e evaluation = newMetricEvaluation(q, samples, ends)
		if q.Expr != "" {
			e = newFormulaEvaluation(q, queries, samples, ends)
		}
		answers[name] = answer(q, e, len(ends))
	}
	return answers
}

// evaluation computes a query for one window, by its index in ends.
type evaluation interface {
	groups() []aggregate.Group
	value(window int, g aggregate.Group) float64
	// others is the value of all series that are in none of the top groups.
	others(window int, top []aggregate.Group) float64
}

// column is the values of one group, by window.
type column struct {
	group  aggregate.Group
	values []float64
}

func (c column) sum() float64 {
	total := 0.0
	for _, v := range c.values {
		if !math.IsNaN(v) {
			total += v
		}
	}
	return total
}

func answer(q aggregate.Query, e evaluation, windows int) aggregate.Columns {
	var columns []column
	for _, g := range e.groups() {
		c := column{g, make([]float64, windows)}
		for w := range c.values {
			c.values[w] = e.value(w, g)
		}
		if len(g.Labels) == 0 || !allMissing(c.values) {
			columns = append(columns, c)
		}
	}
	if q.Top > 0 {
		columns = topColumns(q.Top, e, columns, windows)
	} else {
		slices.SortFunc(columns, func(a, b column) int { return a.group.Compare(b.group) })
	}
	var result aggregate.Columns
	for _, c := range columns {
		result.Groups, result.Values = append(result.Groups, c.group), append(result.Values, c.values)
	}
	return result
}

// topColumns are those with the greatest sums, and the others as one.
func topColumns(n int, e evaluation, columns []column, windows int) []column {
	slices.SortFunc(columns, func(a, b column) int {
		return cmp.Or(cmp.Compare(b.sum(), a.sum()), a.group.Compare(b.group))
	})
	if len(columns) <= n {
		return columns
	}
	var groups []aggregate.Group
	for _, c := range columns[:n] {
		groups = append(groups, c.group)
	}
	others := column{aggregate.Group{Other: true}, make([]float64, windows)}
	for w := range others.values {
		others.values[w] = e.others(w, groups)
	}
	return append(columns[:n:n], others)
}

func allMissing(values []float64) bool {
	return !slices.ContainsFunc(values, func(v float64) bool { return !math.IsNaN(v) })
}

// metricEvaluation has, for each window, the value of every series that has one, or its bins.
type metricEvaluation struct {
	query   aggregate.Query
	byGroup []aggregate.Group
	groupOf map[*aggregate.Series]aggregate.Group
	windows []map[*aggregate.Series][]Sample
}

func newMetricEvaluation(q aggregate.Query, samples []Sample, ends []int64) *metricEvaluation {
	e := &metricEvaluation{query: q.Normal(), groupOf: map[*aggregate.Series]aggregate.Group{}}
	bySeries := map[*aggregate.Series][]Sample{}
	for _, s := range samples {
		if q.Matches(s.Series) {
			bySeries[s.Series] = append(bySeries[s.Series], s)
		}
	}
	if len(q.By) == 0 {
		e.byGroup = []aggregate.Group{{}}
	}
	for s := range bySeries {
		g := e.group(s)
		e.groupOf[s] = g
		if !slices.ContainsFunc(e.byGroup, func(have aggregate.Group) bool { return equal(have, g) }) {
			e.byGroup = append(e.byGroup, g)
		}
	}
	for _, end := range ends {
		values := map[*aggregate.Series][]Sample{}
		for series, of := range bySeries {
			if result := fold(q, series, of, end); len(result) > 0 {
				values[series] = result
			}
		}
		e.windows = append(e.windows, values)
	}
	return e
}

func (e *metricEvaluation) group(s *aggregate.Series) aggregate.Group {
	var g aggregate.Group
	for _, label := range e.query.By {
		g.Labels = append(g.Labels, aggregate.Label{Name: label, Value: s.Label(label)})
	}
	return g
}

func equal(a, b aggregate.Group) bool { return slices.Equal(a.Labels, b.Labels) }

// fold makes the samples of one series its value in the window, as one sample; of a distribution it returns the bins.
func fold(q aggregate.Query, series *aggregate.Series, samples []Sample, end int64) []Sample {
	start := end - int64(q.Step)
	inside := within(samples, start, end)
	if series.Kind == aggregate.Distribution {
		return inside
	}
	if q.Over == aggregate.Last {
		// The newest sample of this window, or else of the newest window before that has one and is not too old.
		hold := int64(math.Floor(2.5 * series.Interval.Seconds() / q.Step.Duration().Seconds()))
		for back := int64(0); back <= hold && len(inside) == 0; back++ {
			inside = within(samples, start-back*int64(q.Step), end-back*int64(q.Step))
		}
	}
	if len(inside) == 0 {
		return nil
	}
	return []Sample{{Series: series, Value: overOf(q, inside), N: 1}}
}

func within(samples []Sample, start, end int64) []Sample {
	var inside []Sample
	for _, s := range samples {
		if s.TS >= start && s.TS < end {
			inside = append(inside, s)
		}
	}
	return inside
}

func overOf(q aggregate.Query, samples []Sample) float64 {
	newest, sum, least, greatest := samples[0], 0.0, math.Inf(1), math.Inf(-1)
	for _, s := range samples {
		if s.TS > newest.TS || s.TS == newest.TS && s.Value > newest.Value {
			newest = s
		}
		sum += s.Value
		least = math.Min(least, s.Value)
		greatest = math.Max(greatest, s.Value)
	}
	switch q.Over {
	case aggregate.Last:
		return newest.Value
	case aggregate.Avg:
		return sum / float64(len(samples))
	case aggregate.Min:
		return least
	case aggregate.Max:
		return greatest
	case aggregate.Rate:
		return sum / q.Step.Duration().Seconds()
	default: // sum, increase
		return sum
	}
}

func (e *metricEvaluation) groups() []aggregate.Group { return e.byGroup }

func (e *metricEvaluation) value(window int, g aggregate.Group) float64 {
	v := e.across(window, func(s *aggregate.Series) bool { return equal(e.groupOf[s], g) })
	if math.IsNaN(v) && e.query.Agg == aggregate.AggCount && len(e.query.By) == 0 {
		return 0
	}
	return v
}

func (e *metricEvaluation) others(window int, top []aggregate.Group) float64 {
	return e.across(window, func(s *aggregate.Series) bool {
		return !slices.ContainsFunc(top, func(g aggregate.Group) bool { return equal(e.groupOf[s], g) })
	})
}

// across aggregates the values of the series that are wanted: each written out as often as it counts.
func (e *metricEvaluation) across(window int, wanted func(*aggregate.Series) bool) float64 {
	var values []float64
	for series, of := range e.windows[window] {
		for _, s := range of {
			for n := s.N; n > 0 && wanted(series); n-- {
				values = append(values, s.Value)
			}
		}
	}
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	n := len(values)
	switch e.query.Agg {
	case aggregate.AggSum:
		return sum
	case aggregate.AggAvg:
		return sum / float64(n)
	case aggregate.AggMin:
		return values[0]
	case aggregate.AggMax:
		return values[n-1]
	case aggregate.AggCount:
		return float64(n)
	}
	p, _ := e.query.Agg.Percentile()
	return values[(p*n+99)/100-1]
}

// formulaEvaluation is arithmetic between evaluations.
type formulaEvaluation struct {
	expression *aggregate.Expression
	operands   map[string]*metricEvaluation
}

func newFormulaEvaluation(q aggregate.Query, queries map[string]aggregate.Query, samples []Sample, ends []int64) *formulaEvaluation {
	expression, err := aggregate.ParseExpression(q.Expr)
	if err != nil {
		return &formulaEvaluation{expression: &aggregate.Expression{}} // the queries are not valid
	}
	e := &formulaEvaluation{expression: expression, operands: map[string]*metricEvaluation{}}
	for _, name := range expression.Queries() {
		e.operands[name] = newMetricEvaluation(queries[name], samples, ends)
	}
	return e
}

// groups are those that any grouped operand has; where one of them lacks a group, the value is missing.
func (e *formulaEvaluation) groups() []aggregate.Group {
	groups := []aggregate.Group{{}}
	for _, o := range e.operands {
		if len(o.query.By) > 0 {
			groups = o.groups()
		}
	}
	return groups
}

func (e *formulaEvaluation) value(window int, g aggregate.Group) float64 {
	return e.expression.Eval(func(query string) float64 {
		o := e.operands[query]
		if len(o.query.By) == 0 {
			return o.value(window, aggregate.Group{})
		}
		return o.value(window, g)
	})
}

func (e *formulaEvaluation) others(window int, top []aggregate.Group) float64 {
	return e.expression.Eval(func(query string) float64 {
		o := e.operands[query]
		if len(o.query.By) == 0 {
			return o.value(window, aggregate.Group{})
		}
		return o.others(window, top)
	})
}
