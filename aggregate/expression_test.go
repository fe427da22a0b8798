package aggregate

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestExpression(t *testing.T) {
	values := map[string]float64{"a": 6, "b": 3, "zero": 0, "gone": math.NaN(), "huge": 1e308}
	f := func(text string, want float64) {
		t.Helper()
		e, err := ParseExpression(text)
		if err != nil {
			t.Fatal(err)
		}
		got := e.Eval(func(query string) float64 { return values[query] })
		if !same(got, want) {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
	f("a", 6)
	f("a / b * 100", 200)
	f("a - b - 1", 2)
	f("a + b * 2", 12)
	f("(a + b) * .5", 4.5)
	f("-a + -(-b)", -3)
	f("a/zero", math.NaN())
	f("zero/zero", math.NaN())
	f("1/(a/zero)", math.NaN())
	f("a + gone", math.NaN())
	f("zero * gone", math.NaN())
	f("huge * 10", math.NaN())
}

func TestExpressionNamesItsQueries(t *testing.T) {
	e, err := ParseExpression("errors_5xx / (requests + 1) - errors_5xx")
	if err != nil {
		t.Fatal(err)
	}
	if names := e.Queries(); !slices.Equal(names, []string{"errors_5xx", "requests"}) {
		t.Fatalf("got %v", names)
	}
}

func TestExpressionErrors(t *testing.T) {
	for _, text := range []string{"", "a +", "a b", "(a", "a)", "1.2.3", "a % b", "a ** b", "é",
		strings.Repeat("(", 60) + "a" + strings.Repeat(")", 60), strings.Repeat("-", 60) + "a", strings.Repeat("a+", 600) + "a"} {
		if _, err := ParseExpression(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func FuzzExpression(f *testing.F) {
	f.Add("a / b * 100")
	f.Add("-(x - 1) / .5")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseExpression(text)
		if err != nil {
			return
		}
		if v := e.Eval(func(string) float64 { return 2 }); math.IsInf(v, 0) {
			t.Fatalf("%q is infinite", text)
		}
		for _, name := range e.Queries() {
			if !strings.Contains(text, name) {
				t.Fatalf("%q names %q", text, name)
			}
		}
	})
}
