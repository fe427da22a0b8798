package main

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRebuildWithAndWithoutAHub runs the command beside a hub, and then on the data directory that it has left.
func TestRebuildWithAndWithoutAHub(t *testing.T) {
	in := install(t)
	hub := in.startHub()
	rebuild := func(where string) {
		t.Helper()
		from := time.Now().Add(-3 * time.Hour).UTC().Format(time.RFC3339)
		p := in.start("telltale", "history", "rebuild", "--data", in.data, "--from", from)
		<-p.ended
		if out := p.output.String(); p.ProcessState.ExitCode() != 0 || !strings.Contains(out, "100 %  tier_1h") {
			t.Errorf("%s: exit %d, it said:\n%s", where, p.ProcessState.ExitCode(), out)
		}
	}
	rebuild("beside a hub")
	hub.signal(syscall.SIGTERM)
	rebuild("without a hub")

	p := in.start("telltale", "history", "rebuild", "--data", in.data, "--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z")
	<-p.ended
	if p.ProcessState.ExitCode() == 0 || !strings.Contains(p.output.String(), "is not before") {
		t.Errorf("a range that ends before it begins was accepted: %s", p.output)
	}
}
