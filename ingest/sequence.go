package ingest

import (
	"time"

	"telltale/ingest/wire"
)

// maxSeq keeps seqs exact in JavaScript and in JSON.
const maxSeq = 1 << 53

// sequence is what one epoch may send on this connection.
type sequence struct {
	base  uint64 // stored, as welcome said
	next  uint64
	backs int   // how often it went back, once for each time that live-only was lifted
	used  int64 // session.lastBatch when its last frame came
}

// advance checks that seq is the one that must come, goes on to the one after last, and
// returns the epoch's name.
func (s *session) advance(name string, seq, last uint64) (string, error) {
	if name == "" {
		if name = s.own; name == "" {
			return "", wire.Closef(wire.BadFrame, "name the epoch, since hello named some")
		}
	}
	q, err := s.sequence(name)
	if err != nil {
		return "", err
	}
	switch {
	case seq <= q.base:
		return "", wire.Closef(wire.StaleSeq, "epoch %s is stored up to seq %d, and %d was sent", name, q.base, seq)
	case last >= maxSeq:
		return "", wire.Closef(wire.BadFrame, "epoch %s: seq %d is too large", name, last)
	case seq < q.next && s.mayGoBack(q, name, seq):
	case seq > q.next && s.maySkip(q): // the agent holds what is between, to send it later
	case seq != q.next:
		return "", wire.Closef(wire.OutOfOrder, "epoch %s: seq %d must come next, and %d was sent", name, q.next, seq)
	}
	q.next = last + 1
	q.used = s.lastBatch.Load()
	return name, nil
}

// mayGoBack says whether the epoch begins again at what is not stored, as it must once
// after live-only was lifted.
func (s *session) mayGoBack(q *sequence, name string, seq uint64) bool {
	lifts, _ := s.pace.lift()
	if q.backs >= lifts || seq > s.agent.taken(name)+1 {
		return false
	}
	q.backs++
	return true
}

// maySkip says whether the epoch may leave out what the agent holds: under live-only, and
// for a while after it, when the agent may not have heard of the end yet.
func (s *session) maySkip(q *sequence) bool {
	if s.keepPace().LiveOnly {
		return true
	}
	lifts, lifted := s.pace.lift()
	return q.backs < lifts && time.Since(lifted) < s.server.config.ResumeTimeout
}

// sequence returns that of an epoch; of a new one, it begins.
func (s *session) sequence(name string) (*sequence, error) {
	if q := s.epochs[name]; q != nil {
		return q, nil
	}
	if err := wire.CheckEpoch(name); err != nil {
		return nil, err
	}
	if limit := s.server.config.Limits.Epochs; len(s.epochs) >= limit && !s.dropEpoch() {
		return nil, wire.Closef(wire.LimitExceeded, "more than %d epochs on one connection that are not stored", limit)
	}
	q := &sequence{next: 1}
	s.epochs[name] = q
	return q, nil
}

// dropEpoch forgets the epoch that was used longest ago of those that are stored to their
// end. An agent opens one after each time of live-only, for as long as it is connected.
func (s *session) dropEpoch() bool {
	oldest := ""
	for name, q := range s.epochs {
		if name != s.own && (oldest == "" || q.used < s.epochs[oldest].used) && s.agent.complete(name, q.next-1) {
			oldest = name
		}
	}
	if oldest == "" {
		return false
	}
	s.agent.forgetEpoch(oldest)
	delete(s.epochs, oldest)
	return true
}
