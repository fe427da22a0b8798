package aggregate

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Over says how the samples of one series within a window become its value.
type Over string

// Last is of gauges only in that it is carried: see Step.CarriedWindows. Increase and Rate are for counters, the others for gauges.
const (
	Last     Over = "last" // the newest sample; of equally new ones the greatest
	Avg      Over = "avg"  // sum / count of the samples
	Min      Over = "min"
	Max      Over = "max"
	Sum      Over = "sum"
	Increase Over = "increase" // the sum of the increases
	Rate     Over = "rate"     // increase per second
)

// Agg says how the values of several series become one.
type Agg string

// Of a distribution, an Agg is over the values that its bins stand for.
const (
	AggSum   Agg = "sum"
	AggAvg   Agg = "avg" // unweighted mean of the series' values
	AggMin   Agg = "min"
	AggMax   Agg = "max"
	AggCount Agg = "count" // of series that have a value; of a distribution, of values
	AggP50   Agg = "p50"   // percentiles are nearest rank
	AggP90   Agg = "p90"
	AggP95   Agg = "p95"
	AggP99   Agg = "p99"
)

var (
	gaugeOvers   = []Over{Last, Avg, Min, Max, Sum}
	counterOvers = []Over{Increase, Rate}
	overs        = slices.Concat(gaugeOvers, counterOvers)
	aggs         = []Agg{AggSum, AggAvg, AggMin, AggMax, AggCount, AggP50, AggP90, AggP95, AggP99}
)

// Percentile returns the percentile that the aggregation asks for, if it does.
func (a Agg) Percentile() (p int, is bool) {
	switch a {
	case AggP50:
		return 50, true
	case AggP90:
		return 90, true
	case AggP95:
		return 95, true
	case AggP99:
		return 99, true
	}
	return 0, false
}

// Query is a panel's question. It has one meaning, live and in history.
type Query struct {
	Metric string
	Where  []Matcher // all must hold; sorted by Normal
	Over   Over      // empty for a distribution
	By     []string  // label names; sorted by Normal
	Agg    Agg
	Top    int // 0: all groups; else that many, and the others as one
	Step   Step

	// Expr is arithmetic between other queries, by their names, in place of all of the above but Top and Step.
	Expr string
}

// Limits of a query.
const (
	maxMatchers    = 32
	maxBy          = 16
	maxTop         = 1000
	maxMetricBytes = 200
)

// Validate checks all that can be checked without knowing the metric's kind. Errors name the key.
func (q Query) Validate() error {
	if !slices.Contains(Steps, q.Step) {
		return keyError("step", "unknown step of %d ms: use one of %s", int64(q.Step), strings.Join(stepNames, " "))
	}
	if q.Top < 0 || q.Top > maxTop {
		return keyError("top", "%d is not within 0 and %d", q.Top, maxTop)
	}
	if q.Expr != "" {
		return q.validateExpr()
	}
	switch {
	case q.Metric == "":
		return keyError("metric", "is missing: name the metric to read, or give expr")
	case len(q.Metric) > maxMetricBytes:
		return keyError("metric", "is %d bytes long: the limit is %d", len(q.Metric), maxMetricBytes)
	case len(q.Where) > maxMatchers:
		return keyError("where", "has %d matchers: the limit is %d", len(q.Where), maxMatchers)
	case len(q.By) > maxBy:
		return keyError("by", "has %d labels: the limit is %d", len(q.By), maxBy)
	case q.Over != "" && !slices.Contains(overs, q.Over):
		return keyError("over", "unknown function %q: use one of %s", q.Over, join(overs))
	case q.Agg == "":
		return keyError("agg", "is missing: use one of %s", join(aggs))
	case !slices.Contains(aggs, q.Agg):
		return keyError("agg", "unknown aggregation %q: use one of %s", q.Agg, join(aggs))
	case q.Top > 0 && len(q.By) == 0:
		return keyError("top", "needs groups: give by")
	}
	for _, m := range q.Where {
		if err := m.validate(); err != nil {
			return &QueryError{"where." + m.Label, err}
		}
	}
	return q.validateBy()
}

func (q Query) validateBy() error {
	seen := map[string]bool{}
	for _, label := range q.By {
		if label == "" || seen[label] {
			return keyError("by", "label %q is empty or named twice", label)
		}
		seen[label] = true
	}
	return nil
}

func (q Query) validateExpr() error {
	if q.Metric != "" || len(q.Where) > 0 || q.Over != "" || len(q.By) > 0 || q.Agg != "" {
		return keyError("expr", "stands alone: only top and step go with it")
	}
	if _, err := ParseExpression(q.Expr); err != nil {
		return keyError("expr", "%w", err)
	}
	return nil
}

// Suits checks that the query's over fits the kind of its metric. Expr has none.
func (q Query) Suits(kind Kind) error {
	switch {
	case q.Expr != "":
		return nil
	case kind == Distribution && q.Over != "":
		return keyError("over", "%s is a distribution, which takes no over: leave it out", q.Metric)
	case kind == Gauge && !slices.Contains(gaugeOvers, q.Over):
		return keyError("over", "%s is a gauge: use one of %s", q.Metric, join(gaugeOvers))
	case kind == Counter && !slices.Contains(counterOvers, q.Over):
		return keyError("over", "%s is a counter: use one of %s", q.Metric, join(counterOvers))
	}
	return nil
}

// Matches says whether the query reads the series.
func (q Query) Matches(s *Series) bool {
	if s.Metric != q.Metric {
		return false
	}
	for _, m := range q.Where {
		if !m.Matches(s) {
			return false
		}
	}
	return true
}

// Normal is the query with its lists in canonical order: queries that mean the same are then equal, and so are their Strings.
func (q Query) Normal() Query {
	q.Where = slices.Clone(q.Where)
	slices.SortFunc(q.Where, func(a, b Matcher) int {
		return cmp.Or(cmp.Compare(a.Label, b.Label), cmp.Compare(a.Op, b.Op), cmp.Compare(a.Value, b.Value))
	})
	q.Where = slices.CompactFunc(q.Where, func(a, b Matcher) bool {
		return a.Label == b.Label && a.Op == b.Op && a.Value == b.Value
	})
	q.By = slices.Clone(q.By)
	slices.Sort(q.By)
	return q
}

// String is the query's canonical text: the same query, however it was written, has the same.
func (q Query) String() string {
	q = q.Normal()
	var b strings.Builder
	if q.Expr != "" {
		fmt.Fprintf(&b, "(%s)[%v]", q.Expr, q.Step)
	} else {
		fmt.Fprintf(&b, "%s by (%s) (%s)", q.Agg, quoted(q.By), q.selection())
	}
	if q.Top > 0 {
		fmt.Fprintf(&b, " top %d", q.Top)
	}
	return b.String()
}

// selection is the part of a query that says which values of which series it reads; q is normal.
func (q Query) selection() string {
	matchers := make([]string, len(q.Where))
	for i, m := range q.Where {
		matchers[i] = strconv.Quote(m.Label) + string(m.Op) + strconv.Quote(m.Value)
	}
	return fmt.Sprintf("%s(%q{%s})[%v]", q.Over, q.Metric, strings.Join(matchers, ","), q.Step)
}

func quoted(names []string) string {
	q := make([]string, len(names))
	for i, name := range names {
		q[i] = strconv.Quote(name)
	}
	return strings.Join(q, ",")
}

func join[S ~string](names []S) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, " ")
}
