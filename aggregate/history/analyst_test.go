package history

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"telltale/aggregate/engine/enginetest"
)

// newAnalyst asks as the writer, whose database is the test's: what analysts may read is the engine's affair.
func (s *testStore) newAnalyst() *Analyst {
	s.t.Helper()
	address, err := url.Parse(enginetest.Engine(s.t).Addresses().HTTP)
	if err != nil {
		s.t.Fatal(err)
	}
	address.User = url.UserPassword(s.options.Auth.Username, s.options.Auth.Password)
	address.Path = "/" + s.options.Auth.Database
	a, err := NewAnalyst(address.String(), prometheus.NewRegistry())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(a.Close)
	return a
}

func TestAnalystGetsFormats(t *testing.T) {
	a := newTestStore(t).newAnalyst()
	const sql = "SELECT number AS n, {text:String} AS t FROM numbers(2)"
	parameters := map[string]string{"text": `it's "a,b"`}
	for _, c := range []struct {
		format, contentType string
		read                func(body string) (any, error)
		want                any
	}{
		{"CSVWithNames", "text/csv", func(body string) (any, error) { return csv.NewReader(strings.NewReader(body)).ReadAll() },
			[][]string{{"n", "t"}, {"0", `it's "a,b"`}, {"1", `it's "a,b"`}}},
		{"JSON", "application/json", func(body string) (any, error) {
			var v struct{ Data []map[string]any }
			err := json.Unmarshal([]byte(body), &v)
			return v.Data, err
		}, []map[string]any{{"n": float64(0), "t": `it's "a,b"`}, {"n": float64(1), "t": `it's "a,b"`}}},
		{"JSONEachRow", "application/x-ndjson", func(body string) (any, error) { return body, nil },
			`{"n":0,"t":"it's \"a,b\""}` + "\n" + `{"n":1,"t":"it's \"a,b\""}` + "\n"},
		{"Parquet", "application/", func(body string) (any, error) { return body[:4] + body[len(body)-4:], nil }, "PAR1PAR1"},
		{"ArrowStream", "application/", func(body string) (any, error) { return body[:4], nil }, "\xff\xff\xff\xff"},
	} {
		result, err := a.Run(t.Context(), "ada", sql, c.format, parameters)
		if err != nil {
			t.Fatalf("%s: %v", c.format, err)
		}
		body, err := io.ReadAll(result.Body)
		if err = errors.Join(err, result.Body.Close()); err != nil {
			t.Fatalf("%s: %v", c.format, err)
		}
		got, err := c.read(string(body))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v, want %v (%v) of %q", c.format, got, c.want, err, body)
		}
		if !strings.HasPrefix(result.ContentType, c.contentType) {
			t.Errorf("%s: content type %q", c.format, result.ContentType)
		}
	}
}

func TestAnalystIsRefused(t *testing.T) {
	a := newTestStore(t).newAnalyst()
	for sql, want := range map[string]SQLError{
		"SELEC 1":              {CodeBadSQL, "Syntax error", 62},
		"SELECT * FROM nobody": {CodeBadSQL, "nobody", 60},
		"SELECT number FROM numbers(100) SETTINGS max_result_rows = 10":                         {CodeSQLLimit, "add a LIMIT", 396},
		"SELECT count() FROM numbers(1000000000000) SETTINGS max_execution_time = 0.01":         {CodeSQLLimit, "shorter range", 159},
		"SELECT groupArray(number) FROM numbers(100000000) SETTINGS max_memory_usage = 1000000": {CodeSQLLimit, "group by less", 241},
		"CREATE TABLE t (a Int8) ENGINE = Memory SETTINGS readonly = 1":                         {CodeForbidden, "they do not write", 164},
	} {
		_, err := a.Run(t.Context(), "ada", sql, "JSON", nil)
		var wrong *SQLError
		if !errors.As(err, &wrong) || wrong.Code != want.Code || wrong.Exception != want.Exception || !strings.Contains(wrong.Message, want.Message) {
			t.Errorf("%s: got %v, want %v", sql, err, &want)
		}
	}
}

// TestResultThatBreaksOffIsNotWhole: a reader must not take a part for all.
func TestResultThatBreaksOffIsNotWhole(t *testing.T) {
	a := newTestStore(t).newAnalyst()
	result, err := a.Run(t.Context(), "ada", "SELECT number, throwIf(number = 3000000, 'that is too far') FROM numbers(4000000) SETTINGS max_result_rows = 0", "CSVWithNames", nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(result.Body)
	if closeErr := result.Body.Close(); closeErr != nil {
		t.Error(closeErr)
	}
	if err == nil {
		t.Error("the end of a broken result reads as a good one")
	}
	if tail := string(body[max(0, len(body)-500):]); !strings.Contains(tail, "that is too far") {
		t.Errorf("no reason at the end of the result: %q", tail)
	}
}

func TestStatementEndsWithItsReader(t *testing.T) {
	s := newTestStore(t)
	a := s.newAnalyst()
	const endless = "SELECT number, sleepEachRow(0.02) FROM system.numbers SETTINGS max_block_size = 10"
	result, err := a.Run(t.Context(), "ada", endless, "CSVWithNames", nil)
	if err != nil {
		t.Fatal(err)
	}
	running := func() uint64 {
		return s.count("SELECT count() FROM system.processes WHERE query LIKE 'SELECT number, sleepEachRow%'")
	}
	if running() != 1 {
		t.Errorf("%d run, want the one", running())
	}
	if err := result.Body.Close(); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(time.Minute); running() > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the statement runs on without a reader")
		}
	}
	for range maxAnalystReads + 1 { // all turns were given back
		result, err := a.Run(t.Context(), "ada", "SELECT 1", "JSON", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = result.Body.Close()
	}
}

func TestAnalystsAddress(t *testing.T) {
	for _, address := range []string{"", "http://h:8123/db", "clickhouse://u:p@h:9000/db", "http://u:p@/db", "::"} {
		if _, err := NewAnalyst(address, prometheus.NewRegistry()); err == nil {
			t.Errorf("%q is taken", address)
		}
	}
}
