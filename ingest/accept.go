package ingest

import (
	"time"

	"telltale/ingest/wire"
)

// maxAhead is how far in the future a sample may lie.
const maxAhead = time.Minute

// refusals is what a batch holds that is refused by rule.
type refusals struct {
	listed   []wire.Refused // the first of them
	byReason map[wire.Reason]int
	total    int
}

func (r *refusals) add(refused wire.Refused) {
	if len(r.listed) < listedRefusals {
		r.listed = append(r.listed, refused)
	}
	if r.byReason == nil {
		r.byReason = make(map[wire.Reason]int)
	}
	r.byReason[refused.Reason]++
	r.total++
}

// accept turns the columns of a batch into rows, and notes what is refused by rule.
func (s *session) accept(c *wire.Columns, epoch string) (*Batch, refusals) {
	rows := len(c.Ref) + len(c.Bins)
	b := &Batch{
		Agent: s.agent.id, Epoch: epoch, Seq: c.Seq,
		Series: make([]uint64, 0, rows), TS: make([]int64, 0, rows), Value: make([]float64, 0, rows), N: make([]uint32, 0, rows),
	}
	var refused refusals
	now := time.Now()
	clock := timeBounds{now: now.UnixMilli(), oldest: now.Add(-s.server.config.Retention).UnixMilli(), newest: now.Add(maxAhead).UnixMilli()}
	for i, ref := range c.Ref {
		var fault wire.Reason
		if c.Fault != nil {
			fault = c.Fault[i]
		}
		ts := c.TS[i]
		if ts == 0 {
			ts = clock.now
		}
		if fault == "" {
			fault = s.series[ref].check(c.Value[i], ts, &clock)
		}
		if fault != "" {
			refused.add(wire.Refused{Seq: c.Seq, Index: i, Reason: fault})
			continue
		}
		series := &s.series[ref]
		if series.kind != wire.Distribution {
			b.append(series.id, ts, c.Value[i], 1)
			continue
		}
		for _, bin := range c.BinsOf(i) {
			b.append(series.id, ts, wire.BinValue(bin.Key), bin.Count)
		}
	}
	return b, refused
}

type timeBounds struct{ now, oldest, newest int64 }

// check returns why a sample of the series is refused, or "".
func (r *resolvedSeries) check(value float64, ts int64, clock *timeBounds) wire.Reason {
	switch {
	case r.refused > 0:
		return wire.Reasons[r.refused-1]
	case value-value != 0:
		return wire.NotFinite
	case r.kind == wire.Counter && value < 0:
		return wire.BadValue
	case ts < clock.oldest:
		return wire.TooOld
	case ts > clock.newest:
		return wire.TooNew
	}
	return ""
}

func (b *Batch) append(series uint64, ts int64, value float64, n uint32) {
	b.Series = append(b.Series, series)
	b.TS = append(b.TS, ts)
	b.Value = append(b.Value, value)
	b.N = append(b.N, n)
}
