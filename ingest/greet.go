package ingest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"time"

	"telltale/ingest/wire"
)

// greet checks the hello, waits until the agent is this session's alone, and welcomes it.
func (s *session) greet(hello *wire.Hello) error {
	s.server.metrics.frames.WithLabelValues("hello").Inc()
	if err := s.authenticate(hello.Token); err != nil {
		return err
	}
	if err := s.server.config.Limits.CheckHello(hello); err != nil {
		return err
	}
	if reserved := s.server.config.ReservedID; reserved != "" && hello.Agent.ID == reserved {
		return wire.Closef(wire.DuplicateAgent, "the agent id %q is the hub's own: give this agent another", reserved)
	}
	if err := s.clock.compare(hello.Time); err != nil {
		return err
	}
	s.identity = hello.Epochs
	if len(hello.Epochs) == 0 {
		s.own = randomID()
		hello.Epochs = []string{s.own}
		s.identity = []string{remoteHost(s.conn.RemoteAddr())}
	}
	if s.interval = hello.Interval; s.interval <= 0 {
		s.interval = time.Second
	}
	s.greeted, s.labels = true, hello.Agent.Labels
	if err := s.takeOver(hello.Agent.ID); err != nil {
		return err
	}
	s.server.sink.Detach(hello.Agent.ID) // the series of connections before this one
	stored, unanswered := s.admit(hello.Agent)
	if err := s.ending.Err(); err != nil {
		return err
	}
	slow := s.beginPace(unanswered != nil)
	progress, ours := s.agent.welcome(s, hello.Epochs, stored)
	if !ours {
		return wire.Closef(wire.TakenOver, "a newer connection of agent %q", s.agent.id)
	}
	for name, seq := range progress {
		s.epochs[name] = &sequence{base: seq, next: seq + 1}
	}
	if unanswered != nil {
		s.log().Info("an agent is live-only until storage says how far it has it", "error", unanswered)
		maps.DeleteFunc(progress, func(name string, _ uint64) bool { return name != s.own })
		s.asking.Go(func() { s.answerLater(hello.Agent) })
	}
	limits := s.server.config.Limits
	limits.MaxInFlight = slow.MaxInFlight
	s.out.open(s, &wire.Welcome{
		Session: s.id, Epochs: progress, ServerTime: time.Now().UnixMilli(), Limits: limits, LiveOnly: slow.LiveOnly,
	})
	s.keepPace()
	s.log().Debug("agent connected", "epochs", len(progress), "interval", s.interval, "clock_offset", s.clock.offset())
	return nil
}

// admit asks storage how far it has the agent's epochs, but not for long.
func (s *session) admit(a wire.Agent) (stored map[string]uint64, err error) {
	ctx, cancel := context.WithTimeout(s.ending, s.server.config.AdmitTimeout)
	defer cancel()
	return s.server.sink.Admit(ctx, a)
}

// answerLater asks storage again and again, and gives the agent its answer: an ack for each
// epoch, and then the end of live-only. Nothing was taken until then, so that an epoch's
// sequence on this connection begins with it.
func (s *session) answerLater(a wire.Agent) {
	s.server.metrics.unanswered.Inc()
	for {
		select {
		case <-s.ending.Done():
			return
		case <-time.After(s.retryAfter()):
		}
		stored, err := s.server.sink.Admit(s.ending, a)
		if err != nil {
			continue
		}
		for epoch, seq := range stored {
			s.agent.store(Stored{Agent: a.ID, Epoch: epoch, Seq: seq})
		}
		s.pace.answered()
		s.keepPace()
		s.lookAgain()
		return
	}
}

// takeOver waits until the agent is this session's alone.
func (s *session) takeOver(id string) error {
	a, before, duplicate := s.server.directory.claim(id, s)
	s.agent = a
	if before == nil {
		return nil
	}
	cause := wire.Closef(wire.TakenOver, "a newer connection of agent %q; two machines with one id take over from each other for ever", id)
	if duplicate {
		cause = wire.Closef(wire.DuplicateAgent, "two machines have the agent id %q and take over from each other: give one of them another", id)
		cause.RetryAfter = duplicateRetry
		s.server.metrics.duplicateAgents.Inc()
		before.send(&wire.Notice{Level: "error", Text: cause.Message})
		s.log().Warn("two machines have one agent id", "other", before.conn.RemoteAddr().String())
	}
	before.close(cause)
	<-before.readDone
	if duplicate {
		return cause
	}
	return nil
}

// duplicateRetry is when each of two machines with one id may come back.
const duplicateRetry = 2 * time.Minute

// remoteHost is the address without the port, which changes with each connection.
func remoteHost(address net.Addr) string {
	host, _, err := net.SplitHostPort(address.String())
	if err != nil {
		return address.String()
	}
	return host
}

// authenticate checks the hello's token, unless the header brought one.
func (s *session) authenticate(token string) error {
	if s.token() != "" {
		return nil
	}
	if token == "" {
		return wire.Closef(wire.Unauthorized, "no token: send it in hello or as 'Authorization: Bearer'")
	}
	id, ok, err := s.server.tokens.Agent(s.ending, token)
	if err != nil {
		s.log().Warn("cannot look up an agent token", "error", err)
		return s.overloaded("tokens cannot be checked now")
	}
	if !ok {
		return wire.Closef(wire.Unauthorized, "unknown agent token: make one with 'telltale token create'")
	}
	if !s.server.trust(s, id) {
		return revoked()
	}
	return nil
}

// overloaded tells agents to come back, each at another time: they all hear it at once.
func (s *session) overloaded(why string) *wire.CloseError {
	retry := s.retryAfter()
	return &wire.CloseError{
		Code: wire.Overloaded, Message: fmt.Sprintf("%s: come back in %v", why, retry), RetryAfter: retry,
	}
}

// retryAfter is a time of each session's own, so that they do not all try at once.
func (s *session) retryAfter() time.Duration {
	retry := s.server.config.RetryAfter
	return retry + rand.N(retry).Truncate(time.Millisecond)
}
