package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// refusal is what a hub answers to what exceeds a limit.
type refusal struct {
	status        int
	code, message string
}

func readRefusal(t *testing.T, answer *http.Response) refusal {
	t.Helper()
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var said struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal(body, &said); err != nil && answer.StatusCode != http.StatusOK {
		t.Errorf("%s: %.300s is no refusal: %v", answer.Status, body, err)
	}
	return refusal{answer.StatusCode, said.Error.Code, said.Error.Message}
}

// check fails the test unless the message names each of these: the limit and the remedy.
func (r refusal) check(t *testing.T, what string, status int, code string, says ...string) {
	t.Helper()
	if r.status != status || r.code != code {
		t.Errorf("%.100s: %d %s %.500q, want %d %s", what, r.status, r.code, r.message, status, code)
	}
	for _, part := range says {
		if !strings.Contains(r.message, part) {
			t.Errorf("%.100s: %.500q does not say %q", what, r.message, part)
		}
	}
}

// Every limit of SQL is met once, and says what it is and what to do.
func TestLimitsOfSQL(t *testing.T) {
	in := install(t)
	in.startHub()
	token := in.command("token", "create", "--data", in.data, "--scope", "query", "ada")
	address := "http://" + in.listen + "/api/v1/sql"
	f := func(statement string, status int, code string, says ...string) {
		t.Helper()
		answer, err := question{url: address, token: token}.send(t.Context(), statement)
		if err != nil {
			t.Fatal(err)
		}
		readRefusal(t, answer).check(t, statement, status, code, says...)
	}
	const endless = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"
	f(endless+" SETTINGS max_execution_time = 1", 400, "sql_limit", "Timeout exceeded", "maximum: 1000", "max_execution_time = 60", "shorter range")
	f("SELECT groupArray(number) FROM numbers(1000000000)", 400, "sql_limit", "memory limit exceeded", "maximum: 1.00 GiB", "group by less")
	f("SELECT number FROM numbers(1000) SETTINGS max_result_rows = 100", 400, "sql_limit", "max rows: 100.00", "add a LIMIT", "max_result_rows = 10000000")
	f("SELECT repeat('x', 1000) FROM numbers(100) SETTINGS max_result_bytes = 1000", 400, "sql_limit", "max bytes: 1000.00 B", "add a LIMIT", "max_result_bytes = 1073741824")
	for _, setting := range []string{"max_execution_time = 61", "max_execution_time = 0", "max_result_rows = 10000001", "max_result_bytes = 1073741825",
		"max_memory_usage = 1073741825", "max_threads = 3", "priority = 1", "workload = 'all'", "use_concurrency_control = 0", "max_concurrent_queries_for_user = 100", "readonly = 0"} {
		name, _, _ := strings.Cut(setting, " ")
		f("SELECT 1 SETTINGS "+setting, 403, "forbidden", name)
	}
	for _, statement := range []string{"INSERT INTO samples SELECT * FROM samples", "CREATE TABLE mine (a Int8) ENGINE = Memory", "DROP TABLE raw", "TRUNCATE TABLE raw",
		"ALTER TABLE raw DELETE WHERE 1", "SYSTEM STOP MERGES raw", "CREATE USER ada", "KILL QUERY WHERE 1"} {
		f(statement, 403, "forbidden", ": analysts read")
	}
	for _, statement := range []string{"SELECT * FROM system.users", "SELECT * FROM file('/etc/passwd', 'LineAsString')", "SELECT * FROM url('http://127.0.0.1/', 'LineAsString')"} {
		f(statement, 403, "forbidden", "analysts read the views of the database telltale, and nothing else")
	}
	f("SELECT 1; SELECT 2", 400, "bad_sql", "Multi-statements are not allowed")
	f("SELECT * FROM no_such_view", 400, "bad_sql", "no_such_view")
	f("SELECT 1 FORMAT Excel", 400, "bad_sql", "Excel")
	f("SELECT '"+strings.Repeat("x", 256<<10)+"'", 413, "body_too_large", "at most 262144 bytes", "shorten it")
	f(" ", 400, "bad_request", "send the SQL as the body")
	address += "?format=excel"
	f("SELECT 1", 400, "bad_format", `"excel"`, "json, ndjson, csv, tsv, parquet, arrow")
}

// A result that meets its limit when some of it is sent already is not taken for whole, and says why.
func TestLimitsHalfWay(t *testing.T) {
	in := install(t)
	in.startHub()
	ask := question{url: "http://" + in.listen + "/api/v1/sql?format=csv", token: in.command("token", "create", "--data", in.data, "--scope", "query", "ada")}
	for statement, want := range map[string]string{
		"SELECT number FROM numbers(3000000)":                                                                         "rows",
		"SELECT randomPrintableASCII(1000) FROM numbers(1000000)":                                                     "bytes",
		"SELECT number, sleepEachRow(0.002) FROM numbers(3000) SETTINGS max_execution_time = 2, max_block_size = 100": "time",
	} {
		if got := ask.outcome(t.Context(), statement); got != "hub: broken off, "+want {
			t.Errorf("%s: %s, want it broken off by the limit of %s", statement, got, want)
		}
	}
}

