package ingest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fasthttp/websocket"

	"telltale/ingest/wire"
)

// farewellTime bounds how long an ended connection is kept for the agent to read why.
const farewellTime = time.Second

// session is one connection of an agent. Its handler's goroutine reads; another writes
// while there is something to say.
type session struct {
	server *Server
	conn   *websocket.Conn
	id     string
	out    outbox
	pace   pace

	// The reader's own, complete before the agent's state points to the session.
	text     bool // the agent speaks JSON
	greeted  bool // hello has come
	since    time.Time
	interval time.Duration
	labels   []wire.Label // the agent's
	identity []string     // what tells its machine from another with the same id
	clock    clock
	agent    *agent
	decoder  *wire.Decoder
	own      string // the epoch made for an agent that names none
	epochs   map[string]*sequence
	series   []resolvedSeries // by ref
	told     []wire.Reason    // why the store refuses series, as the agent has been told
	gapSeen  bool

	lastBatch atomic.Int64    // milliseconds since the Unix epoch
	room      chan struct{}   // capacity 1: a batch was stored, or the pace has changed
	draining  chan struct{}   // closed: take nothing more, end when nothing is pending
	ending    context.Context // done: end now, cause says why
	readDone  chan struct{}   // closed: nothing more will be taken
	asking    sync.WaitGroup  // the goroutine of answerLater

	mu      sync.Mutex // guards what follows
	tokenID string
	pinger  *time.Timer
	drained bool               // draining is closed
	cancel  context.CancelFunc // of ending; nil once called
	cause   *wire.CloseError
	ended   bool // conn belongs to somebody else now
}

func newSession(s *Server, conn *websocket.Conn) *session {
	ending, cancel := context.WithCancel(context.Background())
	now := time.Now()
	return &session{
		server: s, conn: conn, id: randomID(), since: now, clock: clock{started: now},
		decoder: wire.NewDecoder(s.config.Limits), epochs: make(map[string]*sequence),
		room: make(chan struct{}, 1), draining: make(chan struct{}), readDone: make(chan struct{}),
		ending: ending, cancel: cancel,
	}
}

// log is made when it is needed: ten thousand sessions would hold ten thousand of them.
func (s *session) log() *slog.Logger {
	log := s.server.log.With("session", s.id, "remote", s.conn.RemoteAddr().String())
	if s.agent != nil {
		log = log.With("agent", s.agent.id)
	}
	return log
}

// randomID returns 16 hexadecimal digits.
func randomID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// run serves the connection until it ends. token is the id of the one in the header, "" without.
func (s *session) run(token string, offered bool) {
	defer s.end()
	if !offered {
		s.close(wire.Closef(wire.UnsupportedVersion, "offer the WebSocket subprotocol %s", wire.Subprotocol))
		return
	}
	if token != "" && !s.server.trust(s, token) {
		s.close(revoked())
		return
	}
	err := s.read()
	if err == nil {
		s.awaitStored()
		err = goingAway()
	}
	var closing *wire.CloseError
	if !errors.As(err, &closing) {
		s.log().Debug("connection lost", "error", err)
	}
	s.close(closing)
}

// end releases everything, in the order in which others wait for it.
func (s *session) end() {
	s.close(wire.Closef(wire.Overloaded, "internal error")) // only where run panicked
	s.asking.Wait()
	close(s.readDone)
	s.out.shut()
	if s.agent != nil {
		s.server.directory.release(s.agent, s)
	}
	s.pace.end(s.server.metrics)
	s.farewell()
	s.linger()
	s.mu.Lock()
	s.ended = true
	if s.pinger != nil {
		s.pinger.Stop()
	}
	cause := s.cause
	s.mu.Unlock()
	_ = s.conn.Close() // where the server keeps hijacked connections, closing is ours to do
	s.server.metrics.countClosed(cause)
	if cause != nil {
		s.log().Info("closed an agent's connection", "code", cause.Code.String(), "reason", cause.Message)
	}
}

// linger reads what the agent still sends after the close frame: closing a socket with
// unread data resets it, and the agent would never learn why.
func (s *session) linger() {
	_ = s.conn.NetConn().SetReadDeadline(time.Now().Add(farewellTime))
	var waste [4096]byte
	for {
		if _, err := s.conn.NetConn().Read(waste[:]); err != nil {
			return
		}
	}
}

// close ends the session; only the first cause counts. nil: the agent is gone already.
func (s *session) close(cause *wire.CloseError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel == nil {
		return
	}
	s.cause = cause
	s.cancel()
	s.cancel = nil
	s.wakeReaderLocked()
}

// drain stops reading and ends the session once nothing is pending.
func (s *session) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drained {
		return
	}
	s.drained = true
	close(s.draining)
	s.wakeReaderLocked()
}

// wakeReaderLocked makes a read that waits fail. Ending or draining must be over
// before, because the reader sets deadlines of its own: see extendDeadline.
func (s *session) wakeReaderLocked() {
	if !s.ended {
		_ = s.conn.SetReadDeadline(time.Now())
	}
}

// abort cuts the connection.
func (s *session) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		_ = s.conn.NetConn().Close()
	}
}

// awaitStored waits until all that was taken is acknowledged.
func (s *session) awaitStored() {
	for s.agent != nil && s.agent.pending() > 0 {
		select {
		case <-s.room:
		case <-s.ending.Done():
			return
		}
	}
}

// acknowledge queues an ack and makes room. It is called under agent.mu and does not block.
func (s *session) acknowledge(a wire.Ack) {
	s.out.ack(s, a)
	s.lookAgain()
}

// lookAgain lets a reader that waits for room look again.
func (s *session) lookAgain() {
	select {
	case s.room <- struct{}{}:
	default:
	}
}

func (s *session) send(f wire.Frame) { s.out.push(s, f) }

// startPings pings now, to learn the round trip, and then again and again.
func (s *session) startPings() {
	s.out.ping(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pinger = time.AfterFunc(s.server.config.PingEvery, s.pingAgain)
}

func (s *session) pingAgain() {
	s.out.ping(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.pinger.Reset(s.server.config.PingEvery)
	}
}

func (s *session) token() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokenID
}

// errDraining ends reading in an orderly way.
var errDraining = errors.New("draining")

// extendDeadline gives the agent more time to send, unless the session is to end: then the
// deadline that wakes the reader stays.
func (s *session) extendDeadline(d time.Duration) error {
	if err := s.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	select {
	case <-s.ending.Done():
		return errors.New("closing")
	case <-s.draining:
		return errDraining
	default:
		return nil
	}
}

// stopped turns the error of a read into why the session ends.
func (s *session) stopped(err error, onTimeout wire.CloseCode, waited time.Duration) error {
	select {
	case <-s.draining:
		return nil
	default:
	}
	var peer *websocket.CloseError
	switch {
	case errors.As(err, &peer):
		return fmt.Errorf("the agent closed: %w", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return wire.Closef(onTimeout, "nothing arrived within %v", waited)
	default:
		return err
	}
}
