package history

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"telltale/aggregate"
)

const (
	// windowMS is the length of the finest windows, those that blocks are followed by.
	windowMS = 10_000
	// aheadMS is more than samples may lie in the future. For as long, windows may have samples of an earlier run.
	aheadMS = 61_000
)

// filler sums up in passing what blocks bring to storage, and writes each tier's windows when they
// have ended. A window that it cannot vouch for is dirty: the repairer recomputes it.
//
// It gets each block after it is stored. Its queue is bounded in rows (Config.MaxTierRows); a block
// that finds it full is not followed, and its windows are dirty. Nothing waits for the filler.
type filler struct {
	w        *Writer
	wake     chan struct{} // buffered, 1: there may be a block to follow
	fix      chan struct{} // buffered, 1: there may be a window to repair
	sums     [len(tiers)]sums
	recorded [len(tiers)]uint32 // the checkpoints that are in storage; used by run alone, as sums are

	statements atomic.Uint64 // that have been given a query id

	mu      sync.Mutex // guards what follows; taken after Writer.mu where both are, and never held in a wait
	settled bool       // the past is in the ledgers
	begun   int64      // ms: when the writer was ready
	floor   int64      // ms: windows that begin earlier may have samples of an earlier run
	closing int64      // ms: windows that end by then take no more rows: what comes for them is late
	last    uint32     // the last block that the ledgers know of
	queue   []followed
	queued  int  // rows in queue
	free    rows // memory for the next block
	ledgers [len(tiers)]ledger
	cache   []TierState // of states, nil when it has changed
}

// followed is a stored block.
type followed struct {
	rows   rows  // sorted by series and time; markers come first
	sealed int64 // ms
}

func newFiller(w *Writer) *filler {
	f := &filler{w: w, wake: make(chan struct{}, 1), fix: make(chan struct{}, 1)}
	for i := range tiers {
		f.ledgers[i] = ledger{tier: tiers[i], windows: map[int64]*pending{}}
		f.sums[i].open = map[int64]*accumulator{}
	}
	return f
}

// start fixes from when on the filler can vouch for windows. No earlier run stores anything any more.
func (f *filler) start(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun, f.closing = now.UnixMilli(), f.limit(now)
	f.floor = ceilTo(now.UnixMilli()+aheadMS, windowMS)
	for i := range f.ledgers {
		f.ledgers[i].through = f.ledgers[i].windowOf(f.closing)
	}
}

// limit is the time up to which windows have ended when all is stored that was taken before t.
func (f *filler) limit(t time.Time) int64 {
	return floorTo(t.Add(-f.w.cfg.TierGrace).UnixMilli(), windowMS)
}

// run follows blocks until ctx ends.
func (f *filler) run(ctx context.Context) {
	tick := time.NewTicker(f.w.cfg.fillEvery)
	defer tick.Stop()
	for f.step(ctx) == nil {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-tick.C:
		}
	}
}

// step follows the blocks that wait, and writes the windows that have ended.
func (f *filler) step(ctx context.Context) error {
	stored := f.w.storedUntil() // read first: what was taken before is then in the queue, or followed
	f.mu.Lock()
	queue := f.queue
	f.queue, f.queued = nil, 0
	late := f.closing
	f.closing = max(f.closing, f.limit(stored))
	ended := f.closing > late
	f.mu.Unlock()

	for i := range queue {
		f.addBlock(&queue[i], late)
		f.recycle(queue[i].rows)
	}
	if !ended {
		return nil
	}
	for i := range tiers {
		if err := f.closeWindows(ctx, i); err != nil {
			return err
		}
	}
	if err := f.recordProgress(ctx); err != nil {
		return err
	}
	f.signal(f.fix)
	return nil
}

// closeWindows writes the windows of a tier that have ended, the oldest first, and adds them to the next tier's.
func (f *filler) closeWindows(ctx context.Context, i int) error {
	for _, window := range f.endedWindows(i) {
		if sum := f.sums[i].open[window]; sum != nil && f.vouched(i, window) {
			if err := f.write(ctx, i, window, sum.cells); err != nil {
				return err
			}
			if i+1 < len(tiers) {
				f.sums[i+1].at(tiers[i+1].windowOf(window)).addCells(sum.cells)
			}
		}
		f.sums[i].end(window)
		f.mu.Lock()
		f.ledgers[i].close(window)
		f.mu.Unlock()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &f.ledgers[i]
	l.through = l.windowOf(f.closing)
	l.forget(f.w.cfg.now().Add(-f.w.cfg.retention(i)).UnixMilli())
	l.bound()
	f.cache = nil
	return nil
}

// giveUp has a window recomputed that is being summed up, and those that it lies in.
func (f *filler) giveUp(window int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.touchLocked(window, f.last, f.closing, true)
	f.cache = nil
}

// endedWindows are those being summed up that have ended, sorted.
func (f *filler) endedWindows(i int) []int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &f.ledgers[i]
	var ended []int64
	for window, p := range l.windows {
		if p.open && window+l.step <= f.closing {
			ended = append(ended, window)
		}
	}
	slices.Sort(ended)
	return ended
}

// vouched says whether the sums in memory have all that was not late.
func (f *filler) vouched(i int, window int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.ledgers[i].windows[window]
	return p != nil && p.open && !p.whole
}

func (f *filler) signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// states is Writer.TierStates.
func (f *filler) states() []TierState {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.settled {
		return nil
	}
	if f.cache == nil {
		for i := range f.ledgers {
			l := &f.ledgers[i]
			f.cache = append(f.cache, TierState{
				Step: aggregate.Step(l.step), Through: l.through, Stale: l.dirty().joined(maxStaleRanges),
			})
		}
	}
	return f.cache
}

// tierFigures is the state of a tier in numbers.
type tierFigures struct{ windows, throughSeconds float64 }

func (f *filler) dirtyWindows() (figures [len(tiers)]tierFigures) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.ledgers {
		l := &f.ledgers[i]
		figures[i] = tierFigures{float64(l.dirty().total() / l.step), float64(l.through) / 1000}
	}
	return figures
}
