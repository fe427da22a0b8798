package collect

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"telltale/ingest/wire"
)

// newProc makes a /proc of the test's own, which is read instead of the host's.
func newProc(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("HOST_PROC", dir)
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// mustRead reads once and returns "metric{labels}=value" of each sample, sorted.
func mustRead(t *testing.T, read reader) []string {
	t.Helper()
	var r readings
	if err := read(&r); err != nil {
		t.Fatal(err)
	}
	return texts(r.samples)
}

func texts(samples []wire.Sample) []string {
	var lines []string
	for _, s := range samples {
		var labels []string
		for _, l := range s.Series.Labels {
			labels = append(labels, l.Value)
		}
		lines = append(lines, fmt.Sprintf("%s{%s}=%v", s.Series.Metric, strings.Join(labels, ","), s.Value))
	}
	slices.Sort(lines)
	return lines
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestCPUOfAKnownTable(t *testing.T) {
	dir := newProc(t)
	read := newCPU(time.Second)
	write(t, dir, "stat", "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 100 0 100 1000 10 5 5 0 0 0\ncpu1 0 0 0 2000 0 0 0 0 0 0\nbtime 1\n")
	wantLines(t, mustRead(t, read)) // nothing is known yet
	// 100 ticks of each core: the first worked for 55 of them and waited for 10.
	write(t, dir, "stat", "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 130 5 115 1035 20 10 5 0 0 0\ncpu1 0 0 0 2095 0 0 0 5 0 0\nbtime 1\n")
	wantLines(t, mustRead(t, read),
		"system.cpu.utilization{}=0.3",
		"system.cpu.core.utilization{0}=0.55", // 30 user, 5 nice, 15 system, 5 interrupts
		"system.cpu.core.utilization{1}=0.05",
		"system.cpu.mode.utilization{user}=0.15", "system.cpu.mode.utilization{nice}=0.025",
		"system.cpu.mode.utilization{system}=0.075", "system.cpu.mode.utilization{idle}=0.65",
		"system.cpu.mode.utilization{iowait}=0.05", "system.cpu.mode.utilization{interrupt}=0.025",
		"system.cpu.mode.utilization{steal}=0.025")
}

func TestCoresThatComeAndGo(t *testing.T) {
	dir := newProc(t)
	read := newCPU(time.Second)
	write(t, dir, "stat", "cpu \ncpu0 0 0 0 0 0 0 0 0 0 0\ncpu1 500 0 0 500 0 0 0 0 0 0\n")
	mustRead(t, read)
	write(t, dir, "stat", "cpu \ncpu0 25 0 0 75 0 0 0 0 0 0\n")
	if got := mustRead(t, read); !slices.Contains(got, "system.cpu.utilization{}=0.25") {
		t.Errorf("with a core offline: %q", got)
	}
	write(t, dir, "stat", "cpu \ncpu0 50 0 0 150 0 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\n")
	if got := mustRead(t, read); !slices.Contains(got, "system.cpu.utilization{}=0.25") {
		t.Errorf("with a core back at zero: %q", got)
	}
}

func TestManyCores(t *testing.T) {
	dir := newProc(t)
	read := newCPU(time.Second)
	table := func(user, idle int) string {
		text := "cpu \n"
		for n := range maxCores + 10 {
			text += fmt.Sprintf("cpu%d %d 0 0 %d 0 0 0 0 0 0\n", n, user, idle)
		}
		return text
	}
	write(t, dir, "stat", table(0, 0))
	mustRead(t, read)
	write(t, dir, "stat", table(10, 90))
	var r readings
	if err := read(&r); err != nil {
		t.Fatal(err)
	}
	if len(r.samples) != maxCores+1+modeCount || r.cut != 10 {
		t.Errorf("%d samples and %d cut", len(r.samples), r.cut)
	}
	if !slices.Contains(texts(r.samples), "system.cpu.utilization{}=0.1") {
		t.Error("the total is not of all cores")
	}
}

func TestDisksOfAKnownTable(t *testing.T) {
	dir := newProc(t)
	read := newDisk(time.Second)
	write(t, dir, "diskstats", "7 0 loop0 9 0 9 9 9 0 9 9 0 9 9\n8 0 sda 10 0 100 5 20 0 200 7 0 1000 12\n8 1 sda1 10 0 100 5 20 0 200 7 0 1000 12\n")
	wantLines(t, mustRead(t, read))
	write(t, dir, "diskstats", "8 0 sda 13 0 108 5 20 0 264 7 0 1234 12\n8 1 sda1 13 0 108 5 20 0 264 7 0 1234 12\n")
	wantLines(t, mustRead(t, read),
		"system.disk.io{read,sda}=4096", "system.disk.io{write,sda}=32768",
		"system.disk.operations{read,sda}=3", "system.disk.operations{write,sda}=0",
		"system.disk.io_time{sda}=0.234")
	write(t, dir, "diskstats", "") // the disk is pulled out
	wantLines(t, mustRead(t, read))
}

func TestInterfacesOfAKnownTable(t *testing.T) {
	dir := newProc(t)
	read := newNetwork(time.Second)
	const head = "Inter-|   Receive                            |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed\n"
	write(t, dir, "net/dev", head+"wan7: 100 10 0 0 0 0 0 0 200 20 0 0 0 0 0 0\nveth12ab: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n")
	wantLines(t, mustRead(t, read))
	write(t, dir, "net/dev", head+"wan7: 1100 14 1 2 0 0 0 0 200 25 3 4 0 0 0 0\nveth12ab: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n")
	wantLines(t, mustRead(t, read),
		"system.network.io{wan7,receive}=1000", "system.network.io{wan7,transmit}=0",
		"system.network.packet.count{wan7,receive}=4", "system.network.packet.count{wan7,transmit}=5",
		"system.network.errors{wan7,receive}=1", "system.network.errors{wan7,transmit}=3",
		"system.network.packet.dropped{wan7,receive}=2", "system.network.packet.dropped{wan7,transmit}=4")
}

func TestPagingCountersSurviveAnUnreadableFile(t *testing.T) {
	dir := newProc(t)
	read := newPaging(5 * time.Second)
	counters := func() []string {
		return slices.DeleteFunc(mustRead(t, read), func(s string) bool {
			return strings.Contains(s, "usage") || strings.Contains(s, "utilization") // of this host's swap
		})
	}
	write(t, dir, "vmstat", "pswpin 5\npswpout 6\npgfault 1000\npgmajfault 10\n")
	wantLines(t, counters())
	if err := os.Remove(filepath.Join(dir, "vmstat")); err != nil {
		t.Fatal(err)
	}
	wantLines(t, counters())
	write(t, dir, "vmstat", "pswpin 7\npswpout 6\npgfault 1100\npgmajfault 13\n")
	wantLines(t, counters(), // the increase, and not the whole total
		"system.paging.operations{in}=2", "system.paging.operations{out}=0",
		"system.paging.faults{major}=3", "system.paging.faults{minor}=97")
}
