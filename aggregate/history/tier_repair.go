package history

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	minRepairWindows = 6
	maxRepairWindows = 360
	// A statement that takes longer than slowRepair is followed by a smaller one, one that takes less than a fourth of it by a larger one.
	slowRepair = 4 * time.Second
	// repairTimeout bounds one statement.
	repairTimeout = 10 * time.Minute
	// quietMS is for how long no block must have touched a dirty window before it is recomputed, and patienceMS after
	// how long it is all the same: samples of an outage come for minutes on end.
	quietMS    = 5_000
	patienceMS = 120_000
)

// repair is one statement that recomputes windows of a tier.
type repair struct {
	Range
	tier   int
	series []uint64           // sorted; empty: all
	taken  map[int64]*pending // what it makes up for
	part   Range              // of the backlog, empty where none
	first  uint32             // the first block that it makes up for, 0 where there is none of this hub
}

func (r *repair) overlaps(o Range) bool { return r.From < o.To && o.From < r.To }

// repairer recomputes dirty windows, one statement at a time, and rests as long as each took.
type repairer struct {
	f       *filler
	windows int // the most that the next statement takes
}

// run first reads what earlier hubs have left, and then repairs until ctx ends.
func (r *repairer) run(ctx context.Context) {
	past, err := r.f.settleTiers(ctx)
	if err != nil {
		return
	}
	tick := time.NewTicker(r.f.w.cfg.fillEvery)
	defer tick.Stop()
	for {
		for r.f.w.Behind() == "" {
			job := r.f.nextRepair(r.windows)
			if job == nil {
				break
			}
			if err := r.do(ctx, job); err != nil {
				return
			}
		}
		if err := past.finish(ctx, r.f); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-r.f.fix:
		case <-tick.C:
		}
	}
}

// do runs a job and rests. It returns an error only when ctx has ended.
func (r *repairer) do(ctx context.Context, job *repair) error {
	began := time.Now()
	err := r.f.recompute(ctx, job)
	took := time.Since(began)
	r.f.finishRepair(job, err == nil)
	if err != nil && ctx.Err() == nil {
		r.f.failed(job.tier, err)
		r.f.w.log.Warn("windows of a tier are not recomputed yet; it is tried again", "tier", tiers[job.tier].table, "error", err)
		took = max(took, maxRetry)
	}
	switch {
	case err != nil || took > slowRepair:
		r.windows = max(minRepairWindows, r.windows/2)
	case took < slowRepair/4:
		r.windows = min(maxRepairWindows, r.windows*2)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(took):
		return nil
	}
}

func (f *filler) recompute(ctx context.Context, job *repair) error {
	ctx, cancel := context.WithTimeout(ctx, repairTimeout)
	defer cancel()
	t := &tiers[job.tier]
	if err := f.w.conn.Exec(f.queryID(ctx), recomputeSQL(t, job.Range, job.series)); err != nil {
		return fmt.Errorf("recompute %s from %s: %w", t.table, t.source, err)
	}
	return f.w.syncTable(ctx, t.table)
}

// nextRepair takes out of the ledgers what the next statement recomputes, or returns nil. Coarse
// windows come first: there are few, and they are there to be repaired only when the finer ones are not.
func (f *filler) nextRepair(windows int) *repair {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(tiers) - 1; i >= 0; i-- {
		job := f.takeWindowsLocked(i, windows)
		if job == nil {
			job = f.takeBacklogLocked(i, windows)
		}
		if job != nil {
			f.ledgers[i].repairing, f.cache = job, nil
			return job
		}
	}
	return nil
}

// repairable says whether the window can be recomputed now, as far as its source goes.
func (f *filler) repairableLocked(i int, window int64) bool {
	r := Range{window, window + tiers[i].step}
	return r.To <= f.ledgers[i].through && (i == 0 || !f.ledgers[i-1].lacks(r))
}

// takeWindowsLocked takes the newest dirty windows: a run of whole ones, or those within reach whose late series fit.
func (f *filler) takeWindowsLocked(i, windows int) *repair {
	l := &f.ledgers[i]
	due := func(window int64) bool {
		p := l.windows[window]
		quiet := p.last+quietMS <= f.closing || p.since+patienceMS <= f.closing
		return p.dirty() && !p.open && quiet && f.repairableLocked(i, window)
	}
	var job *repair
	for _, window := range slices.Backward(slices.Sorted(maps.Keys(l.windows))) {
		if !due(window) {
			continue
		}
		p := l.windows[window]
		if job == nil {
			job = &repair{Range: Range{window, window + l.step}, tier: i, taken: map[int64]*pending{}}
		} else if !job.admits(window, p, l.step, windows) {
			break
		}
		job.take(window, p)
		l.drop(window)
	}
	return job
}

// admits says whether the next older window can be recomputed along with those taken.
func (r *repair) admits(window int64, p *pending, step int64, windows int) bool {
	whole := len(r.series) == 0
	return r.To-window <= int64(windows)*step && p.whole == whole &&
		(whole && window+step == r.From || !whole && len(r.series)+len(p.late) <= maxListedSeries)
}

func (r *repair) take(window int64, p *pending) {
	r.From = window
	r.taken[window] = p
	r.series = append(r.series, p.late...)
	slices.Sort(r.series)
	r.series = slices.Compact(r.series)
	if r.first == 0 || p.first < r.first {
		r.first = p.first
	}
}

// takeBacklogLocked takes the newest part of the backlog.
func (f *filler) takeBacklogLocked(i, windows int) *repair {
	l := &f.ledgers[i]
	for _, r := range slices.Backward(l.backlog) {
		end := min(r.To, l.through)
		for end > r.From && !f.repairableLocked(i, end-l.step) {
			end -= l.step
		}
		start := end
		for start > r.From && end-start < int64(windows)*l.step && f.repairableLocked(i, start-l.step) {
			start -= l.step
		}
		if start < end {
			part := Range{start, end}
			job := &repair{Range: part, tier: i, part: part, first: l.backlogFirst}
			l.backlog.remove(part)
			return job
		}
	}
	return nil
}

// finishRepair gives back what was taken where the statement has failed.
func (f *filler) finishRepair(job *repair, done bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &f.ledgers[job.tier]
	l.repairing, f.cache = nil, nil
	if done {
		f.w.metrics.tierRepaired.WithLabelValues(l.table).Add(float64((job.To - job.From) / l.step))
		return
	}
	if l.backlog.add(job.part); job.part != (Range{}) {
		l.remember(job.first)
	}
	for window, p := range job.taken {
		l.putBack(window, p)
	}
}
