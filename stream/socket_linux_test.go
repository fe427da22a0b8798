package stream

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel must not hide a slow viewer in its buffers, and must find a dead one. A link
// that is cut cannot be had in a test; that the kernel is told to look for it can.
func TestSocketSettings(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.Close() }()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p, err := openPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	s, ok := newSocket(c, p, &viewer{id: 1 << 40}, 7*time.Second)
	if !ok {
		t.Fatal("a TCP connection was not taken")
	}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	_ = c.Close() // as the server does
	f := func(name string, level, option, want int) {
		t.Helper()
		if got, err := unix.GetsockoptInt(s.fd, level, option); err != nil || got != want {
			t.Errorf("%s is %d, %v; want %d", name, got, err, want)
		}
	}
	f("send buffer", unix.SOL_SOCKET, unix.SO_SNDBUF, 2*sendBufferBytes) // the kernel doubles it for its own use
	f("unsent bytes", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSentBytes)
	f("user timeout", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 7000)
	if n, err := s.write([]byte("still open")); n != 10 || err != nil {
		t.Errorf("after the server closed its descriptor: wrote %d, %v", n, err)
	}
	s.close(false)
	got := make([]byte, 20)
	_ = peer.SetReadDeadline(time.Now().Add(enough))
	if n, err := peer.Read(got); err != nil || string(got[:n]) != "still open" {
		t.Errorf("the peer got %q, %v", got[:n], err)
	}
	if len(p.viewers) != 0 {
		t.Error("the poller still watches")
	}
}
