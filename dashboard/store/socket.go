package store

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

const (
	socketName    = "nats.sock"
	maxSocketPath = 100 // bytes; systems allow 104 or 108
	maxGuests     = 16  // connections through the socket; more are closed at once
	acceptRetry   = 100 * time.Millisecond
)

// gate lets other processes of the same user in: each connection to the
// socket is carried on to the server in this process.
type gate struct {
	listener *net.UnixListener
	path     string
	connect  func() (net.Conn, error)
	log      *slog.Logger
	stopped  chan struct{}
	stopOnce sync.Once
	guests   sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool // the guests' ends; nil when the gate is closed; guarded by mu
}

func openGate(dir string, connect func() (net.Conn, error), log *slog.Logger) (*gate, error) {
	listener, err := listenSocket(dir)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", filepath.Join(dir, socketName), err)
	}
	g := &gate{
		listener: listener,
		path:     filepath.Join(dir, socketName),
		connect:  connect,
		log:      log,
		stopped:  make(chan struct{}),
		open:     map[net.Conn]bool{},
	}
	g.guests.Go(g.accept)
	return g, nil
}

// close removes the socket, ends all connections and waits.
func (g *gate) close() {
	g.stopOnce.Do(func() {
		close(g.stopped)
		_ = os.Remove(g.path)
		_ = g.listener.Close()
		g.mu.Lock()
		for guest := range g.open {
			_ = guest.Close()
		}
		g.open = nil
		g.mu.Unlock()
	})
	g.guests.Wait()
}

func (g *gate) accept() {
	for {
		guest, err := g.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of file descriptors, mostly
			g.log.Warn("accepting on the nats socket", "error", err)
			select {
			case <-time.After(acceptRetry):
			case <-g.stopped:
			}
		case !g.enter(guest):
			_ = guest.Close()
		default:
			g.guests.Go(func() { g.carry(guest) })
		}
	}
}

func (g *gate) enter(guest net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		return false
	}
	if len(g.open) >= maxGuests {
		g.log.Warn("a connection to the nats socket was refused", "limit", maxGuests)
		return false
	}
	g.open[guest] = true
	return true
}

// carry copies both ways until either end closes.
func (g *gate) carry(guest net.Conn) {
	defer func() {
		_ = guest.Close()
		g.mu.Lock()
		delete(g.open, guest)
		g.mu.Unlock()
	}()
	inside, err := g.connect()
	if err != nil {
		g.log.Warn("connecting a guest of the nats socket", "error", err)
		return
	}
	var inward sync.WaitGroup
	inward.Go(func() {
		_, _ = io.Copy(inside, guest)
		_ = inside.Close()
	})
	_, _ = io.Copy(guest, inside)
	_ = guest.Close()
	inward.Wait()
}

// listenSocket makes the socket in a directory that only this user may enter, and moves it into
// place once its mode is right: it is never open to others, not for a moment. What a
// hub that was killed left behind is replaced; the lock on the data directory says nobody uses it.
func listenSocket(dir string) (*net.UnixListener, error) {
	private := filepath.Join(dir, natsDir)
	fresh := filepath.Join(private, socketName)
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	path, release, err := shortPath(private, socketName)
	if err != nil {
		return nil, err
	}
	defer release()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	err = os.Chmod(fresh, 0o600)
	if err == nil {
		err = os.Rename(fresh, filepath.Join(dir, socketName))
	}
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}

func dialSocket(dir string) (net.Conn, error) {
	path, release, err := shortPath(dir, socketName)
	if err != nil {
		return nil, err
	}
	defer release()
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
}

// shortPath returns a path to dir/name that fits into a socket address, good until release.
// Linux has one for every open directory.
func shortPath(dir, name string) (path string, release func(), err error) {
	path = filepath.Join(dir, name)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, fmt.Errorf("the path has %d bytes, a socket may have %d: use a shorter data directory", len(path), maxSocketPath)
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), name), func() { _ = d.Close() }, nil
}
