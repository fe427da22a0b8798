package ingest

import (
	"errors"
	"time"

	"telltale/ingest/wire"
)

// maxSeq keeps seqs exact in JavaScript and in JSON.
const maxSeq = 1 << 53

// batch takes a batch, unless its first copy was taken already.
func (s *session) batch(c *wire.Columns) error {
	if err := s.resolve(c); err != nil {
		return err
	}
	epoch, err := s.advance(c.Epoch, c.Seq, c.Seq)
	if err != nil {
		return err
	}
	if err := s.awaitRoom(); err != nil {
		return err
	}
	b, refusals := s.accept(c)
	b.Epoch = epoch
	s.lastBatch.Store(time.Now().UnixMilli())
	return s.take(b, refusals, len(c.Ref))
}

// take hands a batch to the Sink.
func (s *session) take(b *Batch, r refusals, samples int) error {
	m := s.server.metrics
	taken, fresh := s.agent.enter(b.Epoch, pendingBatch{seq: b.Seq, refused: r.listed, unnamed: uint64(r.total - len(r.listed))})
	if !fresh {
		m.duplicates.Inc()
		return nil
	}
	if err := s.server.sink.Take(b); err != nil {
		s.agent.withdraw(b.Epoch, taken)
		if !errors.Is(err, ErrFull) {
			s.log.Error("cannot take a batch", "epoch", b.Epoch, "seq", b.Seq, "error", err)
		}
		return s.overloaded("the hub holds as many unstored samples as it may")
	}
	for reason, n := range r.byReason {
		m.refusedReason[reason].Add(float64(n))
	}
	m.samples.Add(float64(samples - r.total))
	return nil
}

// gap takes what an agent declares lost: a batch without rows in the place of the lost
// ones, so that it is acknowledged in order.
func (s *session) gap(g *wire.Gap) error {
	if g.ToSeq < g.Seq {
		return wire.Closef(wire.BadFrame, "gap: to_seq %d is before seq %d", g.ToSeq, g.Seq)
	}
	epoch, err := s.advance(g.Epoch, g.Seq, g.ToSeq)
	if err != nil {
		return err
	}
	if err := s.awaitRoom(); err != nil {
		return err
	}
	if !s.gapSeen {
		s.gapSeen = true
		s.log.Warn("the agent has lost samples", "epoch", epoch, "from", time.UnixMilli(g.From), "to", time.UnixMilli(g.To),
			"samples", g.Count, "reason", g.Reason)
	}
	s.server.metrics.gapBatches.Add(float64(g.ToSeq - g.Seq + 1))
	return s.take(&Batch{Agent: s.agent.id, Epoch: epoch, Seq: g.ToSeq}, refusals{}, 0)
}

// advance checks that seq is the one that must come, goes on to the one after last, and
// returns the epoch's name.
func (s *session) advance(name string, seq, last uint64) (string, error) {
	if name == "" {
		if name = s.own; name == "" {
			return "", wire.Closef(wire.BadFrame, "name the epoch, since hello named some")
		}
	}
	q := s.epochs[name]
	if q == nil {
		if err := wire.CheckEpoch(name); err != nil {
			return "", err
		}
		if len(s.epochs) >= s.server.config.Limits.Epochs {
			return "", wire.Closef(wire.LimitExceeded, "more than %d epochs on one connection", s.server.config.Limits.Epochs)
		}
		q = &sequence{next: 1}
		s.epochs[name] = q
	}
	switch {
	case seq <= q.base:
		return "", wire.Closef(wire.StaleSeq, "epoch %s is stored up to seq %d, and %d was sent", name, q.base, seq)
	case seq != q.next:
		return "", wire.Closef(wire.OutOfOrder, "epoch %s: seq %d must come next, and %d was sent", name, q.next, seq)
	case last >= maxSeq:
		return "", wire.Closef(wire.BadFrame, "epoch %s: seq %d is too large", name, last)
	}
	q.next = last + 1
	return name, nil
}

// awaitRoom waits while too many batches are in flight: not reading slows the agent down.
func (s *session) awaitRoom() error {
	limit := s.server.config.Limits.MaxInFlight
	if s.agent.pending() < limit {
		return nil
	}
	s.server.metrics.stalls.Inc()
	stall := time.NewTimer(s.server.config.StallTimeout)
	defer stall.Stop()
	for s.agent.pending() >= limit {
		select {
		case <-s.room:
		case <-s.ending.Done():
			return s.ending.Err()
		case <-stall.C:
			return s.overloaded("storage does not keep up")
		}
	}
	return nil
}
