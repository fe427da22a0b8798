package spool

import (
	"math"
	"path/filepath"
	"time"

	"telltale/ingest/wire"
)

// Add appends a batch, whose samples the spool keeps. It is written when Add returns,
// though not yet safe from a power cut.
func (s *Spool) Add(samples []wire.Sample) {
	if len(samples) == 0 {
		return
	}
	now := time.Now().UnixMilli()
	for i := range samples {
		if samples[i].TS == 0 {
			samples[i].TS = now // the hub's clock would be that of a later day
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from, to := timeRange(samples)
	r := record{seq: s.current().next, samples: uint64(len(samples)), from: from, to: to}
	if s.writeLocked(&r, samples) {
		s.remember(r.seq, samples)
		s.boundLocked()
	} else {
		s.declareLocked(loss{Samples: r.samples, From: from, To: to, Reason: FrameTooBig})
	}
	s.signal()
}

// declareLocked takes the next seq for a loss that has no place of its own.
func (s *Spool) declareLocked(l loss) {
	e := s.current()
	l.Seq, l.ToSeq = e.next, e.next
	e.next++
	if s.active != nil {
		s.active.next = e.next
	}
	e.newest = max(e.newest, l.To)
	s.loseLocked(e, l)
}

func timeRange(samples []wire.Sample) (from, to int64) {
	from, to = math.MaxInt64, math.MinInt64
	for i := range samples {
		from, to = min(from, samples[i].TS), max(to, samples[i].TS)
	}
	return from, to
}

// writeLocked appends a batch to the current epoch. It returns false where it is too big
// to be delivered ever.
func (s *Spool) writeLocked(r *record, samples []wire.Sample) bool {
	for {
		g := s.writableLocked()
		if !s.encodeLocked(r, samples) {
			return false
		}
		before := g.bytes
		err := g.append(s.raw)
		s.bytes += g.bytes - before
		if err == nil {
			if g.memory != nil {
				s.memory += g.bytes - before
			}
			break
		}
		s.refuseLocked(err)
		s.sealLocked() // the next one is in memory, and cannot fail
	}
	e := s.current()
	e.next = r.seq + 1
	e.newest = max(e.newest, r.to)
	s.active.next = e.next
	return true
}

// encodeLocked makes the record's bytes in s.raw.
func (s *Spool) encodeLocked(r *record, samples []wire.Sample) bool {
	r.flags = 0
	if s.sinceKey%recordsPerKey == 0 {
		r.flags, s.sinceKey = keyFlag, 0
		s.encoder.Reset()
		for i := range samples {
			s.series.register(samples[i].Series)
		}
	}
	s.sinceKey++
	var frameBytes int
	s.message, frameBytes = s.encoder.Append(s.message[:0], &wire.Batch{Seq: r.seq, Samples: samples})
	if frameBytes >= wire.MaxFrameBytes {
		s.sinceKey = 0 // nobody will know what it described
		return false
	}
	r.message = s.message
	s.raw = r.appendTo(s.raw[:0])
	return true
}

// writableLocked returns the segment to append to.
func (s *Spool) writableLocked() *segment {
	limit := min(maxSegmentBytes, s.config.Bytes/8)
	if s.refused {
		limit = min(memorySegment, limit)
	}
	if s.active != nil && s.active.bytes >= limit {
		s.sealLocked()
	}
	if s.active != nil {
		return s.active
	}
	e := s.current()
	g := &segment{path: filepath.Join(s.config.Dir, segmentName(e.id, e.next)), opened: e.opened, first: e.next, next: e.next}
	if !s.refused {
		if err := g.create(); err != nil {
			s.refuseLocked(err)
		}
	}
	if s.refused {
		g.memory = segmentHeader(e.opened)
		g.bytes = int64(len(g.memory))
		s.memory += g.bytes
	}
	s.bytes += g.bytes
	e.segments = append(e.segments, g)
	s.active, s.sinceKey = g, 0
	return g
}

// sealLocked ends the active segment.
func (s *Spool) sealLocked() {
	g := s.active
	if g == nil {
		return
	}
	g.sealed, s.active = true, nil
	g.release()
	e := s.current()
	for _, done := range e.acknowledge(e.acked) {
		s.removeLocked(done)
	}
}

func (s *Spool) sealActive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealLocked()
}

// refuseLocked goes on in memory.
func (s *Spool) refuseLocked(err error) {
	s.stats.DiskErrors++
	if s.refused {
		return
	}
	s.refused = true
	s.config.Log.Warn("the spool cannot be written: batches are held in memory, and lost if this agent is killed",
		"dir", s.config.Dir, "memory_bytes", memoryBytes, "error", err)
}

// remember keeps a batch that will be sent at once.
func (s *Spool) remember(seq uint64, samples []wire.Sample) {
	for len(s.recent) >= keptRecent {
		s.forgetRecentLocked()
	}
	s.recent = append(s.recent, recentBatch{seq: seq, samples: samples})
}

func (s *Spool) forgetRecentLocked() {
	copy(s.recent, s.recent[1:])
	s.recent[len(s.recent)-1] = recentBatch{} // else its samples live on
	s.recent = s.recent[:len(s.recent)-1]
}

// anywhere and inMemory pick what is dropped.
func anywhere(*segment) bool   { return true }
func inMemory(g *segment) bool { return g.memory != nil }

// boundLocked drops the oldest until the rest is within the bounds.
func (s *Spool) boundLocked() {
	for s.bytes > s.config.Bytes && s.dropOldestLocked(anywhere, SpoolFull) {
	}
	for s.memory > memoryBytes && s.dropOldestLocked(inMemory, SpoolFull) {
	}
}

// dropOldestLocked drops the first segment that pick takes.
func (s *Spool) dropOldestLocked(pick func(*segment) bool, reason string) bool {
	for _, e := range s.epochs {
		for i, g := range e.segments {
			if g == s.active || !pick(g) {
				continue
			}
			if g.next-1 > e.acked {
				s.loseLocked(e, e.tally(g, reason))
			}
			e.segments = append(e.segments[:i:i], e.segments[i+1:]...)
			s.forgetLocked(g)
			s.dropped = append(s.dropped, g)
			return true
		}
	}
	return false
}

// removeLocked takes the segment, which no epoch has any more, off the disk.
func (s *Spool) removeLocked(g *segment) {
	s.forgetLocked(g)
	g.remove()
}

// forgetLocked counts the segment no more.
func (s *Spool) forgetLocked(g *segment) {
	s.bytes -= g.bytes
	if g.memory != nil {
		s.memory -= g.bytes
	}
	if g == s.active {
		s.active = nil
	}
}

// openEpochLocked opens a new epoch. Its first frames declare the losses, and those of
// epochs that are one too many.
func (s *Spool) openEpochLocked(lost ...loss) {
	if len(s.epochs) > 0 {
		s.sealLocked()
		if last := s.current(); last.waiting() == 0 {
			s.dropEpochLocked(last)
		}
	}
	for len(s.epochs) >= MaxEpochs {
		lost = append(lost, s.giveUpLocked(s.epochs[0]))
	}
	s.epochs = append(s.epochs, newEpoch(randomID()))
	s.recent = nil
	for _, l := range lost {
		s.declareLocked(l)
	}
}

// giveUpLocked drops an epoch and returns what of it was never acknowledged.
func (s *Spool) giveUpLocked(e *epoch) loss {
	all := loss{Reason: TooManyEpochs}
	for _, l := range e.losses {
		all.add(l.Samples, l.From, l.To)
	}
	for _, g := range e.segments {
		if g.next-1 <= e.acked {
			continue
		}
		l := e.tally(g, TooManyEpochs)
		all.add(l.Samples, l.From, l.To)
	}
	s.dropEpochLocked(e)
	return all
}

func (s *Spool) dropEpochLocked(e *epoch) {
	for i := range s.epochs {
		if s.epochs[i] == e {
			s.epochs = append(s.epochs[:i:i], s.epochs[i+1:]...)
			break
		}
	}
	for _, g := range e.segments {
		s.removeLocked(g)
	}
	e.segments = nil
}
