package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	natsDir        = "nats" // within the data directory
	readyTimeout   = 30 * time.Second
	maxMemoryBytes = 32 << 20 // of streams kept in memory
	maxStoreBytes  = 2 << 30  // of streams on disk
)

// Server is a NATS server inside this process. It listens on no network; other processes of
// the same user reach it through a socket in the data directory (see DialData).
type Server struct {
	nats *server.Server
	gate *gate
	log  *slog.Logger
}

// StartServer starts a server on the data directory dir: its storage is dir/nats, its socket
// dir/nats.sock. The caller holds the lock on the directory. Every write is on disk before it
// is acknowledged. The server's warnings and errors go to log.
func StartServer(dir string, log *slog.Logger) (*Server, error) {
	s, err := startServer(dir, log)
	if err != nil {
		return nil, fmt.Errorf("start nats server: %w", err)
	}
	return s, nil
}

func startServer(dir string, log *slog.Logger) (*Server, error) {
	storage := filepath.Join(dir, natsDir)
	if err := os.MkdirAll(storage, 0o700); err != nil {
		return nil, err
	}
	ns, err := server.NewServer(&server.Options{
		ServerName:             "telltale",
		DontListen:             true,
		NoLog:                  true,
		NoSigs:                 true,
		JetStream:              true,
		DisableJetStreamBanner: true,
		StoreDir:               storage,
		JetStreamMaxMemory:     maxMemoryBytes,
		JetStreamMaxStore:      maxStoreBytes,
		SyncAlways:             true,
	})
	if err != nil {
		return nil, err
	}
	logger := &natsLogger{log: log.With("part", "nats")}
	ns.SetLogger(logger, false, false)
	ns.Start()
	s := &Server{nats: ns, log: log}
	if err := s.checkStarted(logger); err != nil {
		s.Close()
		return nil, err
	}
	if s.gate, err = openGate(dir, ns.InProcessConn, log); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) checkStarted(logger *natsLogger) error {
	if reason := logger.fatal.Load(); reason != nil {
		return errors.New(*reason)
	}
	if !s.nats.ReadyForConnections(readyTimeout) {
		return fmt.Errorf("not ready within %v", readyTimeout)
	}
	return nil
}

// Connect opens a connection that does not leave the process.
func (s *Server) Connect() (*nats.Conn, error) {
	nc, err := nats.Connect("", append(connOptions(s.log), nats.InProcessServer(s.nats))...)
	if err != nil {
		return nil, fmt.Errorf("connect to the nats server in this process: %w", err)
	}
	return nc, nil
}

// Close ends the server and all connections to it, and waits. It may be called again.
func (s *Server) Close() {
	if s.gate != nil {
		s.gate.close()
	}
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
}

// natsLogger passes on what an operator should know.
type natsLogger struct {
	log   *slog.Logger
	fatal atomic.Pointer[string] // what the server cannot run without; it counts on the logger to end the process
}

func (l *natsLogger) Noticef(string, ...any) {}
func (l *natsLogger) Debugf(string, ...any)  {}
func (l *natsLogger) Tracef(string, ...any)  {}

func (l *natsLogger) Warnf(format string, args ...any)  { l.log.Warn(fmt.Sprintf(format, args...)) }
func (l *natsLogger) Errorf(format string, args ...any) { l.log.Error(fmt.Sprintf(format, args...)) }

func (l *natsLogger) Fatalf(format string, args ...any) {
	reason := fmt.Sprintf(format, args...)
	l.fatal.Store(&reason)
	l.log.Error(reason)
}
