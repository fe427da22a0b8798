package aggregate

// stray is a sample that has to wait for the next Advance.
type stray struct {
	entry *entry
	track *track // nil: every track of the entry, which was not bound yet
	n     uint32
	sample
}

// Apply takes the samples of a batch. It may be called from any goroutine; the batches of one agent are
// taken one after another. The batch is not kept.
func (l *Live) Apply(b *Batch) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	l.registry.mu.RLock()
	defer l.registry.mu.RUnlock()
	from := l.registry.senders[b.Agent]
	if from == nil {
		l.counters.unknown.Add(uint64(b.Rows()))
		return
	}
	from.mu.Lock()
	defer from.mu.Unlock()
	a := applier{live: l, sender: from, clock: l.clock.Load(), strays: from.strays[:0]}
	for i, id := range b.Series {
		a.apply(id, b.TS[i], b.Value[i], b.N[i])
	}
	from.strays = a.finish()
	l.counters.samples.Add(uint64(b.Rows()) - a.unknown)
}

// applier takes the rows of one batch.
type applier struct {
	live   *Live
	sender *sender
	clock  uint32
	entry  *entry // of the last row
	cursor int    // where in sender.entries the next row's entry should be
	strays []stray

	unknown, tooLate uint64
}

func (a *applier) apply(id SeriesID, ts int64, value float64, n uint32) {
	e := a.find(id)
	if e == nil {
		a.unknown++
		return
	}
	if ts < 0 {
		a.tooLate++
		return
	}
	e.seen = a.clock
	s := sample{ts, value}
	if ts > e.latest.ts || ts == e.latest.ts && value > e.latest.value {
		e.latest = s
	}
	if !e.bound {
		a.strays = append(a.strays, stray{entry: e, n: n, sample: s})
		return
	}
	for _, b := range e.tracks {
		switch t := b.track; {
		case t.accept(b.pos, ts, value, n):
		case ts < t.first*int64(t.step) && t.fold != foldLast:
			a.tooLate++
		default:
			a.strays = append(a.strays, stray{e, t, n, s})
		}
	}
}

// find returns the entry of a series. Batches mostly have their series in one order, so it mostly is the next one.
// Bins of one series follow each other.
func (a *applier) find(id SeriesID) *entry {
	if a.entry != nil && a.entry.id == id {
		return a.entry
	}
	var e *entry
	if a.cursor < len(a.sender.entries) && a.sender.entries[a.cursor].id == id {
		e = a.sender.entries[a.cursor]
	} else if e = a.live.registry.entries[id]; e == nil || e.sender != a.sender {
		return nil // an entry's columns are written under its own sender's lock only
	}
	a.entry, a.cursor = e, int(e.place)+1
	return e
}

// finish hands over what has to wait, and returns the memory for it.
func (a *applier) finish() []stray {
	l := a.live
	if a.unknown > 0 {
		l.counters.unknown.Add(a.unknown)
	}
	if a.tooLate > 0 {
		l.counters.tooLate.Add(a.tooLate)
	}
	if len(a.strays) > 0 {
		l.wait(a.strays)
	}
	const kept = 64 // more is of a first batch or a backlog
	if cap(a.strays) > kept {
		return nil
	}
	clear(a.strays)
	return a.strays
}

// wait queues strays for the next Advance. Beyond the bound they are left out of live, and counted.
func (l *Live) wait(strays []stray) {
	l.straysMu.Lock()
	defer l.straysMu.Unlock()
	room := min(l.config.Strays-len(l.strays), len(strays))
	l.strays = append(l.strays, strays[:room]...)
	l.counters.overflow.Add(uint64(len(strays) - room))
}
