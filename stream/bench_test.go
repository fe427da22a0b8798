package stream

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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

// BenchmarkPublish sends ticks of 1 KB as they are, also while one more viewer takes nothing, and the points of a whole screen,
// 20 KB, compressed. Per delivered event: server CPU, user and kernel, and bytes on the wire; resident bytes are per viewer, beyond
// what the process had before they came.
func BenchmarkPublish(b *testing.B) {
	padding := `"` + strings.Repeat("x", 980) + `"`
	for _, n := range []int{1000, 5000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) { benchPublish(b, n, "identity", false, padding, 250*time.Millisecond) })
	}
	b.Run("stalled/1000", func(b *testing.B) { benchPublish(b, 1000, "identity", true, padding, 250*time.Millisecond) })
	b.Run("screen/5000", func(b *testing.B) {
		benchPublish(b, 5000, "gzip", false, "["+string(points(20<<10))+"null]", 2*time.Second)
	})
}

// points is JSON as a snapshot has it, of at least size bytes: a minute of windows after another.
func points(size int) []byte {
	var data []byte
	for i := 0; len(data) < size; i++ {
		data = fmt.Appendf(data, `{"end":%d,"values":{"cpu":[0.%04d],"memory":[%d],"network":[%d.25]}},`, 1763800000000+i*1000, i*7919%9973, 8<<30+i*4096*37, i*i*13)
	}
	return data
}

// benchPublish sends b.N ticks with a content, pause apart, to viewers who accept the encoding.
func benchPublish(b *testing.B, viewers int, encoding string, stalled bool, content string, pause time.Duration) {
	s := open(b, withConfig(func(c *Config) { c.MaxViewersPerUser = viewers + 1 }))
	s.setState(1, 0)
	if stalled {
		conn := s.dialNarrow()
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "GET /stream HTTP/1.1\r\nHost: hub\r\n\r\n")
		eventually(b, "the slow viewer is in", func() bool { return s.open() == 1 })
	}
	leave := s.join(b, viewers, encoding)
	used := cpu(b)
	n := 0
	for b.Loop() {
		n++
		now := time.Now()
		tick := fmt.Appendf(nil, `{"at":%d,"content":%s}`, now.UnixNano(), content)
		if err := s.topic.Publish(int64(n)+1, tick); err != nil {
			b.Fatal(err)
		}
		time.Sleep(pause)
	}
	time.Sleep(500 * time.Millisecond)
	used = cpu(b) - used
	events := float64(n * viewers)
	b.ReportMetric(float64(used.Nanoseconds())/1e3/events, "cpu-us/event")
	received, bytes, p50, p99 := leave()
	b.ReportMetric(p50, "p50-ms")
	b.ReportMetric(p99, "p99-ms")
	b.ReportMetric(bytes/events, "wire-B/event")
	b.ReportMetric(100*received/events, "%received")
}

// BenchmarkIdle is what a viewer costs who is sent nothing but heartbeats, beyond what the process takes with no viewer at all.
func BenchmarkIdle(b *testing.B) {
	for _, viewers := range []int{5000, 15000} {
		b.Run(strconv.Itoa(viewers), func(b *testing.B) {
			s := open(b, withConfig(func(c *Config) { c.MaxViewersPerUser = viewers }))
			s.setState(1, 0)
			minute := func() time.Duration {
				used := cpu(b)
				time.Sleep(time.Minute)
				return cpu(b) - used
			}
			alone := minute()
			leave := s.join(b, viewers, "identity")
			var used time.Duration
			minutes := 0
			for b.Loop() {
				used += minute() - alone
				minutes++
			}
			b.ReportMetric(float64(used.Nanoseconds())/1e3/float64(viewers*60*minutes), "cpu-us/viewer-s")
			b.ReportMetric(float64(alone.Milliseconds())/60, "alone-ms/s")
			leave()
		})
	}
}

// join lets viewers in from another process; leave ends them and tells how many ticks and bytes reached them, and the
// latency of ticks in ms.
func (s *site) join(b *testing.B, viewers int, encoding string) (leave func() (received, bytes, p50, p99 float64)) {
	runtime.GC()
	before := resident(b)
	cmd := exec.Command(os.Args[0], "-test.run=^TestBenchViewers$", "-test.v")
	cmd.Env = append(os.Environ(), viewersEnv+"="+s.addr+" "+strconv.Itoa(viewers)+" "+encoding)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	inside := s.open()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	eventually(b, "all viewers are in", func() bool { return s.open() == inside+viewers })
	time.Sleep(time.Second)
	runtime.GC()
	perViewer := float64(resident(b)-before) / float64(viewers)
	return func() (received, bytes, p50, p99 float64) {
		_ = in.Close()
		report, err := io.ReadAll(out)
		if err != nil {
			b.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			b.Fatalf("%v, and said: %s", err, report)
		}
		b.ReportMetric(perViewer, "resident-B/viewer")
		for line := range strings.Lines(string(report)) {
			if rest, ok := strings.CutPrefix(line, "received "); ok {
				if _, err := fmt.Sscan(rest, &received, &bytes, &p50, &p99); err != nil {
					b.Fatal(err)
				}
			}
		}
		return received, bytes, p50, p99
	}
}

// counted counts what is read from a connection.
type counted struct {
	net.Conn
	bytes int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.bytes += n
	return n, err
}

// arrivals follows a stream to its end and returns how long each tick took, in ms.
func (c *counted) arrivals(encoding string) []float64 {
	_, _ = io.WriteString(c, "GET /stream HTTP/1.1\r\nHost: hub\r\nAccept-Encoding: "+encoding+"\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReaderSize(c, 2048), nil)
	if err != nil {
		return nil
	}
	body := io.Reader(response.Body)
	if encoding == "gzip" {
		if body, err = gzip.NewReader(body); err != nil {
			return nil
		}
	}
	lines := bufio.NewReaderSize(body, 2048)
	var took []float64
	for {
		line, err := lines.ReadSlice('\n')
		if rest, ok := strings.CutPrefix(string(line[:min(len(line), 40)]), `data: {"at":`); ok {
			at, _ := strconv.ParseInt(rest[:19], 10, 64)
			took = append(took, float64(time.Now().UnixNano()-at)/1e6)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return took
		}
	}
}

// TestBenchViewers is the viewers' process of the benchmark; by itself it does nothing.
func TestBenchViewers(t *testing.T) {
	var addr, encoding string
	var viewers int
	if _, err := fmt.Sscan(os.Getenv(viewersEnv), &addr, &viewers, &encoding); err != nil {
		return
	}
	took := make(chan []float64, viewers)
	var conns []*counted
	for range viewers {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c := &counted{Conn: conn}
		conns = append(conns, c)
		go func() { took <- c.arrivals(encoding) }()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	var all []float64
	bytes := 0
	for _, c := range conns {
		_ = c.Close()
	}
	for range conns {
		all = append(all, <-took...)
	}
	for _, c := range conns {
		bytes += c.bytes
	}
	slices.Sort(all)
	if n := len(all); n > 0 {
		_, _ = fmt.Fprintln(os.Stdout, "\nreceived", n, bytes, all[n/2], all[n*99/100])
	}
}

// BenchmarkDeflate compresses a snapshot and a tick of plausible content.
func BenchmarkDeflate(b *testing.B) {
	data := points(5 << 10)
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
