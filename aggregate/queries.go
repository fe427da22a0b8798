package aggregate

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ValidateQueries checks queries that are asked together, by name: each on its own, and the arithmetic between
// them. Its operands are queries on metrics, without top, of the same step, that group by the same labels or by none.
func ValidateQueries(queries map[string]Query) error {
	for _, name := range slices.Sorted(maps.Keys(queries)) {
		q := queries[name]
		err := q.Validate()
		if err == nil && q.Expr != "" {
			err = validateOperands(q, queries)
		}
		if err != nil {
			return inQuery(name, err)
		}
	}
	return nil
}

func inQuery(name string, err error) error {
	if wrong := (*QueryError)(nil); errors.As(err, &wrong) {
		return &QueryError{name + "." + wrong.Key, wrong.Err}
	}
	return fmt.Errorf("%s: %w", name, err)
}

func validateOperands(q Query, queries map[string]Query) error {
	_, operands, err := q.arithmetic(queries)
	if err != nil {
		return err
	}
	var by []string
	for _, name := range slices.Sorted(maps.Keys(operands)) {
		o := operands[name].Normal()
		switch {
		case o.Step != q.Step:
			return keyError("expr", "%q has step %v, not %v: give both the same", name, o.Step, q.Step)
		case o.Top > 0:
			return keyError("expr", "%q has a top: top stands only on the result", name)
		case len(o.By) > 0 && by != nil && !slices.Equal(o.By, by):
			return keyError("expr", "%q groups by %s, another by %s: group by the same labels, or one by none",
				name, strings.Join(o.By, ","), strings.Join(by, ","))
		case len(o.By) > 0:
			by = o.By
		}
	}
	if q.Top > 0 && by == nil {
		return keyError("top", "needs groups: give the queries in expr a by")
	}
	return nil
}

// arithmetic returns the query's expression, and the queries that it names.
func (q Query) arithmetic(queries map[string]Query) (*Expression, map[string]Query, error) {
	e, err := ParseExpression(q.Expr)
	if err != nil {
		return nil, nil, keyError("expr", "%w", err)
	}
	names := e.Queries()
	if len(names) == 0 {
		return nil, nil, keyError("expr", "names no query")
	}
	operands := make(map[string]Query, len(names))
	for _, name := range names {
		o, known := queries[name]
		switch {
		case !known:
			return nil, nil, keyError("expr", "names %q, which is no query here", name)
		case o.Expr != "":
			return nil, nil, keyError("expr", "%q is arithmetic itself: write it out", name)
		}
		operands[name] = o
	}
	return e, operands, nil
}