// One asker leaves a turn for another, and both ways to ClickHouse have a bound in common.
func TestLimitsOfConcurrency(t *testing.T) {
	in := install(t)
	hub := in.startHub()
	history := openHistory(t, in.data)
	running := func(n uint64) {
		t.Helper()
		eventually(t, fmt.Sprint(n, " statements run"), func() bool {
			var now uint64
			err := history.QueryRow(t.Context(), "SELECT count() FROM system.processes WHERE user = 'analyst'").Scan(&now)
			return err == nil && now == n
		})
	}
	asker := func(name string) question {
		return question{url: "http://" + in.listen + "/api/v1/sql", token: in.command("token", "create", "--data", in.data, "--scope", "query", name)}
	}
	ada, bob, cyd := asker("ada"), asker("bob"), asker("cyd")
	const slow = "SELECT sum(slept) FROM (SELECT sleepEachRow(1) AS slept FROM numbers(60)) SETTINGS max_execution_time = 60, max_block_size = 1"
	ctx, leave := context.WithCancel(t.Context())
	var slowOnes sync.WaitGroup
	defer slowOnes.Wait()
	defer leave()
	begin := func(q question) { slowOnes.Go(func() { q.outcome(ctx, slow) }) }
	for n := range uint64(3) {
		begin(ada)
		running(n + 1)
	}
	next := func(q question) refusal {
		t.Helper()
		answer, err := q.send(t.Context(), "SELECT 1")
		if err != nil {
			t.Fatal(err)
		}
		return readRefusal(t, answer)
	}
	next(ada).check(t, "a fourth statement of Ada's", 503, "busy", "3 statements of yours are running", "wait until one has ended")
	begin(bob)
	running(4)
	next(cyd).check(t, "a fifth statement", 503, "busy", "4 statements of all analysts are running", "run yours again later")
	if _, err := sql(t, hub, "SELECT 1"); err == nil || !strings.Contains(err.Error(), "Too many simultaneous queries") {
		t.Errorf("a fifth statement at ClickHouse's own door: %v", err)
	}
	leave()
	running(0)
	next(cyd).check(t, "a statement when all have left", 200, "")
	if refusals := in.metric(in.signIn(), "telltale_sql_refused_total"); refusals != 2 {
		t.Errorf("%v refusals are counted, want 2", refusals)
	}
}

// Every limit of a query on history is met once.
func TestLimitsOfQueries(t *testing.T) {
	in := install(t)
	in.startHub()
	session := in.signIn()
	f := func(path, body string, status int, code string, says ...string) {
		t.Helper()
		method := http.MethodPost
		if body == "" {
			method = http.MethodGet
		}
		readRefusal(t, ask(t, "http://"+in.listen, method, path, "", session, body)).check(t, path+" "+body, status, code, says...)
	}
	query := func(body string, status int, code string, says ...string) {
		t.Helper()
		f("/api/v1/query", body, status, code, says...)
	}
	const cpu = `{"metric":"cpu","over":"avg","agg":"avg"}`
	with := func(key string) string {
		return `{"queries":{"q":` + strings.TrimSuffix(cpu, "}") + "," + key + `}},"from":0,"to":1000,"step":"1s"}`
	}
	const day = 86_400_000
	now := time.Now().UnixMilli()
	query(fmt.Sprintf(`{"queries":{"q":%s},"from":%d,"to":%d,"step":"1s"}`, cpu, now-day, now), 400, "too_many_windows", "the limit is 11000", "ask for a step of 10s or more")
	query(`{"queries":{"q":`+cpu+`},"from":2000,"to":1000,"step":"1s"}`, 400, "bad_range", "earlier one first")
	query(`{"queries":{"q":`+cpu+`},"from":0,"to":9000000000000000,"step":"1d"}`, 400, "bad_range", "ms since 1970")
	query(`{"queries":{"q":`+cpu+`},"from":0,"to":1000,"step":"3s"}`, 400, "bad_request", "use one of 1s")
	query(`{"queries":{`+manyQueries(101, cpu)+`},"from":0,"to":1000,"step":"1s"}`, 400, "too_many_queries", "the limit is 100")
	query(with(`"where":{`+manyKeys(33)+`}`), 400, "bad_query", "q: where", "33 matchers", "the limit is 32")
	query(with(`"where":{"a":"=~`+strings.Repeat("x", 1001)+`"}`), 400, "bad_query", "q: where.a", "1001 bytes", "the limit is 1000")
	query(with(`"by":[`+strings.TrimSuffix(strings.Repeat(`"a",`, 17), ",")+`]`), 400, "bad_query", "q: by", "17 labels", "the limit is 16")
	query(with(`"by":["agent"],"top":1001`), 400, "bad_query", "q: top", "1001", "1000")
	query(with(`"metric":"`+strings.Repeat("m", 201)+`"`), 400, "bad_query", "q: metric", "201 bytes", "the limit is 200")
	query(`{"queries":{"q":{"expr":"`+strings.Repeat("1+", 500)+`1"}},"from":0,"to":1000,"step":"1s"}`, 400, "bad_query", "1001 bytes", "the limit is 1000")

	for _, path := range []string{"metrics", "labels", "labels/agent", "cardinality"} {
		for _, limit := range []string{"0", "10001", "-1", "many", "99999999999999999999"} {
			f("/api/v1/"+path+"?limit="+limit, "", 400, "bad_limit", "limit="+limit[:min(len(limit), 20)], "a number from 1 to 10000")
		}
	}
}

func manyQueries(n int, query string) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"q%d":%s`, i, query))
	}
	return strings.Join(all, ",")
}

func manyKeys(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"l%d":"v"`, i))
	}
	return strings.Join(all, ",")
}
