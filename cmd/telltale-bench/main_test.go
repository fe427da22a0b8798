package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		// Sleeps for ten seconds, and ends then.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// patience is how long a test waits for what must happen; it is long for slow machines.
const patience = 30 * time.Second

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// command runs a command line and returns its exit code and what it wrote.
func command(ctx context.Context, args ...string) (code int, out, err string) {
	var o, e bytes.Buffer
	code = run(ctx, args, console{out: &o, err: &e})
	return code, o.String(), e.String()
}

func TestWrongUsage(t *testing.T) {
	f := func(says string, args ...string) {
		t.Helper()
		code, out, err := command(t.Context(), args...)
		if code != exitUsage || out != "" || !strings.Contains(err, says) {
			t.Errorf("%v: exit code %d, %q, %q; want %d and %q", args, code, out, err, exitUsage, says)
		}
	}
	agents := func(more ...string) []string {
		return append([]string{"agents", "--hub", "ws://127.0.0.1:1", "--token", "t"}, more...)
	}
	viewers := func(more ...string) []string {
		return append([]string{"viewers", "--hub", "http://127.0.0.1:1", "--password", "p"}, more...)
	}
	f("--hub", "agents", "--token", "t")
	f("--token", "agents", "--hub", "ws://h")
	f("use ws://HOST:PORT", "agents", "--hub", "ftp://h", "--token", "t")
	f("at least one", agents("--agents", "0")...)
	f("1 to 20000", agents("--series", "20001")...)
	f("at least 100ms", agents("--interval", "1ms")...)
	f("agent.id", agents("--prefix", strings.Repeat("x", 200))...)
	f("positive", agents("--duration", "0s")...)
	f("negative", agents("--ramp=-1s")...)
	f("ulimit -n", agents("--agents", "100000000")...)
	f("--pid 999999999", agents("--pid", "999999999")...)
	f("--password", "viewers", "--hub", "http://h")
	f("use http://HOST:PORT", "viewers", "--hub", "h:1", "--password", "p")
	f("1 to 5000000", viewers("--viewers", "0")...)
	f("negative", viewers("--delay=-1s")...)
	f("--pid 999999999", viewers("--pid", "999999999")...)
}

func TestAddresses(t *testing.T) {
	for hub, want := range map[string]string{
		"ws://h:1": "ws://h:1/api/v1/ingest", "http://h:1/": "ws://h:1/api/v1/ingest", "https://h/a": "wss://h/a/api/v1/ingest",
	} {
		if got, err := doorOf(hub); got != want || err != nil {
			t.Errorf("doorOf(%q) = %q, %v; want %q", hub, got, err, want)
		}
	}
	for i, want := range map[int]string{0: "127.0.0.1:0", perSource - 1: "127.0.0.1:0", perSource: "127.0.0.2:0", 5 * perSource: "127.0.0.6:0"} {
		if got := sourceOf("127.0.0.1", i); got == nil || got.String() != want {
			t.Errorf("source of connection %d is %v, want %s", i, got, want)
		}
	}
	for _, host := range []string{"10.0.0.1", "hub.example", "::1"} {
		if got := sourceOf(host, perSource); got != nil {
			t.Errorf("source of a connection to %s is %v, want the system's choice", host, got)
		}
	}
}
