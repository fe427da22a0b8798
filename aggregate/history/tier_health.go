package history

import "time"

// TierHealth is how far a tier has followed raw.
type TierHealth struct {
	Table   string
	Step    time.Duration
	Through time.Time     // windows that end by then are in the tier, but for those that are to be recomputed
	Dirty   int64         // windows that have ended and are to be recomputed
	Waiting time.Duration // for how long the one of them that waits longest has been ready for that
	Failure *Failure      // the last one; nil: none
}

// Failure is what ClickHouse would not do.
type Failure struct {
	At    time.Time
	Error string
}

func newFailure(at time.Time, err error) *Failure { return &Failure{At: at, Error: err.Error()} }

// Tiers returns how far each tier is, the finest first; nil before the start is settled.
func (w *Writer) Tiers() []TierHealth { return w.filler.health() }

// Failure returns the last failure to store a block, nil where there was none.
func (w *Writer) Failure() *Failure {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failure
}

// failed notes that a block could not be stored.
func (w *Writer) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failure = newFailure(w.cfg.now(), err)
}

// failed notes that a statement for a tier was not done.
func (f *filler) failed(i int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ledgers[i].failure = newFailure(f.w.cfg.now(), err)
}

func (f *filler) health() []TierHealth {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.settled {
		return nil
	}
	now := f.w.cfg.now().UnixMilli()
	all := make([]TierHealth, len(tiers))
	for i := range f.ledgers {
		l := &f.ledgers[i]
		windows, since := l.waiting(f.begun, now)
		all[i] = TierHealth{
			Table: l.table, Step: time.Duration(l.step) * time.Millisecond, Through: time.UnixMilli(l.through),
			Dirty: windows, Waiting: time.Duration(now-since) * time.Millisecond, Failure: l.failure,
		}
	}
	return all
}

// waiting counts the windows that have ended and are to be recomputed, and says since when (ms) the one of them waits
// that waits longest; of the backlog that is since begun.
func (l *ledger) waiting(begun, now int64) (windows, since int64) {
	since = now
	count := func(window int64, p *pending) {
		if p.dirty() && window+l.step <= l.through {
			windows++
			since = min(since, max(p.since, window+l.step))
		}
	}
	for window, p := range l.windows {
		count(window, p)
	}
	backlog := l.backlog
	if l.repairing != nil {
		for window, p := range l.repairing.taken {
			count(window, p)
		}
		backlog = append(rangeSet{l.repairing.part}, backlog...)
	}
	for _, r := range backlog {
		if ended := (min(r.To, l.through) - r.From) / l.step; ended > 0 {
			windows += ended
			since = min(since, max(begun, r.From+l.step))
		}
	}
	return windows, since
}
