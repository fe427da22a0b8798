package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

const statTail = " S 1 2 3 4 5 6 7 8 9 10 1234 66 0 0 20 0 9 0 4711 1 2 3"

func TestParseStat(t *testing.T) {
	for _, name := range []string{"telltale", "a b", "odd) R 1 2 (x", "(("} {
		u, err := parseStat("42 (" + name + ")" + statTail)
		if want := (usage{cpu: 13 * time.Second, started: 4711}); err != nil || u != want {
			t.Errorf("%q: %+v, %v; want %+v", name, u, err, want)
		}
	}
	for _, bad := range []string{"", "42 (x)", "42 (x) S 1 2 3", "42 x" + statTail[:20], "42 (x)" + strings.Replace(statTail, "1234", "-1", 1)} {
		if u, err := parseStat(bad); err == nil {
			t.Errorf("%q read as %+v", bad, u)
		}
	}
}

func TestParseStatus(t *testing.T) {
	resident, peak, err := parseStatus("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1000 kB\nThreads:\t9\n")
	if resident != 1000<<10 || peak != 2048<<10 || err != nil {
		t.Errorf("resident %d, peak %d, %v", resident, peak, err)
	}
	for _, bad := range []string{"", "Name:\tx\n", "VmRSS:\t1000 MB\n", "VmRSS:\tx kB\n"} {
		if _, _, err := parseStatus(bad); err == nil {
			t.Errorf("%q was read without an error", bad)
		}
	}
}

func TestNameOf(t *testing.T) {
	f := func(want, comm string, args ...string) {
		t.Helper()
		if got := nameOf([]byte(strings.Join(args, "\x00")+"\x00"), comm); got != want {
			t.Errorf("name of %q is %q, want %q", args, got, want)
		}
	}
	f("telltale serve", "telltale", "/opt/bin/telltale", "serve", "--token", "secret")
	f("clickhouse", "clickhouse-serv", "clickhouse", "--config-file=/etc/x")
	f("kworker/0:1", "kworker/0:1\n")
	f("java", "java", "java", "/a/path.jar")
}

func TestMeterOfThisProcess(t *testing.T) {
	m, err := newMeter(nil)
	if err != nil {
		t.Fatal(err)
	}
	m.begin()
	for begun := time.Now(); time.Since(begun) < 200*time.Millisecond; { // work, so that there is something to measure
		_ = strings.Repeat("x", 1000)
	}
	m.end()
	all := m.figures(1000, time.Second)
	if len(all) != 1 || all[0].PID != os.Getpid() || all[0].Lost != "" {
		t.Fatalf("figures %+v", all)
	}
	p := all[0]
	if p.CPUSeconds <= 0 || p.CPUMicros != round(p.CPUSeconds*1e6/1000, 3) || p.ResidentBytes < 1<<20 || p.PeakBytes < p.ResidentBytes {
		t.Errorf("figures %+v", p)
	}
}

func TestMeterOfAProcessThatEnds(t *testing.T) {
	m := &meter{processes: []*measured{{figures: processFigures{PID: 1 << 30, Name: "gone"}}}}
	m.begin()
	m.end()
	if p := m.figures(1, time.Second)[0]; p.Lost == "" {
		t.Errorf("figures of a process that is not there: %+v", p)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("42 (x)" + statTail)
	f.Add("")
	f.Fuzz(func(t *testing.T, stat string) {
		if u, err := parseStat(stat); err == nil && !strings.Contains(stat, ")") {
			t.Errorf("%q read as %+v", stat, u)
		}
	})
}
