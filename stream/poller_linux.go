package stream

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// poller learns from the kernel which viewers left and which have room again. It asks for
// edges: an idle viewer, or one that takes everything, causes no event.
type poller struct {
	file *os.File // the epoll descriptor, itself watched by Go's runtime, so no thread waits
	raw  syscall.RawConn

	mu      sync.Mutex // guards viewers
	viewers map[uint64]*viewer
}

func openPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &poller{file: file, raw: raw, viewers: map[uint64]*viewer{}}, nil
}

// add watches a viewer's descriptor. Events carry the viewer's id, not the descriptor, whose
// number may belong to somebody else when an event is looked at.
func (p *poller) add(fd int, v *viewer) error {
	p.mu.Lock()
	p.viewers[v.id] = v
	p.mu.Unlock()
	return p.control(unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{
		Events: unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET,
		Fd:     int32(uint32(v.id)),
		Pad:    int32(uint32(v.id >> 32)),
	})
}

// remove must come before the descriptor is closed, or the kernel would go on watching what
// another duplicate of it keeps open.
func (p *poller) remove(fd int, viewer uint64) {
	p.mu.Lock()
	delete(p.viewers, viewer)
	p.mu.Unlock()
	_ = p.control(unix.EPOLL_CTL_DEL, fd, nil) // fails when the poller is closed, which removes all
}

func (p *poller) control(op, fd int, event *unix.EpollEvent) error {
	var result error
	err := p.raw.Control(func(epoll uintptr) { result = unix.EpollCtl(int(epoll), op, fd, event) })
	if err != nil {
		return err
	}
	return result
}

func (p *poller) run() {
	events := make([]unix.EpollEvent, 256)
	for {
		n := 0
		err := p.raw.Read(func(epoll uintptr) bool {
			n, _ = unix.EpollWait(int(epoll), events, 0) // n is -1 when interrupted
			return n != 0
		})
		if err != nil {
			return // closed
		}
		for i := range max(n, 0) {
			p.tell(&events[i])
		}
	}
}

func (p *poller) tell(e *unix.EpollEvent) {
	p.mu.Lock()
	v := p.viewers[uint64(uint32(e.Pad))<<32|uint64(uint32(e.Fd))]
	p.mu.Unlock()
	switch {
	case v == nil:
	case e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0:
		v.writer.signal(v, left)
	default:
		v.writer.signal(v, writable)
	}
}

func (p *poller) close() { _ = p.file.Close() }
