package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"

	"telltale/ingest/wire"
)

// Server admits agents and takes what they send.
type Server struct {
	config     Config
	publicHost string
	sink       Sink
	tokens     Tokens
	metrics    *metrics
	log        *slog.Logger
	upgrade    fiber.Handler
	directory  directory
	admission  *admission
	behind     atomic.Pointer[func(agent string) bool] // of whom storage is behind

	mu       sync.Mutex // guards what follows; taken before session.mu
	sessions map[*session]struct{}
	revoked  map[string]struct{} // ids of tokens: a lookup may have begun before, and end after
	closing  bool
	running  sync.WaitGroup // one per session
}

// New makes a Server; Register mounts it. The error says what is wrong with the config.
func New(config Config, sink Sink, tokens Tokens, registerer prometheus.Registerer, log *slog.Logger) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	public, err := url.Parse(config.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("ingest config: public URL: %w", err)
	}
	s := &Server{
		config: config, publicHost: public.Host, sink: sink, tokens: tokens,
		metrics: newMetrics(registerer), log: log, sessions: make(map[*session]struct{}),
		revoked: make(map[string]struct{}), admission: newAdmission(config.AdmissionRate),
	}
	nobody := func(string) bool { return false }
	s.behind.Store(&nobody)
	s.directory = directory{agents: make(map[string]*agent), forget: sink.Forget, metrics: s.metrics}
	s.upgrade = websocket.New(s.serve, websocket.Config{
		Subprotocols:   []string{wire.Subprotocol},
		ReadBufferSize: 256, WriteBufferSize: 512, // the server's own buffer of 4 KB is below it
		RecoverHandler: s.recover,
	})
	return s, nil
}

// Register mounts the door at wire.Path.
func (s *Server) Register(router fiber.Router) {
	router.Get(wire.Path, s.knock, s.upgrade)
}

// Stored tells the door what is stored, so that it is acknowledged. It does not block.
func (s *Server) Stored(stored []Stored) {
	for _, p := range stored {
		if a := s.directory.find(p.Agent); a != nil && a.store(p) {
			s.directory.remove(a)
		}
	}
}

// SetLiveOnly says that storage is behind: batches are shown, and neither stored nor
// acknowledged, until it is lifted. It does not block.
func (s *Server) SetLiveOnly(liveOnly bool) {
	s.SetLiveOnlyOf(func(string) bool { return liveOnly })
}

// SetLiveOnlyOf is SetLiveOnly of the agents for which behind says so, which is called at any time
// from then on, from many goroutines.
func (s *Server) SetLiveOnlyOf(behind func(agent string) bool) {
	s.behind.Store(&behind)
	for _, a := range s.directory.all() {
		if session := a.session(); session != nil {
			session.keepPace()
			session.lookAgain()
		}
	}
}

func (s *Server) isBehind(agent string) bool { return (*s.behind.Load())(agent) }

// Revoke closes the connections that a token opened, and admits none any more. Call it
// after the token is gone. Ids are not used again.
func (s *Server) Revoke(tokenID string) {
	s.mu.Lock()
	s.revoked[tokenID] = struct{}{}
	s.mu.Unlock()
	for _, session := range s.all() {
		if session.token() == tokenID {
			session.close(revoked())
		}
	}
}

func revoked() *wire.CloseError { return wire.Closef(wire.Unauthorized, "the token was revoked") }

// trust notes the token by which a session came; false: it was revoked meanwhile.
func (s *Server) trust(session *session, tokenID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, gone := s.revoked[tokenID]; gone {
		return false
	}
	session.mu.Lock()
	session.tokenID = tokenID
	session.mu.Unlock()
	return true
}

// Broadcast sends a notice to every agent that is connected.
func (s *Server) Broadcast(notice wire.Notice) {
	for _, session := range s.all() {
		session.send(&notice)
	}
}

// Agents returns every agent that is connected or has batches pending, in no order.
func (s *Server) Agents() []AgentStatus {
	agents := s.directory.all()
	statuses := make([]AgentStatus, len(agents))
	for i, a := range agents {
		statuses[i] = a.status()
	}
	return statuses
}

// Close turns new connections away, stops reading from the others, and closes each once
// what was taken from it is acknowledged, or once ctx ends. It returns when all have ended.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	for _, session := range s.all() {
		session.drain()
	}
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	left := s.all()
	for _, session := range left {
		session.close(goingAway())
	}
	select {
	case <-ended:
	case <-time.After(farewellTime):
		for _, session := range s.all() {
			session.abort()
		}
		<-ended
	}
	return fmt.Errorf("closing the agents' door: %d connections still had batches pending: %w", len(left), context.Cause(ctx))
}

func goingAway() *wire.CloseError {
	return wire.Closef(wire.GoingAway, "the hub stops or restarts")
}

// admit registers a session; false: the server is closing.
func (s *Server) admit(session *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.sessions[session] = struct{}{}
	s.running.Add(1)
	s.metrics.connections.Inc()
	return true
}

func (s *Server) dismiss(session *session) {
	s.mu.Lock()
	delete(s.sessions, session)
	s.mu.Unlock()
	s.metrics.connections.Dec()
	s.running.Done()
}

func (s *Server) all() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*session, 0, len(s.sessions))
	for session := range s.sessions {
		all = append(all, session)
	}
	return all
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}
