package spool

import (
	"slices"
	"time"

	"telltale/ingest/wire"
)

// Cursor reads one epoch in order. Only one cursor at a time may read an epoch.
type Cursor struct {
	spool *Spool
	id    string
	after uint64 // the last seq delivered

	segment *segment // is read; nil: none yet
	scan    scanner
	record  record
	ahead   bool // record is behind a hole and was not delivered yet
	last    record
	decoder *wire.Decoder
	series  []*wire.Series // by ref
	samples []wire.Sample
}

// Cursor returns a cursor that delivers what follows the seq.
func (s *Spool) Cursor(epoch string, after uint64) *Cursor {
	return &Cursor{spool: s, id: epoch, after: after}
}

// Next returns the frame that comes next, a *wire.Batch or a *wire.Gap, and the seq up to
// which it goes; nil: there is none, or none yet. The frame is valid until the next call.
func (c *Cursor) Next() (frame wire.Frame, to uint64) {
	s := c.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.epochLocked(c.id)
	if e == nil || c.after+1 >= e.next {
		c.leave()
		return nil, c.after
	}
	frame, c.after = c.nextLocked(e, c.after+1)
	return frame, c.after
}

func (c *Cursor) nextLocked(e *epoch, seq uint64) (wire.Frame, uint64) {
	if l := e.lossAt(seq); l != nil {
		return gapOf(e, seq, l), l.ToSeq
	}
	if samples := c.spool.recentLocked(e, seq); samples != nil {
		return &wire.Batch{Epoch: e.id, Seq: seq, Samples: samples}, seq
	}
	g := e.segmentAt(seq)
	if g == nil {
		return c.hole(e, seq, e.next-1)
	}
	if g.first > seq {
		return c.hole(e, seq, g.first-1)
	}
	if !c.read(g, seq) {
		if c.ahead {
			return c.hole(e, seq, c.record.seq-1)
		}
		return c.hole(e, seq, g.next-1)
	}
	return &wire.Batch{Epoch: e.id, Seq: seq, Samples: c.samples}, seq
}

func gapOf(e *epoch, seq uint64, l *loss) *wire.Gap {
	return &wire.Gap{Epoch: e.id, Seq: seq, ToSeq: l.ToSeq, From: l.From, To: l.To, Count: l.Samples, Reason: l.Reason}
}

// hole declares what should be there and is not.
func (c *Cursor) hole(e *epoch, seq, to uint64) (wire.Frame, uint64) {
	l := loss{Seq: seq, ToSeq: to, From: e.opened, Reason: Corrupt}
	if c.last.seq > 0 {
		l.From = c.last.from
		l.Samples = c.last.samples * (to - seq + 1)
	}
	if to <= e.acked { // once this agent could have sent it
		l.Reason = StoredElsewhere
	}
	l.To = c.until(e, to+1)
	l.To = max(l.To, l.From)
	if to > e.acked {
		c.spool.loseLocked(e, l)
		c.spool.config.Log.Error("a part of the spool cannot be read", "epoch", e.id, "from_seq", seq, "to_seq", to)
	}
	return gapOf(e, seq, &l), to
}

// until returns the time at which a hole ends: that of what comes behind it.
func (c *Cursor) until(e *epoch, seq uint64) int64 {
	if c.ahead && c.record.seq == seq {
		return c.record.to
	}
	if g := e.segmentAt(seq); g != nil && g.first >= seq {
		scan := newScanner(g, headerBytes, g.bytes)
		if r, ok := scan.next(); ok {
			return r.to
		}
	}
	if e.newest > 0 {
		return e.newest
	}
	return time.Now().UnixMilli()
}

// read makes samples of the seq's record. False: it is not there, and if the cursor is
// ahead, a later one is.
func (c *Cursor) read(g *segment, seq uint64) bool {
	if c.segment != g || c.last.seq >= seq && !c.ahead {
		c.enter(g, seq)
	}
	c.scan.end = g.bytes
	for {
		if !c.ahead {
			var ok bool
			if c.record, ok = c.scan.next(); !ok {
				g.damaged = true
				return false
			}
		}
		if c.record.seq > seq {
			g.damaged, c.ahead = true, c.record.seq < g.next
			return false
		}
		c.ahead = false
		if !c.decode() {
			g.damaged, c.scan.lost = true, true
			continue
		}
		c.last = c.record
		c.last.message = nil
		if c.record.seq == seq {
			return true
		}
	}
}

// enter goes to the last record of the segment from which the seq can be read, and notes
// the one before the seq.
func (c *Cursor) enter(g *segment, seq uint64) {
	c.leave()
	c.segment, c.ahead = g, false
	g.reading = true
	if c.last.seq >= seq {
		c.last = record{}
	}
	start := int64(headerBytes)
	scan := newScanner(g, start, g.bytes)
	for r, ok := scan.next(); ok && r.seq <= seq; r, ok = scan.next() {
		if r.isKey() {
			start = r.at
		}
		if r.seq < seq {
			c.last = r
		}
	}
	c.last.message = nil // it is the scanner's
	c.scan = newScanner(g, start, g.bytes)
	c.decoder = wire.NewDecoder(boundless)
}

// leave lets the segment's file be closed.
func (c *Cursor) leave() {
	if c.segment != nil {
		c.segment.reading = false
		c.segment.release()
		c.segment = nil
	}
}

// Close ends the reading.
func (c *Cursor) Close() {
	c.spool.mu.Lock()
	defer c.spool.mu.Unlock()
	c.leave()
}

// decode makes samples of the record.
func (c *Cursor) decode() bool {
	frame, err := c.decoder.Binary(c.record.message)
	columns, ok := frame.(*wire.Columns)
	if err == nil && ok {
		c.resolve(columns)
	}
	return err == nil && ok
}

// resolve makes samples of columns. Those in themselves wrong are left out: any hub would
// refuse them.
func (c *Cursor) resolve(columns *wire.Columns) {
	if columns.Reset {
		c.series = c.series[:0]
	}
	for i := range columns.Defined {
		defined := &columns.Defined[i]
		if defined.Reason != "" {
			c.series = append(c.series, nil)
			continue
		}
		series := defined.Series
		c.series = append(c.series, c.spool.series.intern(&series))
	}
	c.samples = c.samples[:0]
	for i, ref := range columns.Ref {
		if int(ref) >= len(c.series) || c.series[ref] == nil || columns.Fault != nil && columns.Fault[i] != "" {
			continue
		}
		c.samples = append(c.samples, wire.Sample{
			Series: c.series[ref], TS: columns.TS[i], Value: columns.Value[i], Bins: slices.Clone(columns.BinsOf(i)),
		})
	}
}

// recentLocked returns a batch that need not be read.
func (s *Spool) recentLocked(e *epoch, seq uint64) []wire.Sample {
	if e != s.current() {
		return nil
	}
	for i := range s.recent {
		if s.recent[i].seq == seq {
			return s.recent[i].samples
		}
	}
	return nil
}
