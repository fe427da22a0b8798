package aggregate

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// QueryError says which key of a query is wrong, and how.
type QueryError struct {
	Key string // "over", or "where.env" for a matcher; within a set of queries "cpu.over"
	Err error
}

func (e *QueryError) Error() string { return e.Key + ": " + e.Err.Error() }

func (e *QueryError) Unwrap() error { return e.Err }

func keyError(key, format string, args ...any) error {
	return &QueryError{key, fmt.Errorf(format, args...)}
}

// UnmarshalJSON reads a query and validates it; the error is a *QueryError where one key is to blame.
func (q *Query) UnmarshalJSON(data []byte) error {
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		return fmt.Errorf("read query: %w", err)
	}
	return q.set(fields)
}

// UnmarshalYAML reads a query and validates it; errors name the line and the key.
func (q *Query) UnmarshalYAML(node *yaml.Node) error {
	var fields map[string]any
	if err := node.Decode(&fields); err != nil {
		return fmt.Errorf("read query: %w", err)
	}
	err := q.set(fields)
	if wrong := (*QueryError)(nil); errors.As(err, &wrong) {
		return fmt.Errorf("line %d: %w", lineOf(node, wrong.Key), err)
	}
	return err
}

// lineOf finds the line of a key, or of the innermost mapping on the way to it that there is.
func lineOf(node *yaml.Node, key string) int {
	name, rest, _ := strings.Cut(key, ".")
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value != name {
			continue
		}
		if rest == "" || node.Content[i+1].Kind != yaml.MappingNode {
			return node.Content[i].Line
		}
		return lineOf(node.Content[i+1], rest)
	}
	return node.Line
}

// set fills the query from its keys as JSON and YAML both give them.
func (q *Query) set(fields map[string]any) error {
	*q = Query{Step: Second}
	for _, name := range slices.Sorted(maps.Keys(fields)) { // sorted: of several wrong keys always the same one is reported
		if err := q.setField(name, fields[name]); err != nil {
			return err
		}
	}
	if err := q.Validate(); err != nil {
		return err
	}
	*q = q.Normal()
	return nil
}

func (q *Query) setField(key string, value any) (err error) {
	switch key {
	case "where":
		q.Where, err = matchers(value)
	case "by":
		q.By, err = labels(value)
	case "top":
		q.Top, err = count(value)
	case "metric", "over", "agg", "step", "expr":
		err = q.setText(key, value)
	default:
		err = keyError(key, "unknown key: use metric, where, over, by, agg, top and step, or expr, top and step")
	}
	return err
}

func (q *Query) setText(key string, value any) (err error) {
	text, ok := value.(string)
	if !ok {
		return keyError(key, "must be a text, not %v", value)
	}
	switch key {
	case "metric":
		q.Metric = text
	case "over":
		q.Over = Over(text)
	case "agg":
		q.Agg = Agg(text)
	case "expr":
		q.Expr = text
	case "step":
		if q.Step, err = ParseStep(text); err != nil {
			return &QueryError{key, err}
		}
	}
	return nil
}

func matchers(value any) ([]Matcher, error) {
	fields, ok := value.(map[string]any)
	if !ok {
		return nil, keyError("where", "must be a mapping from labels to values")
	}
	if len(fields) > maxMatchers {
		return nil, keyError("where", "has %d matchers: the limit is %d", len(fields), maxMatchers)
	}
	var all []Matcher
	for _, label := range slices.Sorted(maps.Keys(fields)) {
		v := fields[label]
		text, ok := v.(string)
		if !ok {
			return nil, keyError("where."+label, "must be a text, not %v: quote it", v)
		}
		m, err := ParseMatcher(label, text)
		if err != nil {
			return nil, &QueryError{"where." + label, err}
		}
		all = append(all, m)
	}
	return all, nil
}

func labels(value any) ([]string, error) {
	list, ok := value.([]any)
	if !ok {
		return nil, keyError("by", "must be a list of labels")
	}
	names := make([]string, len(list))
	for i, v := range list {
		if names[i], ok = v.(string); !ok {
			return nil, keyError("by", "must be a list of labels: %v is not a text", v)
		}
	}
	return names, nil
}

func count(value any) (int, error) {
	switch n := value.(type) {
	case int:
		return n, nil
	case float64:
		if n == float64(int(n)) {
			return int(n), nil
		}
	}
	return 0, keyError("top", "must be a whole number, not %v", value)
}

// MarshalJSON writes the form that UnmarshalJSON reads.
func (q Query) MarshalJSON() ([]byte, error) {
	fields := map[string]any{"step": q.Step.String()}
	for key, text := range map[string]string{"metric": q.Metric, "over": string(q.Over), "agg": string(q.Agg), "expr": q.Expr} {
		if text != "" {
			fields[key] = text
		}
	}
	if len(q.Where) > 0 {
		where := make(map[string]string, len(q.Where))
		for _, m := range q.Where {
			if _, twice := where[m.Label]; twice {
				return nil, keyError("where."+m.Label, "has two matchers, which the text form cannot say")
			}
			where[m.Label] = m.Text()
		}
		fields["where"] = where
	}
	if len(q.By) > 0 {
		fields["by"] = q.By
	}
	if q.Top > 0 {
		fields["top"] = q.Top
	}
	return json.Marshal(fields)
}
