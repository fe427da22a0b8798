package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
)

// perSource is how many connections one source address opens: the system has about 28,000
// ports for each pair of addresses.
const perSource = 20_000

// sourceOf returns the address from which connection i to a host goes out, or nil for the
// system's choice. Only loopback has addresses to spare.
func sourceOf(host string, i int) net.Addr {
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.Is4() || !ip.IsLoopback() {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i/perSource))}
}

// spareFiles is what the process itself needs beside its connections.
const spareFiles = 50

// checkFiles says whether the process may open n connections.
func checkFiles(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("asking for the limit on open files: %w", err)
	}
	if uint64(n)+spareFiles > limit.Cur {
		return fmt.Errorf("%d connections and %d files more exceed the %d files this process may open: raise the limit (ulimit -n), or run this tool several times",
			n, spareFiles, limit.Cur)
	}
	return nil
}

// traffic counts bytes on the network, below WebSocket, HTTP and TLS.
type traffic struct{ sent, received atomic.Int64 }

// dial opens connection i to a host and counts its bytes.
func (t *traffic) dial(ctx context.Context, network, address string, i int) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{LocalAddr: sourceOf(host, i)}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &countedConn{conn, t}, nil
}

type countedConn struct {
	net.Conn
	traffic *traffic
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.traffic.received.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.traffic.sent.Add(int64(n))
	return n, err
}
