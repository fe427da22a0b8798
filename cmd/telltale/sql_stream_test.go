package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

func TestSQLIsStreamed(t *testing.T) { runSQLStream(t, 250) }

// runSQLStream checks that a result is sent as it comes, ends in ClickHouse with its reader, and takes no memory of the hub's
// whatever its size.
func runSQLStream(t *testing.T, megabytes int) {
	in := install(t)
	in.startHub()
	history := openHistory(t, in.data)
	running := func() (n uint64) {
		if err := history.QueryRow(t.Context(), "SELECT count() FROM system.processes WHERE user = 'analyst'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	token := in.command("token", "create", "--data", in.data, "--scope", "query", "reader")
	ask := func(ctx context.Context, format, statement string) *http.Response {
		t.Helper()
		answer, err := question{url: "http://" + in.listen + "/api/v1/sql?format=" + format, token: token}.send(ctx, statement)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v %v", statement, answer, err)
		}
		t.Cleanup(func() { _ = answer.Body.Close() })
		return answer
	}

	for _, format := range []string{"csv", "tsv", "ndjson"} {
		answer := ask(t.Context(), format, "SELECT number, sleepEachRow(1) FROM numbers(60) SETTINGS max_block_size = 1, max_execution_time = 60")
		lines := bufio.NewReader(answer.Body)
		for range 2 {
			if _, err := lines.ReadString('\n'); err != nil {
				t.Fatalf("%s: %v", format, err)
			}
		}
		if n := running(); n != 1 {
			t.Errorf("%s: %d statements run when the first lines are here, want the one", format, n)
		}
		_ = answer.Body.Close()
		eventually(t, "the statement ends with its reader", func() bool { return running() == 0 })
	}

	session := in.signIn() // once: hashing a password takes memory too
	resident := func() int { return int(in.metric(session, "process_resident_memory_bytes")) }
	before, peak, read := resident(), 0, 0
	began := time.Now()
	answer := ask(t.Context(), "csv", fmt.Sprintf(
		"SELECT randomPrintableASCII(1000) AS x FROM numbers(%d) SETTINGS max_result_rows = 10000000, max_result_bytes = 1073741824, max_execution_time = 60", megabytes*1000))
	for {
		const step = 25_000_000
		n, err := io.CopyN(io.Discard, answer.Body, step)
		read += int(n)
		peak = max(peak, resident())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("after %d bytes: %v", read, err)
		}
	}
	t.Logf("%d MB in %v; the hub had %d MB before and %d at most", read/1e6, time.Since(began).Round(10*time.Millisecond), before/1e6, peak/1e6)
	if read < megabytes*1_000_000 {
		t.Errorf("%d bytes were read, want %d MB", read, megabytes)
	}
	if peak-before > 32<<20 {
		t.Errorf("the hub has grown by %d MB while it passed %d MB on", (peak-before)>>20, megabytes)
	}
}
