package ingest

import (
	"errors"
	"fmt"
	"time"

	"telltale/ingest/wire"
)

// batch takes a batch: to storage, unless its first copy was taken already, or storage is
// behind, and to the live state, unless that has it.
func (s *session) batch(c *wire.Columns) error {
	if err := s.resolve(c); err != nil {
		return err
	}
	s.agent.countReceived(len(c.Ref))
	epoch, err := s.advance(c.Epoch, c.Seq, c.Seq)
	if err != nil {
		return err
	}
	s.lastBatch.Store(time.Now().UnixMilli())
	b, refused := s.accept(c, epoch)
	entry := pendingBatch{
		seq: b.Seq, samples: uint64(len(c.Ref) - refused.total), refused: refused.listed, unnamed: uint64(refused.total - len(refused.listed)),
	}
	if n := len(b.TS); n > 0 {
		entry.ts = b.TS[n-1]
	}
	took, err := s.store(epoch, b.Seq, entry, func(uint64) error { return s.server.sink.Take(b) })
	switch {
	case err != nil:
		return err
	case took == fresh:
		s.agent.countTaken(entry.samples, refused.byReason)
	case took == ahead:
		s.agent.countLiveOnly(len(c.Ref))
	case took == duplicate:
		s.agent.countDuplicate(len(c.Ref))
	}
	if took != duplicate && s.agent.show(epoch, b.Seq) {
		s.server.sink.Live(b)
	}
	return nil
}

// gap takes what an agent declares lost, in the place of the lost batches.
func (s *session) gap(f *wire.Gap) error {
	if f.ToSeq < f.Seq {
		return wire.Closef(wire.BadFrame, "gap: to_seq %d is before seq %d", f.ToSeq, f.Seq)
	}
	epoch, err := s.advance(f.Epoch, f.Seq, f.ToSeq)
	if err != nil {
		return err
	}
	g := &Gap{
		Agent: s.agent.id, Epoch: epoch, Seq: f.Seq, ToSeq: f.ToSeq, From: f.From, To: f.To, Count: f.Count, Reason: f.Reason,
	}
	took, err := s.store(epoch, f.Seq, pendingBatch{seq: f.ToSeq}, func(taken uint64) error {
		g.Seq = taken + 1 // it may declare lost what has come after all
		return s.server.sink.TakeGap(g)
	})
	if err != nil || took != fresh {
		return err
	}
	if !s.gapSeen {
		s.gapSeen = true
		s.log().Warn("the agent has lost samples", "epoch", epoch, "from", time.UnixMilli(g.From), "to", time.UnixMilli(g.To),
			"samples", g.Count, "reason", g.Reason)
	}
	s.agent.countGap(g)
	return nil
}

// store hands a batch or a gap, which goes from seq first to entry.seq, to take, if it is to
// be stored now. It is ahead if it must come again.
func (s *session) store(epoch string, first uint64, entry pendingBatch, take func(taken uint64) error) (verdict, error) {
	liveOnly, err := s.awaitRoom()
	if err != nil {
		return ahead, err
	}
	verdict, taken := s.agent.enter(epoch, first, entry, liveOnly)
	switch verdict {
	case duplicate:
		s.server.metrics.duplicates.Inc()
		return duplicate, nil
	case ahead:
		return ahead, s.mustResume(epoch, taken, liveOnly)
	}
	err = take(taken)
	switch {
	case err == nil:
		return fresh, nil
	case errors.Is(err, ErrFull):
		s.agent.withdraw(epoch, taken)
		s.server.metrics.full.Inc()
		s.noRoom()
		return ahead, nil
	default:
		s.agent.withdraw(epoch, taken)
		s.log().Error("cannot take a batch", "epoch", epoch, "seq", entry.seq, "error", err)
		return ahead, s.overloaded("the hub cannot store now")
	}
}

// mustResume ends the connection of an agent that goes on for too long after live-only was
// lifted without beginning again at what is not stored: none of it could ever be stored.
func (s *session) mustResume(epoch string, taken uint64, liveOnly bool) error {
	if liveOnly {
		return nil
	}
	if _, lifted := s.pace.lift(); time.Since(lifted) < s.server.config.ResumeTimeout {
		return nil
	}
	return s.overloaded(fmt.Sprintf("live_only is over, and epoch %s must go on at seq %d", epoch, taken+1))
}

// mustGoBack ends the connection of an agent that has sent nothing for too long after live-only was lifted, and was only shown
// before: it waits for acknowledgements of what it must send again.
func (s *session) mustGoBack() error {
	lifts, lifted := s.pace.lift()
	patience := max(s.server.config.ResumeTimeout, 2*s.interval)
	if lifts == 0 || time.Since(lifted) < patience || time.Since(time.UnixMilli(s.lastBatch.Load())) < patience {
		return nil
	}
	for name, q := range s.epochs {
		if taken := s.agent.taken(name); q.next > taken+1 {
			return s.overloaded(fmt.Sprintf("live_only is over, and epoch %s must go on at seq %d", name, taken+1))
		}
	}
	return nil
}

// awaitRoom waits while too many batches are in flight: not reading slows the agent down.
// If that lasts, it is live-only, so that what it sends is at least shown.
func (s *session) awaitRoom() (liveOnly bool, err error) {
	slow := s.keepPace()
	if slow.LiveOnly || s.agent.pending() < slow.MaxInFlight {
		return slow.LiveOnly, nil
	}
	s.server.metrics.stalls.Inc()
	stall := time.NewTimer(s.server.config.StallTimeout)
	defer stall.Stop()
	for !slow.LiveOnly && s.agent.pending() >= slow.MaxInFlight {
		select {
		case <-s.room:
		case <-s.ending.Done():
			return false, s.ending.Err()
		case <-stall.C:
			s.noRoom()
		}
		slow = s.keepPace()
	}
	return slow.LiveOnly, nil
}
