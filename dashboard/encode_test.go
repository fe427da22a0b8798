package dashboard

import (
	"encoding/json"
	"math"
	"testing"
	"unicode/utf8"

	"telltale/aggregate"
)

var nan = math.NaN()

func TestNumbers(t *testing.T) {
	f := func(v float64, want string) {
		t.Helper()
		if got := string(appendNumber(nil, v)); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
	f(0, "0")
	f(0.1, "0.1")
	f(-12345678, "-12345678")
	f(1.0/3, "0.3333333333333333")
	f(1e20, "100000000000000000000")
	f(1e21, "1e+21")
	f(5e-324, "5e-324")
	f(nan, "null")
	f(math.Inf(1), "null")
	f(math.Inf(-1), "null")
}

// Every number reads back as itself, so that the page shows what SQL gives.
func FuzzNumber(f *testing.F) {
	for _, v := range []float64{0, 0.1, 1e-6, 9.9e-7, 1e21, math.MaxFloat64, math.SmallestNonzeroFloat64, nan} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v float64) {
		var read *float64
		text := appendNumber(nil, v)
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatalf("%v is written %s: %v", v, text, err)
		}
		finite := !math.IsNaN(v) && !math.IsInf(v, 0)
		if finite != (read != nil) || finite && *read != v {
			t.Errorf("%v is written %s", v, text)
		}
	})
}

func FuzzText(f *testing.F) {
	for _, text := range []string{"", "web-1", `"\`, "a\nb", "\u2028", "é", "\x7f", "\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var read string
		written := appendText(nil, text)
		if err := json.Unmarshal(written, &read); err != nil {
			t.Fatalf("%q is written %s: %v", text, written, err)
		}
		if utf8.ValidString(text) && read != text {
			t.Errorf("%q is written %s", text, written)
		}
		for _, c := range written {
			if c < ' ' {
				t.Errorf("%q is written with a control character: %q", text, written)
			}
		}
	})
}

func TestFrames(t *testing.T) {
	group := func(value string) aggregate.Group {
		return aggregate.Group{Labels: []aggregate.Label{{Name: "agent", Value: value}, {Name: "b", Value: ""}}}
	}
	tick := aggregate.Tick{
		End: 2000,
		Results: map[string]aggregate.Result{
			"a": {Groups: []aggregate.Group{group("x\n"), {Other: true}}, Values: []float64{0.5, nan}, Changed: true},
			"b": {Groups: []aggregate.Group{{}}, Values: []float64{3}},
		},
		Amended: []aggregate.Amendment{{End: 1000, Values: map[string][]float64{"b": {1}}}},
	}
	f := func(got []byte, want string) {
		t.Helper()
		if string(got) != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	names := []string{"a", "b"}
	f(appendTick(nil, names, tick, pastRows{}, span{}), `{"end":2000,"values":{"a":[0.5,null],"b":[3]},"groups":{"a":[{"agent":"x\n","b":""},{}]},"amend":[{"end":1000,"values":{"b":[1]}}]}`)
	past := pastRows{since: 1000, until: 3000, rows: map[string]map[string][]float64{"1w": {"b": {1, nan, 2}}, "1d": {"b": {0, 0, 0}, "a": {nan, nan, 1}}}}
	f(appendTick(nil, names, aggregate.Tick{End: 2000}, past, span{}),
		`{"end":2000,"values":{},"compare":{"since":1000,"shifts":{"1d":{"a":[null,null,1],"b":[0,0,0]},"1w":{"b":[1,null,2]}}}}`)
	f(appendTick(nil, names, tick, pastRows{}, span{0, 1000}), `{"end":2000,"values":{"a":[0.5,null],"b":[3]},"groups":{"a":[{"agent":"x\n","b":""},{}]},"amend":[{"end":1000,"partial":true,"values":{"b":[1]}}]}`)
	snapshot := aggregate.Snapshot{Since: 1000, End: 2000, Step: 1000, Results: map[string]aggregate.Columns{
		"b": {Groups: []aggregate.Group{{}}, Values: [][]float64{{1, 2}}},
		"a": {},
	}}
	columns := `{"a":{"groups":[],"values":[]},"b":{"groups":[{}],"values":[[1,2]]}}`
	f(appendSnapshot(nil, names, snapshot, pastRows{}, span{500, 1500}), `{"end":2000,"since":1000,"step_ms":1000,"partial":{"from":500,"to":1500},"queries":`+columns+`}`)
	f(appendSnapshot(nil, names, snapshot, pastRows{}, span{2000, 3000}), `{"end":2000,"since":1000,"step_ms":1000,"queries":`+columns+`}`)
	ask := historyRequest{HistoryQuery: HistoryQuery{Queries: map[string]aggregate.Query{"a": {}, "b": {}}, From: 500, To: 2500, Step: 1000}}
	answer := HistoryAnswer{Step: 1000, Ends: []int64{1000, 2000}, Results: snapshot.Results}
	f(appendHistory(nil, ask, answer, nil), `{"from":0,"to":2000,"step_ms":1000,"ends":[1000,2000],"queries":`+columns+`}`)
	f(appendHistory(nil, ask, HistoryAnswer{Step: 1000}, nil), `{"from":500,"to":2500,"step_ms":1000,"ends":[],"queries":{}}`)
}

func BenchmarkTick(b *testing.B) {
	results := map[string]aggregate.Result{}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		values := make([]float64, 100)
		for i := range values {
			values[i] = float64(i) / 7
		}
		results[name] = aggregate.Result{Values: values}
	}
	tick := aggregate.Tick{End: 1763800000000, Results: results}
	names := []string{"a", "b", "c", "d", "e"}
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		buffer = appendTick(buffer[:0], names, tick, pastRows{}, span{})
	}
	b.SetBytes(int64(len(buffer)))
}
