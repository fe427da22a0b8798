package engine

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const queryError = "2026.11.22 22:03:26.943148 [ 25067 ] {fe940125} <Error> executeQuery: Code: 395. DB::Exception: thrown\n" +
	"\n0. ? @ 0x000000001c8fa4b3\n1. ? @ 0x000000000ef1e3de\n (version 26.7.2.1)\n"

const ownError = "2026.11.22 22:03:27.000000 [ 25068 ] {} <Error> MergeTreeBackgroundExecutor: Code: 243. Cannot reserve 1.00 MiB\n" +
	"\n0. ? @ 0x000000001c8fa4b3\n"

func TestRelayPassesOnlyTheEnginesOwnErrors(t *testing.T) {
	var logged bytes.Buffer
	errors := prometheus.NewCounter(prometheus.CounterOpts{Name: "errors"})
	r := newRelay(slog.New(slog.NewTextHandler(&logged, nil)), errors)
	for _, chunk := range strings.SplitAfter("Logging warning to /x\n"+noticePrefix+"look here\n"+queryError+ownError+"last words", "2") {
		if n, err := r.Write([]byte(chunk)); n != len(chunk) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if n := strings.Count(logged.String(), "level=ERROR"); n != 1 || !strings.Contains(logged.String(), "Cannot reserve") {
		t.Errorf("logged %d errors, want the engine's own only:\n%s", n, logged.String())
	}
	if !strings.Contains(logged.String(), `level=WARN msg="look here"`) {
		t.Errorf("logged without our own notice:\n%s", logged.String())
	}
	if n := testutil.ToFloat64(errors); n != 1 {
		t.Errorf("counted %v errors, want 1", n)
	}
	if tail := r.takeTail(); !strings.HasSuffix(tail, "last words") || strings.Contains(tail, "@ 0x") {
		t.Errorf("tail %q, want the last words and no stack trace", tail)
	}
	if tail := r.takeTail(); tail != "" {
		t.Errorf("tail %q after it was taken, want none", tail)
	}
}

func TestRelayIsBounded(t *testing.T) {
	var logged bytes.Buffer
	errors := prometheus.NewCounter(prometheus.CounterOpts{Name: "errors"})
	r := newRelay(slog.New(slog.NewTextHandler(&logged, nil)), errors)
	for range 1000 {
		_, _ = r.Write([]byte(ownError))
	}
	if n := strings.Count(logged.String(), "level=ERROR"); n < relayBurst || n > relayBurst+5 {
		t.Errorf("logged %d of 1000 errors, want %d", n, relayBurst)
	}
	if n := testutil.ToFloat64(errors); n != 1000 {
		t.Errorf("counted %v errors, want 1000", n)
	}
	_, _ = r.Write(bytes.Repeat([]byte("x"), 100*longestLine))
	if n := len(r.takeTail()); n > tailLines*(longestLine+1) {
		t.Errorf("kept %d bytes of an endless line", n)
	}
}

func FuzzRelay(f *testing.F) {
	f.Add([]byte(queryError))
	f.Add([]byte(ownError))
	f.Add([]byte("\n\n\x00"))
	r := newRelay(slog.New(slog.DiscardHandler), prometheus.NewCounter(prometheus.CounterOpts{Name: "errors"}))
	f.Fuzz(func(t *testing.T, text []byte) {
		if n, err := r.Write(text); n != len(text) || err != nil {
			t.Fatalf("Write of %d bytes = %d, %v", len(text), n, err)
		}
		if n := len(r.takeTail()); n > (tailLines+1)*(longestLine+1) {
			t.Errorf("kept %d bytes", n)
		}
	})
}
