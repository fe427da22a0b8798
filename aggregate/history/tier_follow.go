package history

import (
	"cmp"
	"slices"
)

// lateBlockRows is from how many late rows on a block's late windows are dirty as a whole: to look
// for their series would cost more than it saves.
const lateBlockRows = 50_000

// touchedWindow is one of the finest windows that a block's rows lie in.
type touchedWindow struct {
	start int64 // ms
	rows  int
}

// follow enters a stored block in the ledgers, and its sorted rows in the queue. It returns rows to
// use for the next block. It is called before the block is acknowledged, so that a reader who knows
// of the acknowledgement finds the windows that it makes stale.
func (f *filler) follow(b *block, sorted rows) rows {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.signal(f.wake)
	fits := f.queued+sorted.len() <= f.w.cfg.MaxTierRows
	f.enterLocked(b, &sorted, fits)
	if !fits {
		f.w.metrics.tierOverflows.Inc()
		return sorted
	}
	f.queued += sorted.len()
	f.queue = append(f.queue, followed{rows: sorted, sealed: b.sealed.UnixMilli()})
	taken := f.free
	f.free = rows{}
	return taken
}

// recycle keeps the memory of a followed block for another one.
func (f *filler) recycle(r rows) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cap(r.series) > cap(f.free.series) {
		r.reset()
		f.free = r
	}
}

// enterLocked enters the windows that a block touched in the ledgers: a window that has not ended is
// open, or dirty where its sums in memory will not be complete; one that has ended is dirty.
func (f *filler) enterLocked(b *block, sorted *rows, fits bool) {
	f.last, f.cache = b.number, nil
	lateRows := 0
	for _, t := range b.windows {
		if f.isLate(t.start) {
			lateRows += t.rows
		}
	}
	now := b.sealed.UnixMilli()
	listed := map[int64]lateWindow{}
	for _, t := range b.windows {
		late := f.isLate(t.start)
		spoil := !fits || t.start > now+aheadMS || late && (t.rows > maxListedSeries || lateRows > lateBlockRows)
		entries := f.touchLocked(t.start, b.number, now, spoil)
		if late && entries != (lateWindow{}) {
			listed[t.start] = entries
		}
	}
	if len(listed) > 0 {
		f.listLocked(listed, sorted, now)
	}
}

func (f *filler) isLate(window int64) bool { return window+windowMS <= f.closing }

// lateWindow are a window's entries in each ledger, nil where no series has to be listed.
type lateWindow [len(tiers)]*pending

// touchLocked enters one of the finest windows, and those that it lies in. It returns the entries that
// are not dirty as a whole.
func (f *filler) touchLocked(start int64, block uint32, now int64, spoil bool) (listed lateWindow) {
	for i := range f.ledgers {
		l := &f.ledgers[i]
		window := l.windowOf(start)
		if window+l.step <= now-f.w.cfg.retention(i).Milliseconds() {
			continue
		}
		p := l.windows[window]
		if p == nil {
			p = &pending{first: block, open: window >= f.floor && window+l.step > f.closing}
			l.windows[window] = p
			spoil = spoil || window < f.floor && window+l.step > f.closing
		}
		if spoil = spoil || p.whole; spoil {
			l.spoil(p, now)
		} else {
			listed[i] = p
		}
	}
	return listed
}

// listLocked lists the series of late rows.
func (f *filler) listLocked(listed map[int64]lateWindow, sorted *rows, now int64) {
	for row, ts := range sorted.ts {
		if ts >= f.closing || isMarker(sorted.series[row]) {
			continue
		}
		for i, p := range listed[floorTo(ts, windowMS)] {
			if p != nil {
				f.ledgers[i].list(p, sorted.series[row], now)
			}
		}
	}
}

// touchedWindows counts a block's rows by window.
func touchedWindows(ts []int64) []touchedWindow {
	var touched []touchedWindow
	place := map[int64]int{}
	var current Range
	at := 0
	for _, t := range ts {
		if t < current.From || t >= current.To {
			start := floorTo(t, windowMS)
			current = Range{start, start + windowMS}
			known := false
			if at, known = place[start]; !known {
				at = len(touched)
				place[start] = at
				touched = append(touched, touchedWindow{start: start})
			}
		}
		touched[at].rows++
	}
	slices.SortFunc(touched, func(a, b touchedWindow) int { return cmp.Compare(a.start, b.start) })
	return touched
}
