package aggregate

import "time"

const (
	// lead is how far ahead of Advance columns are open: for what comes until the next one, a second later.
	lead = 1400 * time.Millisecond
	// farthest is how far ahead of Advance a sample may be. The door lets none in that is a minute ahead.
	farthest = 2 * time.Minute
	// sweepEvery is the time between two looks for series to forget.
	sweepEvery = time.Minute
)

// Advance closes the windows that ended at least the delay before now and computes the results of every watched query.
// It is called each second; Run does. Where the clock has jumped by more than a ring's length, results begin anew.
func (l *Live) Advance(now time.Time) {
	l.work.Lock()
	defer l.work.Unlock()
	l.turn++
	l.shape(now)
	for _, t := range l.tracks {
		if t.open == t.evaluated {
			continue
		}
		t.evaluate(l.turn)
		for _, p := range t.panels {
			p.list(l.turn)
		}
	}
	for _, p := range l.formulas {
		if p.formula.update(p, l.turn) {
			p.list(l.turn)
		}
	}
}

// shape does all that needs the senders to wait: new series, new columns, strays.
func (l *Live) shape(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = now.UnixMilli()
	l.clock.Store(uint32(now.Unix()))
	l.bindNew()
	for _, t := range l.tracks {
		l.rotate(t)
	}
	l.settle()
	if l.last-l.swept >= sweepEvery.Milliseconds() || l.last < l.swept {
		l.swept = l.last
		l.forget()
	}
}

// rotate closes and opens the track's windows.
func (l *Live) rotate(t *track) {
	open := t.step.window(max(l.last-l.config.Delay.Milliseconds(), 0))
	if gap := open - t.open; gap > ringWindows || gap < -ringWindows {
		t.begin(l.last)
		for _, p := range l.formulas {
			if p.query.Step == t.step {
				p.ring.begin(t.first)
			}
		}
	}
	t.open = max(t.open, open)
	t.extend(t.step.window(l.last + lead.Milliseconds()))
}

// bindNew gives new series their places in the tracks that read them, and changed ones their new hold.
func (l *Live) bindNew() {
	entries := l.registry.takeUnbound()
	l.registry.mu.RLock()
	defer l.registry.mu.RUnlock()
	for _, e := range entries {
		if !e.bound {
			e.bound, e.seen = true, l.clock.Load()
		}
		for _, t := range l.byMetric[e.desc.Metric] {
			if l.reads(t, e) {
				t.bind(e)
			}
		}
	}
}

func (l *Live) reads(t *track, e *entry) bool {
	if !t.query.Matches(e.desc) {
		return false
	}
	if t.query.Suits(e.desc.Kind) != nil {
		l.counters.unsuited.Add(1)
		return false
	}
	return true
}

// settle puts strays where they belong. Early ones go on waiting.
func (l *Live) settle() {
	l.straysMu.Lock()
	defer l.straysMu.Unlock()
	pending := l.strays
	l.strays = nil
	for _, s := range pending {
		for _, b := range s.entry.tracks {
			if s.track == nil || s.track == b.track {
				l.settleIn(b, s)
			}
		}
	}
}

func (l *Live) settleIn(b binding, s stray) {
	switch b.track.settle(b.pos, s.ts, s.value, s.n) {
	case early:
		if s.ts > l.last+farthest.Milliseconds() {
			l.counters.overflow.Add(1)
			return
		}
		s.track = b.track
		l.strays = append(l.strays, s)
	case amended:
		l.counters.late.Add(1)
	case tooLate:
		l.counters.tooLate.Add(1)
	}
}
