package history

import (
	"context"
	"math"
	"slices"

	"telltale/aggregate"
)

// formula answers arithmetic between queries that are answered already. Its groups are those of the first grouped one;
// the others are joined by equal labels, and those without groups apply to all.
func (a *answering) formula(ctx context.Context, q aggregate.Query) (aggregate.Columns, error) {
	expression, err := aggregate.ParseExpression(q.Expr)
	if err != nil {
		return aggregate.Columns{}, err
	}
	operands, groups := a.operands(expression)
	var columns aggregate.Columns
	for _, g := range groups {
		values := a.evaluate(expression, func(name string) []float64 { return operands[name].column(g) })
		if len(g.Labels) == 0 || slices.ContainsFunc(values, isPresent) {
			columns.Groups, columns.Values = append(columns.Groups, g), append(columns.Values, values)
		}
	}
	if q.Top == 0 {
		return columns, nil
	}
	all := len(columns.Groups)
	columns = best(columns, q.Top)
	if all == len(columns.Groups) {
		return columns, nil
	}
	others, err := a.otherFormula(ctx, expression, operands, columns.Groups)
	columns.Groups, columns.Values = append(columns.Groups, aggregate.Group{Other: true}), append(columns.Values, others)
	return columns, err
}

// operand is the answer of a query that arithmetic names.
type operand struct {
	query   aggregate.Query
	columns aggregate.Columns
	index   map[string]int // of grouped ones: a column's place by its group
}

// column returns the values of a group, nil where the operand does not have it.
func (o *operand) column(g aggregate.Group) []float64 {
	if len(o.query.By) == 0 {
		return o.columns.Values[0]
	}
	if i, has := o.index[groupKey(g)]; has {
		return o.columns.Values[i]
	}
	return nil
}

// operands returns those of an expression, by name, and the groups of the result.
func (a *answering) operands(expression *aggregate.Expression) (map[string]*operand, []aggregate.Group) {
	a.mu.Lock()
	defer a.mu.Unlock()
	operands := map[string]*operand{}
	groups := []aggregate.Group{{}}
	for _, name := range expression.Queries() {
		o := &operand{query: a.queries[name], columns: a.results[name]}
		operands[name] = o
		if len(o.query.By) == 0 {
			continue
		}
		o.index = make(map[string]int, len(o.columns.Groups))
		for i, g := range o.columns.Groups {
			o.index[groupKey(g)] = i
		}
		groups = o.columns.Groups // any grouped operand will do: a group that one of them lacks is missing
	}
	return operands, groups
}

// evaluate computes the expression for each window. Queries without a column are missing.
func (a *answering) evaluate(expression *aggregate.Expression, column func(name string) []float64) []float64 {
	columns := map[string][]float64{}
	for _, name := range expression.Queries() {
		columns[name] = column(name)
	}
	values := a.missing()
	for w := range values {
		values[w] = expression.Eval(func(name string) float64 {
			if c := columns[name]; c != nil {
				return c[w]
			}
			return math.NaN()
		})
	}
	return values
}

// otherFormula is the expression of the series that are in none of the top groups.
func (a *answering) otherFormula(ctx context.Context, expression *aggregate.Expression, operands map[string]*operand, top []aggregate.Group) ([]float64, error) {
	columns := map[string][]float64{}
	for name, o := range operands {
		if len(o.query.By) == 0 {
			columns[name] = o.columns.Values[0]
			continue
		}
		values, err := a.others(ctx, o.query, top)
		if err != nil {
			return nil, err
		}
		columns[name] = values
	}
	return a.evaluate(expression, func(name string) []float64 { return columns[name] }), nil
}

// best returns the n groups with the greatest sums, best first.
func best(c aggregate.Columns, n int) aggregate.Columns {
	places := make([]int, len(c.Groups))
	for i := range places {
		places[i] = i
	}
	var top aggregate.Columns
	for _, i := range aggregate.Top(n, places,
		func(i int) float64 { return sum(c.Values[i]) },
		func(i, j int) int { return c.Groups[i].Compare(c.Groups[j]) }) {
		top.Groups, top.Values = append(top.Groups, c.Groups[i]), append(top.Values, c.Values[i])
	}
	return top
}

func sum(values []float64) float64 {
	total := 0.0
	for _, v := range values {
		if isPresent(v) {
			total += v
		}
	}
	return total
}

func isPresent(v float64) bool { return !math.IsNaN(v) }
