package stream

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A benchmark's viewers live in a process of their own, so that the CPU time measured here is
// the hub's. They report when each frame reached each of them, relative to the time in it.
const viewersEnv = "TELLTALE_STREAM_BENCH_VIEWERS"

// BenchmarkPublish sends 1 KB ticks. Per delivered event: server CPU, user and kernel;
// resident bytes are per viewer, beyond what the process had before they came.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) { benchPublish(b, n, 250*time.Millisecond) })
	}
}

func benchPublish(b *testing.B, viewers int, pause time.Duration) {
	s := open(b, withConfig(func(c *Config) { c.MaxViewersPerUser = viewers }))
	s.setState(1, 0)
	runtime.GC()
	before := resident(b)
	cmd := exec.Command(os.Args[0], "-test.run=^TestBenchViewers$", "-test.v")
	cmd.Env = append(os.Environ(), viewersEnv+"="+s.addr+" "+strconv.Itoa(viewers))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	eventually(b, "all viewers are in", func() bool { return s.open() == viewers })
	time.Sleep(time.Second)
	runtime.GC()
	perViewer := float64(resident(b)-before) / float64(viewers)

	pad := strings.Repeat("x", 980)
	used := cpu(b)
	n := 0
	for b.Loop() {
		n++
		now := time.Now()
		tick := fmt.Appendf(nil, `{"at":%d,"pad":%q}`, now.UnixNano(), pad)
		if err := s.topic.Publish(int64(n)+1, tick); err != nil {
			b.Fatal(err)
		}
		time.Sleep(pause)
	}
	time.Sleep(500 * time.Millisecond)
	used = cpu(b) - used
	b.ReportMetric(perViewer, "resident-B/viewer")
	b.ReportMetric(float64(used.Nanoseconds())/1e3/float64(n*viewers), "cpu-us/event")
	_ = in.Close()
	report, err := io.ReadAll(out)
	if err != nil {
		b.Fatal(err)
	}
	_ = cmd.Wait()
	for line := range strings.Lines(string(report)) {
		if rest, ok := strings.CutPrefix(line, "latency "); ok {
			var count, p50, p99 float64
			if _, err := fmt.Sscan(rest, &count, &p50, &p99); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(p50, "p50-ms")
			b.ReportMetric(p99, "p99-ms")
			b.ReportMetric(100*count/float64(n*viewers), "%received")
		}
	}
}

// TestBenchViewers is the viewers' process of the benchmark; by itself it does nothing.
func TestBenchViewers(t *testing.T) {
	var addr string
	var viewers int
	if _, err := fmt.Sscan(os.Getenv(viewersEnv), &addr, &viewers); err != nil {
		return
	}
	took := make(chan []float64, viewers)
	var conns []net.Conn
	for range viewers {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		go func() {
			_, _ = io.WriteString(conn, "GET /stream HTTP/1.1\r\nHost: hub\r\n\r\n")
			var all []float64
			lines := bufio.NewReaderSize(conn, 2048)
			for {
				line, err := lines.ReadSlice('\n')
				if err != nil {
					took <- all
					return
				}
				if rest, ok := strings.CutPrefix(string(line[:min(len(line), 40)]), `data: {"at":`); ok {
					at, _ := strconv.ParseInt(rest[:19], 10, 64)
					all = append(all, float64(time.Now().UnixNano()-at)/1e6)
				}
			}
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	var all []float64
	for _, c := range conns {
		_ = c.Close()
		all = append(all, <-took...)
	}
	slices.Sort(all)
	if n := len(all); n > 0 {
		_, _ = fmt.Fprintln(os.Stdout, "\nlatency", n, all[n/2], all[n*99/100])
	}
}

// BenchmarkDeflate compresses a snapshot and a tick of plausible content.
func BenchmarkDeflate(b *testing.B) {
	var data []byte
	for i := range 60 {
		data = fmt.Appendf(data, `{"end":%d,"values":{"cpu":[0.%04d],"memory":[%d],"network":[%d.25]}},`, 1763800000000+i*1000, i*7919%9973, 8<<30+i*4096*37, i*i*13)
	}
	for _, size := range []int{400, len(data)} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			n := 0
			for b.Loop() {
				n = len(deflate(data[:size]))
			}
			b.ReportMetric(float64(n), "deflated-B")
		})
	}
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func resident(b *testing.B) int {
	b.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		b.Fatal(err)
	}
	return pages * os.Getpagesize()
}
