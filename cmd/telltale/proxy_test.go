package main

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy stands between agents and hub, and cuts and stalls what passes.
type proxy struct {
	listener net.Listener
	hub      string
	closing  chan struct{}
	serving  sync.WaitGroup

	mu    sync.Mutex // guards what follows
	links []*link
}

// link is one agent's connection. Half 0 is towards the hub, half 1 towards the agent.
type link struct {
	ends    [2]*net.TCPConn // of the agent, of the hub
	halves  [2]half
	stalled atomic.Int64 // until when nothing passes, in nanoseconds since the Unix epoch
}

type half struct{ left atomic.Int64 } // bytes until the cut; negative: none is due

func startProxy(t *testing.T, hub string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, hub: hub, closing: make(chan struct{})}
	p.serving.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) close() {
	_ = p.listener.Close()
	close(p.closing)
	p.mu.Lock()
	for _, l := range p.links {
		l.cut()
	}
	p.mu.Unlock()
	p.serving.Wait()
}

func (p *proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.serving.Go(func() { p.serve(conn.(*net.TCPConn)) })
	}
}

func (p *proxy) serve(agent *net.TCPConn) {
	conn, err := net.DialTimeout("tcp", p.hub, 5*time.Second)
	if err != nil {
		_ = agent.Close()
		return
	}
	l := &link{ends: [2]*net.TCPConn{agent, conn.(*net.TCPConn)}}
	l.halves[0].left.Store(-1)
	l.halves[1].left.Store(-1)
	p.add(l)
	defer p.remove(l)
	var other sync.WaitGroup
	other.Go(func() { p.pass(l, 1) })
	p.pass(l, 0)
	other.Wait()
}

func (p *proxy) add(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links = append(p.links, l)
	select {
	case <-p.closing: // close has not seen it
		l.cut()
	default:
	}
}

func (p *proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.links {
		if p.links[i] == l {
			p.links = append(p.links[:i], p.links[i+1:]...)
			return
		}
	}
}

// pass copies one half until an end closes, or the cut.
func (p *proxy) pass(l *link, direction int) {
	defer l.close()
	from, to, half := l.ends[direction], l.ends[1-direction], &l.halves[direction]
	buffer := make([]byte, 4<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if !p.awaitPassage(l) {
			return
		}
		due := half.left.Load()
		if due >= 0 && int64(n) > due {
			_, _ = to.Write(buffer[:due])
			l.cut()
			return
		}
		if due >= 0 {
			half.left.Add(-int64(n))
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// awaitPassage waits while the link is stalled; false: the proxy closes.
func (p *proxy) awaitPassage(l *link) bool {
	for {
		wait := time.Until(time.Unix(0, l.stalled.Load()))
		if wait <= 0 {
			return true
		}
		select {
		case <-time.After(wait):
		case <-p.closing:
			return false
		}
	}
}

// cut resets both ends: what is under way is lost.
func (l *link) cut() {
	for _, end := range l.ends {
		_ = end.SetLinger(0)
	}
	l.close()
}

func (l *link) close() {
	for _, end := range l.ends {
		_ = end.Close()
	}
}

// pick returns one of the links there are, nil without any.
func (p *proxy) pick(n int) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.links) == 0 {
		return nil
	}
	return p.links[n%len(p.links)]
}
