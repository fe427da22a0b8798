package stream

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// dialNarrow connects with a receive buffer so small that the hub soon notices who does not read.
func (s *site) dialNarrow() net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// pages reads from id 1 up to the tick or snapshot with the id last, as a page does, and checks that
// each id is the previous one's successor, or that a snapshot or gap accounts for what is
// missing. It returns how many snapshots came.
func (p *peer) pages(last int64) (snapshots int) {
	p.t.Helper()
	have := int64(1)
	for have < last {
		e := p.next()
		id, _ := strconv.ParseInt(e.id, 10, 64)
		switch e.name {
		case "tick":
			if id != have+1 {
				p.t.Fatalf("tick %d after %d", id, have)
			}
			have = id
		case "gap":
			var f, to int64
			var reason string
			if _, err := fmt.Sscanf(e.data, `{"from":%d,"to":%d,"reason":%q}`, &f, &to, &reason); err != nil {
				p.t.Fatalf("gap %q: %v", e.data, err)
			}
			if f != have || to <= f || reason != "conflated" {
				p.t.Fatalf("gap %q after %d", e.data, have)
			}
			have = to
		case "snapshot":
			if id <= have {
				p.t.Fatalf("snapshot %d after %d", id, have)
			}
			snapshots++
			have = id
		default:
			p.t.Fatalf("got %+v", e)
		}
	}
	return snapshots
}

func slowViewer(t *testing.T, opts ...option) {
	s := open(t, opts...)
	s.pad = strings.Repeat("x", 30_000)
	s.setState(1, 0)
	slow := s.request(s.dialNarrow(), "")
	slow.want("hello", 0)
	slow.want("snapshot", 1)
	var quick [4]*peer
	for i := range quick {
		quick[i] = s.connect("?session=" + strconv.Itoa(i))
		quick[i].want("hello", 0)
		quick[i].want("snapshot", 1)
	}
	const last = 40
	for id := int64(2); id <= last; id++ {
		s.mu.Lock()
		s.since = max(0, id-5)
		s.mu.Unlock()
		s.publish(id)
		for _, p := range quick {
			p.want("tick", id)
		}
	}
	if n := slow.pages(last); n == 0 {
		t.Error("the viewer that did not read was not conflated")
	}
	s.publish(last + 1)
	slow.want("tick", last+1)
	if n := testutil.ToFloat64(s.hub.metrics.conflated); n < 1 {
		t.Errorf("conflated_total is %v", n)
	}
	if n := testutil.ToFloat64(s.hub.metrics.gaps.WithLabelValues("conflated")); n < 1 {
		t.Errorf("gaps_total is %v", n)
	}
}

func TestSlowViewer(t *testing.T)    { slowViewer(t) }
func TestSlowViewerTLS(t *testing.T) { slowViewer(t, withTLS(certificate(t))) }

// One of a thousand viewers stops reading: the others get each tick and are never conflated, and what the hub holds for
// the slow one does not grow.
func TestOneOfAThousandStopsReading(t *testing.T) {
	const viewers, last, lead = 999, 150, 8
	s := open(t)
	s.pad = strings.Repeat("x", 1000)
	s.setState(1, 0)
	slow := s.request(s.dialNarrow(), "")
	slow.want("hello", 0)
	slow.want("snapshot", 1)
	var reached [viewers]atomic.Int64
	var reading sync.WaitGroup
	for i := range reached {
		p := s.connect("?user=" + strconv.Itoa(i))
		p.want("hello", 0)
		p.want("snapshot", 1)
		reading.Go(func() {
			for id := int64(2); id <= last; id++ {
				e, err := p.read()
				if want := strconv.FormatInt(id, 10); err != nil || e.name != "tick" || e.id != want {
					t.Errorf("viewer %d got %.60v and error %v, want tick %s", i, e, err, want)
					reached[i].Store(last) // or the others would be waited for in vain
					return
				}
				reached[i].Store(id)
			}
		})
	}
	all := func(id int64) func() bool {
		return func() bool {
			for i := range reached {
				if reached[i].Load() < id {
					return false
				}
			}
			return true
		}
	}
	heap := heapBytes()
	for id := int64(2); id <= last; id++ {
		s.mu.Lock()
		s.since = max(0, id-5)
		s.mu.Unlock()
		s.publish(id)
		eventually(t, "all others keep up", all(id-lead))
	}
	reading.Wait()
	if n := testutil.ToFloat64(s.hub.metrics.conflated); n != 0 {
		t.Errorf("conflated_total is %v before the slow viewer reads on", n)
	}
	// What a viewer is behind by is in the topic's memory once for all, and that is bounded.
	if grown := heapBytes() - heap; grown > 8<<20 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
	if n := slow.pages(last); n == 0 {
		t.Error("the viewer that did not read was not conflated")
	}
	if n := testutil.ToFloat64(s.hub.metrics.conflated); n != 1 {
		t.Errorf("conflated_total is %v, want 1: the slow viewer's", n)
	}
}

func heapBytes() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A viewer that takes nothing is given up, by the hub or by the kernel.
func stalledViewer(t *testing.T, opts ...option) {
	s := open(t, append(opts, withConfig(func(c *Config) { c.Stall = 300 * time.Millisecond }))...)
	s.pad = strings.Repeat("x", 200_000)
	s.setState(1, 0)
	p := s.request(s.dialNarrow(), "")
	p.want("hello", 0)
	for id := int64(2); id < 10; id++ {
		s.publish(id)
	}
	eventually(t, "freed", func() bool { return s.open() == 0 })
	if s.gone("stalled")+s.gone("timeout")+s.gone("closed") != 1 {
		t.Error("not counted as gone")
	}
}

func TestStalledViewer(t *testing.T)    { stalledViewer(t) }
func TestStalledViewerTLS(t *testing.T) { stalledViewer(t, withTLS(certificate(t))) }

func goneViewers(t *testing.T, opts ...option) {
	s := open(t, opts...)
	s.setState(1, 0)
	var peers []*peer
	for range 10 {
		p := s.connect("")
		p.want("hello", 0)
		peers = append(peers, p)
	}
	for i, p := range peers {
		tcp := beneath(p.conn).(*net.TCPConn)
		if i%2 == 0 { // reset
			if err := tcp.SetLinger(0); err != nil {
				t.Fatal(err)
			}
		}
		_ = tcp.Close()
	}
	eventually(t, "freed without a byte being sent", func() bool { return s.open() == 0 })
	if n := s.gone("closed"); n != 10 {
		t.Errorf("%d are counted as closed", n)
	}
}

func TestGoneViewers(t *testing.T)    { goneViewers(t) }
func TestGoneViewersTLS(t *testing.T) { goneViewers(t, withTLS(certificate(t))) }

// Whoever is told to leave and does not read is cut off after a grace.
func TestEndOfSlowViewer(t *testing.T) {
	s := open(t)
	s.pad = strings.Repeat("x", 500_000)
	s.setState(1, 0)
	p := s.request(s.dialNarrow(), "?session=slow")
	p.want("hello", 0)
	s.publish(2)
	s.hub.End("slow", "revoked")
	eventually(t, "freed", func() bool { return s.open() == 0 })
	if n := s.gone("revoked"); n != 1 {
		t.Errorf("%d are counted as revoked", n)
	}
	for {
		if _, err := p.read(); err != nil {
			if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				t.Error("the connection is still open")
			}
			return
		}
	}
}
