package stream

import (
	"net"
	"time"
)

// conn is a viewer's connection as its writer sees it. None of the methods waits.
type conn interface {
	// start makes signals come. It is called once, before the others.
	start() error
	// write takes as much of p as goes at once. After a short write, writable is signalled,
	// and write is called again with what was left.
	write(p []byte) (n int, err error)
	// failure names the reason after left was signalled or write failed.
	failure() string
	// close ends the connection: after what was written, or with abort at once.
	close(abort bool)
}

// relay serves a connection that only blocking calls can write to, such as TLS: one
// goroutine writes, one reads to learn of the viewer's leaving.
type relay struct {
	c     net.Conn
	v     *viewer
	stall time.Duration

	busy bool // between handing bytes over and learning what became of them
	out  chan []byte
	done chan error
}

func newRelay(c net.Conn, v *viewer, stall time.Duration) *relay {
	if tcp, ok := beneath(c).(*net.TCPConn); ok {
		tuneConn(tcp, stall)
	}
	return &relay{c: c, v: v, stall: stall, out: make(chan []byte, 1), done: make(chan error, 1)}
}

func (r *relay) start() error { return nil } // run signals

// write hands p over, and takes nothing; once it is written, the same call takes it all.
func (r *relay) write(p []byte) (int, error) {
	if !r.busy {
		r.busy = true
		r.out <- p
		return 0, nil
	}
	select {
	case err := <-r.done:
		r.busy = false
		if err != nil {
			return 0, err
		}
		return len(p), nil
	default:
		return 0, nil
	}
}

func (r *relay) failure() string { return "closed" }

func (r *relay) close(abort bool) {
	if abort {
		_ = beneath(r.c).Close() // TLS's own Close would wait for the peer
	}
	close(r.out)
}

// run returns when the writer has closed the relay.
func (r *relay) run() {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		r.send()
	}()
	r.listen()
	r.v.writer.signal(r.v, left)
	<-sent
}

func (r *relay) send() {
	for p := range r.out {
		_ = r.c.SetWriteDeadline(time.Now().Add(r.stall))
		_, err := r.c.Write(p)
		r.done <- err
		r.v.writer.signal(r.v, writable)
	}
	_ = r.c.Close()
}

// listen reads until the viewer is gone. It has nothing to say on a stream.
func (r *relay) listen() {
	var ignored [64]byte
	for {
		if _, err := r.c.Read(ignored[:]); err != nil {
			return
		}
	}
}

// beneath returns the connection that a TLS connection runs on.
func beneath(c net.Conn) net.Conn {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		return t.NetConn()
	}
	return c
}
