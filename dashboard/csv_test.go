package dashboard

import (
	"bytes"
	"context"
	"encoding/csv"
	"net/http"
	"testing"

	"telltale/aggregate"
)

func TestCSV(t *testing.T) {
	group := func(value string) aggregate.Group {
		return aggregate.Group{Labels: []aggregate.Label{{Name: "agent", Value: value}, {Name: "b", Value: ""}}}
	}
	answer := HistoryAnswer{Step: 1000, Ends: []int64{1000, 2000}, Results: map[string]aggregate.Columns{
		"cpu": {Groups: []aggregate.Group{group("web-1"), group(`a,b="c"`), {Other: true}}, Values: [][]float64{{0.5, nan}, {nan, nan}, {1e21, -3}}},
		"all": {Groups: []aggregate.Group{{}}, Values: [][]float64{{7, 8}}},
		"=1":  {},
		"=2":  {Groups: []aggregate.Group{{}}, Values: [][]float64{{0, 0}}},
	}}
	const want = "ts,'=2,all,\"cpu{agent=web-1,b=}\",\"cpu{agent=\"\"a,b=\\\"\"c\\\"\"\"\",b=}\",cpu{...}\r\n" +
		"1000,0,7,0.5,,1e+21\r\n2000,0,8,,,-3\r\n"
	if got := string(appendCSV(nil, answer)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := string(appendCSV(nil, HistoryAnswer{})); got != "ts\r\n" {
		t.Errorf("an empty answer is %q", got)
	}
}

// Every text reads back as itself, but for the apostrophe before what might be a formula.
func FuzzCell(f *testing.F) {
	for _, text := range []string{"", "cpu", "a,b", `"`, "a\nb", "=1", "\r"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		line := append(appendCell([]byte("x,"), text), '\n')
		read, err := csv.NewReader(bytes.NewReader(line)).ReadAll()
		if err != nil || len(read) != 1 || len(read[0]) != 2 {
			t.Fatalf("%q is written %q, and read %q, %v", text, line, read, err)
		}
		// The reader makes \r\n of a text into \n.
		want := string(bytes.ReplaceAll([]byte(text), []byte("\r\n"), []byte("\n")))
		if got := read[0][1]; got != want && got != "'"+want {
			t.Errorf("%q is written %q, and read %q", text, line, got)
		}
	})
}

func TestQueryAsCSV(t *testing.T) {
	s := open(t, func(_ *Config, p *Parts) {
		p.History = past{query: func(_ context.Context, ask HistoryQuery) (HistoryAnswer, error) {
			return HistoryAnswer{Step: ask.Step, Ends: []int64{1000}, Results: map[string]aggregate.Columns{
				"a": {Groups: []aggregate.Group{{}}, Values: [][]float64{{4}}},
			}}, nil
		}}
	})
	c := s.signedIn()
	f := func(accept, mime, body string) {
		t.Helper()
		c.header.Set("Accept", accept)
		r := c.post("/api/v1/query", `{"queries":{"a":{"metric":"m","over":"avg","agg":"avg"}},"from":0,"to":1000,"step":"1s"}`)
		r.want(http.StatusOK, "")
		if got := r.Header.Get("Content-Type"); got != mime || string(r.body) != body {
			t.Errorf("accept %q: %s\n%s", accept, got, r.body)
		}
	}
	const json = `{"from":0,"to":1000,"step_ms":1000,"ends":[1000],"queries":{"a":{"groups":[{}],"values":[[4]]}}}`
	f("", "application/json", json)
	f("*/*", "application/json", json)
	f("text/html, application/json", "application/json", json)
	f("text/csv", "text/csv; charset=utf-8; header=present", "ts,a\r\n1000,4\r\n")
	f("text/csv, application/json;q=0.5", "text/csv; charset=utf-8; header=present", "ts,a\r\n1000,4\r\n")
	c.header.Set("Accept", "text/csv")
	c.post("/api/v1/query", `{}`).want(http.StatusBadRequest, "bad_request") // refusals are JSON
}
