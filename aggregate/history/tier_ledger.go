package history

import (
	"math"
	"slices"
)

const (
	// maxListedSeries bounds the late series that are remembered of one window, and so those of one
	// statement; beyond it the whole window is recomputed.
	maxListedSeries = 1000
	// maxListedInAll bounds them over all windows of a tier.
	maxListedInAll = 100_000
	// maxPending bounds the windows that are remembered one by one; beyond it they go to the backlog.
	maxPending = 20_000
)

// ledger knows which windows of one tier do not have all that blocks brought. A window enters with
// the first block that touches it, and leaves once the tier has it.
type ledger struct {
	tier
	through int64 // ms: windows that end by then are in the tier, but for what is dirty
	windows map[int64]*pending
	listed  int // series in the lists of windows

	// backlog is what an earlier hub has not vouched for, and what is too much to remember window by
	// window; backlogFirst is the first block of this hub that it stands for, 0 where there is none.
	backlog      rangeSet
	backlogFirst uint32

	repairing *repair  // the one under way
	failure   *Failure // the last one
}

// pending is a window that the tier lacks, or part of it.
type pending struct {
	first uint32 // the first block whose rows the tier may lack
	open  bool   // it is summed up in memory
	whole bool   // every series has to be recomputed, else those listed
	late  []uint64
	since int64 // ms, when it became dirty, and
	last  int64 // when a block last made it so
}

// dirty says whether the window is recomputed once it has ended.
func (p *pending) dirty() bool { return p.whole || len(p.late) > 0 }

// spoil has the whole window recomputed.
func (l *ledger) spoil(p *pending, now int64) {
	l.mark(p, now)
	l.listed -= len(p.late)
	p.whole, p.late = true, nil
}

// list has one more series of the window recomputed.
func (l *ledger) list(p *pending, series uint64, now int64) {
	if p.whole {
		return
	}
	at, listed := slices.BinarySearch(p.late, series)
	if listed {
		return
	}
	if len(p.late) == maxListedSeries || l.listed == maxListedInAll {
		l.spoil(p, now)
		return
	}
	l.mark(p, now)
	p.late = slices.Insert(p.late, at, series)
	l.listed++
}

func (l *ledger) mark(p *pending, now int64) {
	if !p.dirty() {
		p.since = now
	}
	p.last = now
}

// close is called when a window's sums are in the tier, or given up.
func (l *ledger) close(window int64) {
	if p := l.windows[window]; p != nil {
		p.open = false
		if !p.dirty() {
			delete(l.windows, window)
		}
	}
}

// bound moves windows to the backlog when there are too many.
func (l *ledger) bound() {
	if len(l.windows) <= maxPending {
		return
	}
	var moved []Range
	for window, p := range l.windows {
		if p.open || !p.dirty() {
			continue
		}
		moved = append(moved, Range{window, window + l.step})
		l.remember(p.first)
		l.drop(window)
	}
	for _, r := range union(moved) {
		l.backlog.add(r)
	}
}

// remember has the backlog stand for a block of this hub.
func (l *ledger) remember(first uint32) {
	if first != 0 && (l.backlogFirst == 0 || first < l.backlogFirst) {
		l.backlogFirst = first
	}
}

func (l *ledger) drop(window int64) {
	l.listed -= len(l.windows[window].late)
	delete(l.windows, window)
}

// forget drops what ended before the limit (ms): the tier no longer keeps it.
func (l *ledger) forget(limit int64) {
	for window, p := range l.windows {
		if window+l.step <= limit && !p.open {
			l.drop(window)
		}
	}
	l.backlog.remove(Range{math.MinInt64, floorTo(limit, l.step)})
}

// lacks says whether the tier may lack something of r.
func (l *ledger) lacks(r Range) bool {
	if r.To > l.through || l.backlog.overlaps(r) || l.repairing != nil && l.repairing.overlaps(r) {
		return true
	}
	for window := floorTo(r.From, l.step); window < r.To; window += l.step {
		if l.windows[window] != nil {
			return true
		}
	}
	return false
}

// dirty is all the time that is not in the tier as raw has it, up to through.
func (l *ledger) dirty() rangeSet {
	ranges := slices.Clone(l.backlog)
	for window, p := range l.windows {
		if p.dirty() {
			ranges = append(ranges, Range{window, window + l.step})
		}
	}
	if l.repairing != nil {
		ranges = append(ranges, l.repairing.Range)
	}
	return union(ranges)
}

// complete is the last block of which the tier has every window, given the last block followed.
func (l *ledger) complete(last uint32) uint32 {
	first := last + 1
	lower := func(block uint32) {
		if block != 0 {
			first = min(first, block)
		}
	}
	for _, p := range l.windows {
		lower(p.first)
	}
	if len(l.backlog) > 0 {
		lower(l.backlogFirst)
	} else {
		l.backlogFirst = 0
	}
	if l.repairing != nil {
		lower(l.repairing.first)
	}
	return first - 1
}

// putBack enters what a failed repair had taken, beside what has come since.
func (l *ledger) putBack(window int64, p *pending) {
	since := l.windows[window]
	if since == nil {
		l.windows[window] = p
		l.listed += len(p.late)
		return
	}
	since.first = min(since.first, p.first)
	since.since = min(since.since, p.since)
	if p.whole {
		l.spoil(since, p.last)
	}
	for _, series := range p.late {
		l.list(since, series, p.last)
	}
}
