package stream

import (
	"errors"
	"net"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// How much the kernel may hold back for a viewer. With its default, megabytes, a slow viewer
// would pass for a fast one and see the past.
const (
	sendBufferBytes = 64 << 10
	notSentBytes    = 16 << 10
)

// socket is a viewer's TCP connection: a descriptor of our own, duplicated from the server's,
// which the server may then close. It needs neither goroutine nor buffer, and only its
// writer's goroutine uses it.
type socket struct {
	fd     int
	viewer *viewer
	poller *poller
}

// newSocket takes over c if it is plain TCP and a descriptor is to be had.
func newSocket(c net.Conn, p *poller, v *viewer, stall time.Duration) (*socket, bool) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil, false
	}
	tuneConn(tcp, stall)
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, false
	}
	fd := -1
	err = raw.Control(func(server uintptr) {
		if dup, err := unix.FcntlInt(server, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			fd = dup
		}
	})
	if err != nil || fd < 0 {
		return nil, false
	}
	return &socket{fd: fd, viewer: v, poller: p}, true
}

func (s *socket) start() error { return s.poller.add(s.fd, s.viewer) }

func (s *socket) write(p []byte) (int, error) {
	total := 0
	// On to the end or to EAGAIN: only after that does the poller tell of room again.
	for total < len(p) {
		n, err := writeNow(s.fd, p[total:])
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return total, nil
		case err != nil:
			return total, err
		default:
			total += n
		}
	}
	return total, nil
}

// writeNow is write(2) without a word to Go's scheduler, which a call that never waits does
// not owe: 11.4 us of CPU a frame in BenchmarkPublish/5000, against 12.5. p is not empty.
func writeNow(fd int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (s *socket) failure() string {
	code, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && unix.Errno(code) == unix.ETIMEDOUT {
		return "timeout"
	}
	return "closed"
}

func (s *socket) close(abort bool) {
	s.poller.remove(s.fd, s.viewer.id)
	if abort { // or the kernel would go on sending what it holds
		_ = unix.SetsockoptLinger(s.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	_ = unix.Close(s.fd)
}

// tuneConn sets the kernel's limits for a viewer. A kernel that lacks one still serves.
func tuneConn(c *net.TCPConn, stall time.Duration) {
	_ = c.SetWriteBuffer(sendBufferBytes)
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSentBytes)
		// A peer that vanished acknowledges nothing; write deadlines do not see that.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(stall.Milliseconds()))
	})
}
