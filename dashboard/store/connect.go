package store

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrNoHub is returned by DialData when no process serves the data directory: the caller
// may lock the directory and start the server itself.
var ErrNoHub = errors.New("no hub is running on the data directory")

const (
	dialTimeout   = 10 * time.Second
	reconnectWait = 250 * time.Millisecond // the library adds some jitter
)

// Dial connects to an outside NATS server or cluster (nats://user:password@host:4222, or several
// of them with commas), and for ever again when the connection is lost.
func Dial(address string, log *slog.Logger) (*nats.Conn, error) {
	nc, err := nats.Connect(address, append(connOptions(log), nats.Timeout(dialTimeout))...)
	if err != nil {
		return nil, fmt.Errorf("connect to nats: %w", hideURL(err))
	}
	return nc, nil
}

// hideURL takes the address out of a parse error, for the password in it.
func hideURL(err error) error {
	if parse, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("the address is not a URL: %w", parse.Err)
	}
	return err
}

// DialData connects to the server of the hub that runs on the data directory dir, through
// its socket; ErrNoHub when none does.
func DialData(dir string, log *slog.Logger) (*nats.Conn, error) {
	socket := &socketDialer{dir: dir}
	// The address is never looked at, but were it a name it would be looked up.
	nc, err := nats.Connect("nats://127.0.0.1", append(connOptions(log),
		nats.SetCustomDialer(socket), nats.Timeout(dialTimeout), nats.NoReconnect())...)
	if socket.err != nil {
		err = socket.err
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the hub's nats server: %w", err)
	}
	return nc, nil
}

// socketDialer is for one connection: it keeps the error that nats.Connect replaces by its own.
type socketDialer struct {
	dir string
	err error
}

// Dial opens the socket, whatever the address.
func (d *socketDialer) Dial(string, string) (net.Conn, error) {
	conn, err := dialSocket(d.dir)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		err = ErrNoHub
	}
	d.err = err
	return conn, err
}

// connOptions keep a connection for ever and log what happens to it; the library's own way is to print.
func connOptions(log *slog.Logger) []nats.Option {
	log = log.With("part", "nats")
	return []nats.Option{
		nats.Name("telltale"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			log.Warn("nats connection", "error", err, "subject", subject)
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("nats connection lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("nats connection is back") }),
	}
}
