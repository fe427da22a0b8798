package agent

import (
	"errors"
	"slices"
	"time"

	"telltale/ingest/agent/spool"
	"telltale/ingest/wire"
)

// burst is how many batches of an outage are sent at once, as if they were fresh. More
// are backlog: the fresh ones go on in an epoch of their own.
const burst = 5

// backlogSpeed is how much faster than they came the batches of an outage are sent.
const backlogSpeed = 10

// errNewConnection ends a connection that has used up its epochs.
var errNewConnection = errors.New("a new connection is needed for a new epoch")

// fill sends until the window or the spool is at its end: what is fresh first, then, at
// a limited rate, the backlog. An agent that stops leaves that for its next start.
func (s *session) fill(stopping bool) error {
	for s.liveOnly || len(s.flying) < s.window {
		sent, err := s.sendNext(s.fresh)
		if err != nil {
			return err
		}
		if !sent {
			break
		}
	}
	if s.liveOnly || stopping {
		return nil
	}
	return s.fillBacklog()
}

// fillBacklog sends of the older epochs, the oldest first. A quarter of the window stays
// free for what is fresh.
func (s *session) fillBacklog() error {
	epochs := s.spool.Epochs()
	for i := 0; i < len(epochs) && epochs[i] != s.fresh && len(s.flying) < max(s.window-s.window/4, 1); {
		if wait := time.Until(s.due); wait > 0 {
			s.pace.Reset(wait)
			return nil
		}
		sent, err := s.sendNext(epochs[i])
		if err != nil {
			return err
		}
		if !sent {
			i++
			continue
		}
		s.due = time.Now().Add(s.backlogPause())
	}
	return nil
}

// backlogPause is the time between two batches of the backlog.
func (s *session) backlogPause() time.Duration {
	if s.config.BacklogRate > 0 {
		return time.Duration(float64(time.Second) / s.config.BacklogRate)
	}
	return time.Duration(s.interval.Load()) / backlogSpeed
}

// sendNext sends the next frame of an epoch; false: there is none.
func (s *session) sendNext(epoch string) (bool, error) {
	cursor := s.cursors[epoch]
	if cursor == nil {
		return false, nil
	}
	frame, to := cursor.Next()
	if frame == nil {
		return false, nil
	}
	if batch, ok := frame.(*wire.Batch); ok && !s.fits(batch) {
		s.log.Error("a batch exceeds what the hub takes: it is dropped", "samples", len(batch.Samples))
		s.spool.Lose(epoch, batch.Seq, batch.Samples, spool.FrameTooBig)
		cursor.Close()
		cursor = s.spool.Cursor(epoch, batch.Seq-1)
		s.cursors[epoch] = cursor
		frame, to = cursor.Next()
	}
	if gap, ok := frame.(*wire.Gap); ok {
		s.log.Warn("declaring lost samples", "from", time.UnixMilli(gap.From), "to", time.UnixMilli(gap.To), "samples", gap.Count, "reason", gap.Reason)
		s.message, _ = s.encoder.Append(s.message[:0], gap)
	}
	if err := s.flush(); err != nil {
		return false, s.ending(err)
	}
	if !s.liveOnly { // else it will not be acknowledged
		s.flying = append(s.flying, flight{epoch: epoch, seq: to})
	}
	return true, nil
}

// refresh lets what comes next go on in a new epoch, so that it need not wait for what is
// held.
func (s *session) refresh() error {
	held := s.spool.Epochs()
	for epoch, cursor := range s.cursors {
		if !slices.Contains(held, epoch) { // the hub forgets those stored to their end too
			cursor.Close()
			delete(s.cursors, epoch)
			delete(s.acked, epoch)
		}
	}
	if len(s.acked) >= s.limits.Epochs {
		if s.spool.Rotate() {
			return errNewConnection
		}
		return nil
	}
	if s.spool.Rotate() {
		epochs := s.spool.Epochs()
		s.fresh = epochs[len(epochs)-1]
		s.acked[s.fresh] = 0
		s.cursors[s.fresh] = s.spool.Cursor(s.fresh, 0)
	}
	return nil
}

// slow does what the hub says about its load. While it only shows what comes, the fresh
// batches are sent on, unacknowledged, and nothing else; afterwards all that it did not
// store is sent again.
func (s *session) slow(f *wire.Slow) error {
	s.window = max(f.MaxInFlight, 1)
	if f.LiveOnly == s.liveOnly {
		return nil
	}
	s.liveOnly = f.LiveOnly
	s.log.Info("the hub changes what it stores", "live_only", f.LiveOnly, "max_in_flight", f.MaxInFlight)
	if s.liveOnly {
		return nil
	}
	s.flying = s.flying[:0]
	for epoch, cursor := range s.cursors {
		cursor.Close()
		s.cursors[epoch] = s.spool.Cursor(epoch, s.acked[epoch])
	}
	return s.refresh()
}

func (s *session) closeCursors() {
	for _, cursor := range s.cursors {
		cursor.Close()
	}
}
