package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	RunChildIfAsked()
	if dir := os.Getenv(hubDirVariable); dir != "" {
		runHub(dir)
	}
	goleak.VerifyTestMain(m)
}

func testConfig(t *testing.T, dir string) Config {
	t.Helper()
	path, err := Find("")
	if err != nil {
		t.Fatal(err)
	}
	return Config{DataDir: dir, Path: path, AnalystReads: []string{"telltale.shown"}}
}

func start(t *testing.T, cfg Config) *Engine {
	t.Helper()
	e, err := Start(t.Context(), cfg, slog.New(slog.NewTextHandler(t.Output(), nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	return e
}

// connect signs in over the native protocol, without naming a database.
func connect(t *testing.T, dsn string) driver.Conn {
	t.Helper()
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	options.Auth.Database = ""
	connection, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

func mustExec(t *testing.T, connection driver.Conn, queries ...string) {
	t.Helper()
	for _, query := range queries {
		if err := connection.Exec(t.Context(), query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
}

func mustRead[T any](t *testing.T, connection driver.Conn, query string) T {
	t.Helper()
	var value T
	if err := connection.QueryRow(t.Context(), query).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

func get(t *testing.T, e *Engine, user, password, query string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.Addresses().HTTP, strings.NewReader(query))
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(user, password)
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// exceptionCode is the number of ClickHouse's error, 0 where there is none.
func exceptionCode(err error) int32 {
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		return exception.Code
	}
	return 0
}

const (
	settingConstraint = 452
	cannotOpenFile    = 76
	accessDenied      = 497
	wrongPassword     = 516
	tooManySessions   = 700
)

func TestEngineServesBothProtocolsOnTheConfiguredPorts(t *testing.T) {
	dir := t.TempDir()
	cfg := testConfig(t, dir)
	var id identity
	if err := id.choosePorts(0, 0); err != nil {
		t.Fatal(err)
	}
	cfg.TCPPort, cfg.HTTPPort = id.TCPPort, id.HTTPPort
	e := start(t, cfg)
	if err := e.Err(); err != nil {
		t.Errorf("Err() of a started engine = %v, want nil", err)
	}
	if want := fmt.Sprintf("127.0.0.1:%d", cfg.TCPPort); e.Addresses().TCP != want {
		t.Errorf("listens on %s, want %s", e.Addresses().TCP, want)
	}
	if want := fmt.Sprintf("http://127.0.0.1:%d", cfg.HTTPPort); e.Addresses().HTTP != want {
		t.Errorf("listens on %s, want %s", e.Addresses().HTTP, want)
	}
	if got := mustRead[string](t, connect(t, e.Addresses().DSN), "SELECT currentUser()"); got != WriterUser {
		t.Errorf("signed in over the native protocol as %q, want %q", got, WriterUser)
	}
	status, body := get(t, e, AnalystUser, e.Addresses().AnalystPassword, "SELECT currentUser(), 6 * 7")
	if status != http.StatusOK || body != "analyst\t42\n" {
		t.Errorf("over HTTP: status %d and %q, want the analyst's answer", status, body)
	}
	for _, file := range []string{"engine.json", "clickhouse/config.xml", "clickhouse/users.xml"} {
		info, err := os.Stat(dir + "/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", file, info.Mode().Perm())
		}
	}
}

func TestAnalystReadsOnlyWhatIsListed(t *testing.T) {
	e := start(t, testConfig(t, t.TempDir()))
	writer := connect(t, e.Addresses().DSN)
	mustExec(t, writer,
		"CREATE DATABASE telltale ENGINE = Atomic",
		"CREATE TABLE telltale.raw (a UInt64) ENGINE = MergeTree ORDER BY a",
		"INSERT INTO telltale.raw SELECT number FROM numbers(10)",
		"CREATE VIEW telltale.shown DEFINER = telltale SQL SECURITY DEFINER AS SELECT sum(a) AS total FROM telltale.raw",
		"CREATE VIEW telltale.hidden DEFINER = telltale SQL SECURITY DEFINER AS SELECT sum(a) AS total FROM telltale.raw")

	analyst := connect(t, e.Addresses().AnalystDSN)
	if total := mustRead[uint64](t, analyst, "SELECT total FROM telltale.shown"); total != 45 {
		t.Errorf("the analyst reads a total of %d, want 45", total)
	}
	mustExec(t, analyst, "SELECT 1 SETTINGS max_execution_time = 5, session_timezone = 'Asia/Tokyo'")
	for query, code := range map[string]int32{
		"SELECT * FROM telltale.raw":                               accessDenied,
		"SELECT * FROM telltale.hidden":                            accessDenied,
		"INSERT INTO telltale.raw SELECT 1":                        accessDenied,
		"CREATE TABLE telltale.mine (a UInt8) ENGINE = Memory":     accessDenied,
		"CREATE TEMPORARY TABLE mine (a UInt8)":                    accessDenied,
		"DROP VIEW telltale.shown":                                 accessDenied,
		"ALTER TABLE telltale.raw DELETE WHERE 1":                  accessDenied,
		"KILL QUERY WHERE 1":                                       accessDenied,
		"SYSTEM STOP LISTEN TCP":                                   accessDenied,
		"SELECT * FROM file('/etc/passwd', 'LineAsString')":        accessDenied,
		"SELECT * FROM url('http://127.0.0.1/', 'LineAsString')":   accessDenied,
		"SELECT * FROM remote('127.0.0.1', 'telltale', 'raw')":     accessDenied,
		"SELECT * FROM system.users":                               accessDenied,
		"SELECT file('/etc/passwd')":                               cannotOpenFile,
		"SELECT file('/proc/self/root/etc/passwd')":                cannotOpenFile,
		"SELECT file('../engine.json')":                            cannotOpenFile,
		"SELECT 1 SETTINGS max_execution_time = 0":                 settingConstraint,
		"SELECT 1 SETTINGS max_execution_time = 3600":              settingConstraint,
		"SELECT 1 SETTINGS max_memory_usage = 0":                   settingConstraint,
		"SELECT 1 SETTINGS max_memory_usage = 100000000000":        settingConstraint,
		"SELECT 1 SETTINGS max_result_rows = 0":                    settingConstraint,
		"SELECT 1 SETTINGS max_threads = 64":                       settingConstraint,
		"SELECT 1 SETTINGS max_concurrent_queries_for_user = 1000": settingConstraint,
		"SELECT 1 SETTINGS timeout_overflow_mode = 'break'":        settingConstraint,
	} {
		if err := analyst.Exec(t.Context(), query); exceptionCode(err) != code {
			t.Errorf("as the analyst, %s: %v, want code %d", query, err, code)
		}
	}
	if rows := mustRead[uint64](t, writer, "SELECT count() FROM telltale.raw"); rows != 10 {
		t.Errorf("telltale.raw has %d rows after the analyst's attempts, want 10", rows)
	}
}

func TestKilledEngineIsRestartedWithItsData(t *testing.T) {
	e := start(t, testConfig(t, t.TempDir()))
	writer := connect(t, e.Addresses().DSN)
	mustExec(t, writer, "CREATE DATABASE telltale ENGINE = Atomic",
		"CREATE TABLE telltale.t (a UInt64) ENGINE = MergeTree ORDER BY a",
		"INSERT INTO telltale.t SELECT number FROM numbers(1000)")

	before := e.PID()
	process, err := os.FindProcess(before)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return e.PID() != before && e.Err() == nil })
	if n := testutil.ToFloat64(e.restarts); n != 1 {
		t.Errorf("counted %v restarts, want 1", n)
	}

	again := e.PID()
	if err := e.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e.PID() == again || e.Err() != nil {
		t.Errorf("after Restart the process is %d and Err() %v, want another than %d and nil", e.PID(), e.Err(), again)
	}
	if rows := mustRead[uint64](t, connect(t, e.Addresses().DSN), "SELECT count() FROM telltale.t"); rows != 1000 {
		t.Errorf("%d rows after two kills, want 1000", rows)
	}
	if got := mustRead[string](t, connect(t, e.Addresses().DSN),
		"SELECT data_paths[1] FROM system.tables WHERE database = 'telltale' AND name = 't'"); !strings.HasPrefix(got, e.StorePath()+"/") {
		t.Errorf("the table is in %s, want it below %s", got, e.StorePath())
	}
}

func TestPortsAndPasswordsOutliveTheHub(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	e := start(t, cfg)
	before := e.Addresses()
	e.Close(t.Context())
	e.Close(t.Context())
	if err := e.Err(); !errors.Is(err, ErrClosed) {
		t.Errorf("Err() after Close = %v, want ErrClosed", err)
	}
	if err := e.Restart(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Restart after Close = %v, want ErrClosed", err)
	}
	if e.PID() != 0 {
		t.Errorf("process %d after Close, want none", e.PID())
	}
	if after := start(t, cfg).Addresses(); after != before {
		t.Errorf("the second start has the addresses %+v, want those of the first, %+v", after, before)
	}
}

// eventually polls with a deadline that also a slow and busy machine meets.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within a minute")
		}
	}
}
