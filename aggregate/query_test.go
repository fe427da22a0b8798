package aggregate

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func parseYAML(text string) (Query, error) {
	var q Query
	return q, yaml.Unmarshal([]byte(text), &q)
}

func mustParse(t *testing.T, text string) Query {
	t.Helper()
	var q Query
	if err := yaml.Unmarshal([]byte(text), &q); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return q
}

func TestParseQuery(t *testing.T) {
	q := mustParse(t, `
metric: system.cpu.utilization
where: {env: prod, host: "=~web-.*", zone: "!=a", rack: "!~r[12]"}
over: avg
by: [region, agent]
agg: p95
top: 5
step: 10s`)
	want := `p95 by ("agent","region") (avg("system.cpu.utilization"{"env"="prod","host"=~"web-.*","rack"!~"r[12]","zone"!="a"})[10s]) top 5`
	if q.String() != want {
		t.Fatalf("got  %s\nwant %s", q, want)
	}
	if q.Step != TenSeconds || q.Top != 5 || q.Over != Avg || q.Agg != AggP95 {
		t.Fatalf("got %+v", q)
	}
	text, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	var again Query
	if err := json.Unmarshal(text, &again); err != nil || again.String() != want {
		t.Fatalf("%s reads back as %s, %v", text, again, err)
	}
	if q := mustParse(t, "{metric: m, over: last, agg: sum}"); q.Step != Second {
		t.Fatalf("the step without one is %v", q.Step)
	}
}

func TestQueryKeyIsCanonical(t *testing.T) {
	a := mustParse(t, `{metric: m, over: last, agg: sum, by: [a, b], where: {x: "1", y: "2"}}`)
	b := mustParse(t, `{"agg":"sum","by":["b","a"],"where":{"y":"=2","x":"=1"},"over":"last","metric":"m","step":"1s"}`)
	if a.String() != b.String() {
		t.Fatalf("%s differs from %s", a, b)
	}
	c := mustParse(t, `{metric: m, over: last, agg: sum, by: ['a","b'], where: {x: "1", y: "2"}}`)
	if a.String() == c.String() {
		t.Fatalf("different queries have one key: %s", c)
	}
}

func TestParseQueryErrorsPointAtTheKey(t *testing.T) {
	f := func(key, text string) {
		t.Helper()
		_, err := parseYAML(text)
		var wrong *QueryError
		if !errors.As(err, &wrong) || wrong.Key != key {
			t.Errorf("%s: got %v, want an error at %s", text, err, key)
		}
	}
	f("metric", `{over: last, agg: sum}`)
	f("metric", `{metric: 5, over: last, agg: sum}`)
	f("over", `{metric: m, over: median, agg: sum}`)
	f("agg", `{metric: m, over: last}`)
	f("agg", `{metric: m, over: last, agg: p51}`)
	f("step", `{metric: m, over: last, agg: sum, step: 2s}`)
	f("top", `{metric: m, over: last, agg: sum, by: [a], top: 1.5}`)
	f("top", `{metric: m, over: last, agg: sum, by: [a], top: -1}`)
	f("top", `{metric: m, over: last, agg: sum, top: 5}`)
	f("by", `{metric: m, over: last, agg: sum, by: a}`)
	f("by", `{metric: m, over: last, agg: sum, by: [a, a]}`)
	f("where", `{metric: m, over: last, agg: sum, where: [a]}`)
	f("where.env", `{metric: m, over: last, agg: sum, where: {env: 5}}`)
	f("where.env", `{metric: m, over: last, agg: sum, where: {env: "=~("}}`)
	f("where.env", `{metric: m, over: last, agg: sum, where: {env: "=~`+strings.Repeat("a", 2000)+`"}}`)
	f("groupby", `{metric: m, over: last, agg: sum, groupby: [a]}`)
	f("expr", `{expr: "a +"}`)
	f("expr", `{expr: "a + b", metric: m}`)

	_, err := parseYAML("metric: m\nagg: sum\nover: last\nwhere:\n  a: b\n  env: '=~('\n")
	if err == nil || !strings.Contains(err.Error(), "line 6: where.env:") {
		t.Errorf("got %v, want line 6", err)
	}
}

