//go:build !linux

package stream

import (
	"net"
	"time"
)

// Elsewhere every viewer is served by a relay.

type poller struct{}

func openPoller() (*poller, error) { return &poller{}, nil }

func (*poller) run()   {}
func (*poller) close() {}

func newSocket(net.Conn, *poller, *viewer, time.Duration) (conn, bool) { return nil, false }

func tuneConn(*net.TCPConn, time.Duration) {}
