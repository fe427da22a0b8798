package stream

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func drain(t *testing.T, opts ...option) {
	s := open(t, append(opts, withConfig(func(c *Config) {
		c.Retry, c.ReconnectsPerSecond = 10*time.Millisecond, 2
	}))...)
	s.setState(1, 0)
	var peers []*peer
	for i := range 20 {
		p := s.connect("?session=" + strconv.Itoa(i))
		p.want("hello", 0)
		p.want("snapshot", 1)
		peers = append(peers, p)
	}
	ctx, cancel := context.WithTimeout(context.Background(), enough)
	defer cancel()
	if err := s.hub.Close(ctx); err != nil {
		t.Fatal(err)
	}
	retries := map[string]bool{}
	for _, p := range peers {
		bye := p.next()
		ms, err := strconv.Atoi(bye.retry)
		if bye.name != "bye" || bye.data != `{"reason":"shutdown"}` || err != nil || ms < 10 || ms > 10_010 {
			t.Errorf("got %+v; want bye, and retry within 10 seconds for 20 viewers at 2 per second", bye)
		}
		retries[bye.retry] = true
		p.ended()
	}
	if len(retries) < 10 {
		t.Errorf("20 viewers were given only %d different times", len(retries))
	}
	late := s.connect("")
	if e := late.next(); e.retry == "" || e.name != "" {
		t.Errorf("a closed hub gave %+v, want retry", e)
	}
	late.ended()
	if err := s.hub.Close(ctx); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func TestDrain(t *testing.T)    { drain(t) }
func TestDrainTLS(t *testing.T) { drain(t, withTLS(certificate(t))) }

func TestCloseCutsOff(t *testing.T) {
	for _, opts := range [][]option{nil, {withTLS(certificate(t))}} {
		s := open(t, opts...)
		s.pad = strings.Repeat("x", 500_000)
		s.setState(1, 0)
		p := s.request(s.dialNarrow(), "")
		p.want("hello", 0)
		s.publish(2)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := s.hub.Close(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("close with a viewer that does not read: error %v", err)
		}
		if n := s.open(); n != 0 {
			t.Errorf("%d streams are open", n)
		}
	}
}

// Viewers come and go in great number while the topic goes on, and nothing stays behind.
func TestChurn(t *testing.T) {
	churn(t, 8, time.Millisecond, func(visits int) bool { return visits < 40 }, func() {})
}

// churn has viewers come and go side by side, each again while more allows it, and checks that nothing stays behind.
// Each stays until linger returns.
func churn(t *testing.T, viewers int, every time.Duration, more func(visits int) bool, linger func()) {
	// Those who have left count until that is seen, which takes a busy machine a while.
	s := open(t, withConfig(func(c *Config) { c.MaxViewersPerUser = 2*viewers + 1000 }))
	s.transient = true
	s.setState(1, 0)
	first := s.connect("") // after it the server has all goroutines that it keeps
	first.want("hello", 0)
	_ = first.conn.Close()
	eventually(t, "the first is gone", func() bool { return s.open() == 0 })
	before, files := runtime.NumGoroutine(), descriptors(t)
	stop := make(chan struct{})
	var publishing, coming sync.WaitGroup
	publishing.Go(func() {
		for id := int64(2); ; id++ {
			select {
			case <-stop:
				return
			case <-time.After(every):
				s.publish(id)
			}
		}
	})
	for i := range viewers {
		coming.Go(func() {
			for j := 0; more(j); j++ {
				p := s.connect("?session="+strconv.Itoa(i), "Accept-Encoding: gzip")
				p.want("hello", 0)
				if j%3 > 0 {
					p.next()
				}
				linger()
				if j%7 == 0 {
					s.hub.End(strconv.Itoa(i), "signed_out")
					s.forget(strconv.Itoa(i))
				}
				if j%2 == 0 { // reset; and the port is free again at once
					_ = p.conn.(*net.TCPConn).SetLinger(0)
				}
				_ = p.conn.Close()
			}
		})
	}
	coming.Wait()
	close(stop)
	publishing.Wait()
	eventually(t, "all streams are closed", func() bool { return s.open() == 0 })
	eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
	eventually(t, "all descriptors are closed", func() bool { return descriptors(t) <= files })
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if len(s.hub.sessions)+len(s.hub.users) != 0 {
		t.Errorf("kept %d sessions and %d users", len(s.hub.sessions), len(s.hub.users))
	}
}

// forget makes an ended session's key good again, which outside of tests none ever is.
func (s *site) forget(session string) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	for _, half := range s.hub.ended {
		delete(half, session)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