func TestSuits(t *testing.T) {
	f := func(kind Kind, over Over, want bool) {
		t.Helper()
		if err := (Query{Metric: "m", Over: over}).Suits(kind); (err == nil) != want {
			t.Errorf("%v %q: %v", kind, over, err)
		}
	}
	f(Gauge, Last, true)
	f(Gauge, Rate, false)
	f(Gauge, "", false)
	f(Counter, Rate, true)
	f(Counter, Increase, true)
	f(Counter, Last, false)
	f(Distribution, "", true)
	f(Distribution, Avg, false)
}

func TestMatchers(t *testing.T) {
	s := &Series{Labels: []Label{{"env", "prod"}, {"note", "two\nlines"}, {"odd", "=x"}}}
	f := func(label, text string, want bool) {
		t.Helper()
		m, err := ParseMatcher(label, text)
		if err != nil {
			t.Fatal(err)
		}
		if m.Matches(s) != want {
			t.Errorf("%v matches: %v", m, !want)
		}
		again, err := ParseMatcher(label, m.Text())
		if err != nil || again.Op != m.Op || again.Value != m.Value {
			t.Errorf("%v reads back as %v, %v", m, again, err)
		}
	}
	f("env", "prod", true)
	f("env", "=prod", true)
	f("env", "pro", false)
	f("env", "!=prod", false)
	f("env", "!=dev", true)
	f("env", "=~pr.d", true)
	f("env", "=~ro", false) // whole values only
	f("env", "=~dev|prod", true)
	f("env", "!~dev|stage", true)
	f("absent", "", true)
	f("absent", "!=x", true)
	f("absent", "=~.+", false)
	f("note", "=~two.lines", true)
	f("odd", "==x", true)
	f("odd", "=x", false)
}

func TestValidateQueries(t *testing.T) {
	parse := func(texts ...string) map[string]Query {
		queries := map[string]Query{}
		for i := 0; i < len(texts); i += 2 {
			queries[texts[i]] = mustParse(t, texts[i+1])
		}
		return queries
	}
	f := func(key string, queries map[string]Query) {
		t.Helper()
		err := ValidateQueries(queries)
		var wrong *QueryError
		if key == "" && err != nil || key != "" && (!errors.As(err, &wrong) || wrong.Key != key) {
			t.Errorf("got %v, want an error at %q", err, key)
		}
	}
	const plain, byAgent, byRegion = "{metric: m, over: last, agg: sum}", "{metric: m, over: last, agg: sum, by: [agent]}", "{metric: m, over: last, agg: sum, by: [region]}"
	f("", parse("a", plain, "b", byAgent, "c", "{expr: a / b, top: 3}"))
	f("c.expr", parse("a", plain, "c", "{expr: a / b}"))
	f("c.expr", parse("a", byRegion, "b", byAgent, "c", "{expr: a / b}"))
	f("c.top", parse("a", plain, "c", "{expr: a / 2, top: 3}"))
	f("d.expr", parse("a", plain, "c", "{expr: a}", "d", "{expr: c}"))
	f("c.expr", parse("a", "{metric: m, over: last, agg: sum, by: [agent], top: 2}", "c", "{expr: a}"))
	f("c.expr", parse("a", plain, "c", "{expr: a, step: 10s}"))
	f("c.expr", parse("a", plain, "c", "{expr: 1 + 1}"))
}

func FuzzQuery(f *testing.F) {
	f.Add(`{"metric":"m","over":"last","agg":"sum","by":["a"],"top":2,"where":{"a":"=~x.*"},"step":"1m"}`)
	f.Add(`{"expr":"a / b * 100","top":3}`)
	f.Add("metric: m\nover: rate\nagg: p99\nwhere: {a: '!=b'}\n")
	f.Fuzz(func(t *testing.T, text string) {
		var q Query
		if json.Unmarshal([]byte(text), &q) != nil && yaml.Unmarshal([]byte(text), &q) != nil {
			return
		}
		if q.Step == 0 {
			return // YAML that holds no query at all
		}
		out, err := json.Marshal(q)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var again Query
		if err := json.Unmarshal(out, &again); err != nil || again.String() != q.String() {
			t.Fatalf("%q gives %s, which reads back as %v, %v", text, out, again, err)
		}
	})
}
