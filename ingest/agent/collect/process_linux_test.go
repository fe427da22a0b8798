package collect

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// statLine is a line of /proc/PID/stat with the fields that matter, and those around them.
func statLine(pid int64, comm string, state string, flags, user, sys, start, rss uint64) string {
	return fmt.Sprintf("%d (%s) %s 1 1 1 0 -1 %d 101 0 0 0 %d %d 0 0 20 0 1 0 %d 3133440 %d 18446744073709551615 0 0\n",
		pid, comm, state, flags, user, sys, start, rss)
}

func TestParseStat(t *testing.T) {
	s, ok := parseStat([]byte(statLine(42, "a) R (b", "D", 0x00400000, 150, 50, 7777, 3)), 4096)
	if !ok || s.pid != 42 || string(s.comm) != "a) R (b" || s.state != 'D' || s.kernel ||
		s.cpu != 2*time.Second || s.start != 7777 || s.memory != 3*4096 {
		t.Errorf("got %+v, %v", s, ok)
	}
	if s, ok := parseStat([]byte(statLine(2, "kthreadd", "S", 0x00208040, 0, 0, 0, 0)), 4096); !ok || !s.kernel {
		t.Errorf("a kernel thread is %+v, %v", s, ok)
	}
	for _, bad := range []string{
		"", "42", "42 (x", "42 (x)", "42 (x) R 1", ") (", "(x) S", "x (y) S 1", "-1 (y) S 1",
		strings.Replace(statLine(1, "x", "S", 0, 1, 2, 3, 4), " 1 2 0 0", " 1 -2 0 0", 1),
		strings.Replace(statLine(1, "x", "S", 0, 1, 2, 3, 4), " S ", " SS ", 1),
		statLine(1<<31, "x", "S", 0, 1, 2, 3, 4),
	} {
		if s, ok := parseStat([]byte(bad), 4096); ok {
			t.Errorf("%q was taken for %+v", bad, s)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte(statLine(42, "a) R (b", "D", 0x00400000, 150, 50, 7777, 3)))
	f.Add([]byte(statLine(1, "", "Z", 0, 1<<63, 1<<63, 1<<63, 1<<63)))
	f.Add([]byte("1 (x) S"))
	f.Fuzz(func(t *testing.T, line []byte) {
		s, ok := parseStat(line, 4096)
		if ok && (s.pid < 0 || s.cpu < 0 || s.memory%4096 != 0 || !strings.Contains(string(line), string(s.comm))) {
			t.Errorf("%q became %+v", line, s)
		}
	})
}

func TestStatOfThisProcessIsWhatTheSystemSays(t *testing.T) {
	table, found := newProcessTable(), false
	err := table.each(func(s *processStat) {
		if int(s.pid) != os.Getpid() {
			return
		}
		found = true
		if s.kernel || s.memory < 1<<20 || s.memory > 4<<30 || s.start == 0 {
			t.Errorf("got %+v", s)
		}
	})
	if err != nil || !found {
		t.Errorf("found this process: %v, %v", found, err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if name := table.executable(int32(os.Getpid())); name != filepath.Base(self) {
		t.Errorf("this program is called %q, want %q", name, filepath.Base(self))
	}
}

func TestNoReadableProcessIsAnError(t *testing.T) {
	dir := newProc(t)
	write(t, dir, "12/other", "")
	var r readings
	if err := newProcess(15 * time.Second)(&r); err == nil || len(r.samples) != 0 {
		t.Errorf("got %v and %v", texts(r.samples), err)
	}
}

func TestProcessesByStateAndProgram(t *testing.T) {
	dir := newProc(t)
	pages := uint64(1 << 20 / os.Getpagesize()) // a megabyte
	write(t, dir, "stat", "processes 1000\n")
	write(t, dir, "1/stat", statLine(1, "init", "S", 0, 100, 100, 1, pages))
	write(t, dir, "10/stat", statLine(10, "worker", "R", 0, 0, 0, 5, 2*pages))
	write(t, dir, "11/stat", statLine(11, "worker", "D", 0, 0, 0, 6, 3*pages))
	write(t, dir, "12/stat", statLine(12, "kworker/0:1", "I", kernelThread, 0, 0, 7, 0))
	write(t, dir, "13/stat", statLine(13, "kworker/1:1", "I", kernelThread, 0, 0, 7, 0))
	write(t, dir, "14/stat", statLine(14, "gone", "Z", 0, 0, 0, 8, 0))
	// The executable's name goes before the short one, which the kernel cuts at 15 bytes.
	if err := os.Symlink("/usr/lib/x/a-program-with-a-long-name (deleted)", filepath.Join(dir, "10/exe")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/opt/a-program-with-a-long-name", filepath.Join(dir, "11/exe")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/memfd:a1b2c3 (deleted)", filepath.Join(dir, "1/exe")); err != nil {
		t.Fatal(err)
	}
	read := newProcess(15 * time.Second)
	wantLines(t, mustRead(t, read),
		"system.process.count{running}=1", "system.process.count{sleeping}=3", "system.process.count{blocked}=1",
		"system.process.count{stopped}=0", "system.process.count{defunct}=1", "system.process.total{}=6",
		"process.memory.usage{a-program-with-a-long-name}=5.24288e+06", "process.memory.usage{init}=1.048576e+06")

	write(t, dir, "stat", "processes 1007\n")
	if got := mustRead(t, read); !slices.Contains(got, "system.process.created{}=7") {
		t.Errorf("got %q", got)
	}
}

// TestProgramsProcessorTime drives the sums with times of its own, so that they are exact.
func TestProgramsProcessorTime(t *testing.T) {
	names := map[int32]string{1: "db", 2: "db", 3: "web", 4: "", 5: "old"}
	p := newPrograms(15*time.Second, func(pid int32) string { return names[pid] })
	p.cores = 4
	now := time.Unix(1000, 0)
	scan := func(stats ...processStat) []string {
		var r readings
		p.begin(now)
		for i := range stats {
			p.see(&stats[i])
		}
		p.finish(&r)
		now = now.Add(10 * time.Second) // 40 s of processor time
		return texts(r.samples)
	}
	at := func(pid int32, start uint64, comm string, cpu time.Duration) processStat {
		return processStat{pid: pid, start: start, comm: []byte(comm), cpu: cpu}
	}
	wantLines(t, scan(at(1, 1, "db", time.Hour), at(3, 1, "web", 0), at(5, 1, "old", 0))) // nothing is known yet
	wantLines(t, scan(
		at(1, 1, "db", time.Hour+4*time.Second),
		at(2, 9, "db", 2*time.Second), // started since
		at(3, 1, "web", 0),            // idle
		at(4, 9, "job", 10*time.Second),
		at(6, 1, "missed", time.Hour), // was there before, but could not be read
		processStat{pid: 7, start: 9, comm: []byte("kworker/3:2"), kernel: true, cpu: 400 * time.Millisecond},
	),
		"process.cpu.utilization{db}=0.15", "process.cpu.utilization{job}=0.25", "process.cpu.utilization{[kernel]}=0.01")
	names[3] = "web-v2"
	wantLines(t, scan(
		at(1, 1, "db", time.Hour+4*time.Second),
		at(2, 12, "db", time.Second),              // the pid is another process now
		at(3, 1, "web2", 8*time.Second),           // executes another program
		at(6, 1, "missed", time.Hour+time.Second), // from here on it counts
	),
		"process.cpu.utilization{db}=0.025", "process.cpu.utilization{web-v2}=0.2", "process.cpu.utilization{missed}=0.025")
	if len(p.known) != 4 || len(p.byName) != 3 {
		t.Errorf("%d processes and %d programs are remembered, want 4 and 3", len(p.known), len(p.byName))
	}
}

func TestTopBy(t *testing.T) {
	f := func(want string, weights ...int) {
		t.Helper()
		var all []*program
		for i, w := range weights {
			all = append(all, &program{name: fmt.Sprintf("p%02d", i), memory: uint64(w)})
		}
		var got []string
		for _, g := range topBy(all, func(g *program) int64 { return int64(g.memory) }) {
			got = append(got, g.name)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("of %v the top is %q, want %q", weights, text, want)
		}
	}
	f("")
	f("", 0, 0)
	f("p01 p00", 1, 2)
	f("p01 p02 p00", 1, 2, 2, 0) // ties by name, and nothing without weight
	f("p11 p10 p09 p08 p07 p06 p05 p04 p03 p02", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
}

func BenchmarkProcessTable(b *testing.B) {
	table, n := newProcessTable(), 0
	b.ReportAllocs()
	for b.Loop() {
		n = 0
		if err := table.each(func(*processStat) { n++ }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/process")
	runtime.KeepAlive(table)
}
