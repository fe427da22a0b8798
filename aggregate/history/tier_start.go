package history

import (
	"context"
	"fmt"
	"time"
)

// tierPast is what earlier hubs have left to do for the tiers.
type tierPast struct {
	hubs     map[uint32]uint32 // the last stored block of each earlier hub
	recorded [len(tiers)]bool  // storage knows that a tier has all of it
	logged   time.Time
}

// allHubs is the hub of a checkpoint that says: what was stored before there were checkpoints is in the tier.
const allHubs = 0

// settleTiers enters in the ledgers the windows that earlier hubs' blocks touched and that a tier may
// lack. From then on TierStates has an answer.
func (f *filler) settleTiers(ctx context.Context) (*tierPast, error) {
	past := &tierPast{logged: time.Now()}
	var backlog [len(tiers)]rangeSet
	err := f.w.retry(ctx, func() (err error) {
		if past.hubs, err = f.earlierHubs(ctx); err != nil {
			return err
		}
		for i := range tiers {
			if backlog[i], err = f.readBacklog(ctx, i); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for finer := range tiers {
		for i := finer; i < len(tiers); i++ { // what a tier is summed up from is recomputed first
			for _, r := range backlog[finer] {
				f.ledgers[i].backlog.add(tiers[i].cover(r))
			}
		}
	}
	f.settled, f.cache = true, nil
	return past, nil
}

// earlierHubs returns the last block of every hub that has blocks in storage, but for this one.
func (f *filler) earlierHubs(ctx context.Context) (map[uint32]uint32, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	found, err := f.w.conn.Query(ctx, `SELECT toUInt32(bitShiftRight(series, 32)) AS hub, toUInt32(bitAnd(max(series), 4294967295))
		FROM raw WHERE series < 9223372036854775808 AND hub != ? GROUP BY hub`, f.w.hub)
	if err != nil {
		return nil, fmt.Errorf("find the blocks of earlier hubs: %w", err)
	}
	defer func() { _ = found.Close() }()
	last := map[uint32]uint32{}
	for found.Next() {
		var hub, block uint32
		if err := found.Scan(&hub, &block); err != nil {
			return nil, fmt.Errorf("find the blocks of earlier hubs: %w", err)
		}
		last[hub] = block
	}
	return last, found.Err()
}

// readBacklog returns the windows that a tier may lack.
func (f *filler) readBacklog(ctx context.Context, i int) (rangeSet, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	var followed uint64
	err := f.w.conn.QueryRow(ctx, "SELECT count() FROM tier_progress WHERE tier = ? AND hub = ?", tiers[i].table, uint32(allHubs)).Scan(&followed)
	if err != nil {
		return nil, fmt.Errorf("read the tiers' progress: %w", err)
	}
	keptSince := f.w.cfg.now().Add(-f.w.cfg.retention(i)).UnixMilli()
	if followed == 0 {
		return f.allOfRaw(ctx, i, keptSince)
	}
	return f.unfollowed(ctx, i, keptSince)
}

// allOfRaw is for a history that is older than its tiers.
func (f *filler) allOfRaw(ctx context.Context, i int, keptSince int64) (rangeSet, error) {
	var rows uint64
	var oldest, newest int64
	err := f.w.conn.QueryRow(ctx, `SELECT count(), toUnixTimestamp64Milli(min(ts)), toUnixTimestamp64Milli(max(ts))
		FROM raw WHERE series >= 9223372036854775808 AND ts >= fromUnixTimestamp64Milli(?)`, keptSince).Scan(&rows, &oldest, &newest)
	if err != nil || rows == 0 {
		return nil, err
	}
	f.w.log.Info("summing up the history from raw, in the background", "tier", tiers[i].table,
		"from", time.UnixMilli(oldest).UTC(), "to", time.UnixMilli(newest).UTC())
	return rangeSet{tiers[i].cover(Range{oldest, newest + 1})}, nil
}

// unfollowed are the windows of blocks after each hub's checkpoint. Markers come first in raw, and name
// the windows that a block touched.
func (f *filler) unfollowed(ctx context.Context, i int, keptSince int64) (rangeSet, error) {
	found, err := f.w.conn.Query(ctx, `SELECT DISTINCT intDiv(toUnixTimestamp64Milli(raw.ts), ?) AS window
		FROM raw LEFT JOIN (SELECT hub, max(block) AS followed FROM tier_progress WHERE tier = ? GROUP BY hub) AS checkpoints
			ON toUInt32(bitShiftRight(raw.series, 32)) = checkpoints.hub
		WHERE raw.series < 9223372036854775808 AND toUInt32(bitShiftRight(raw.series, 32)) != ?
			AND bitAnd(raw.series, 4294967295) > checkpoints.followed
			AND raw.value > 0 AND raw.ts >= fromUnixTimestamp64Milli(?)`, tiers[i].step, tiers[i].table, f.w.hub, keptSince)
	if err != nil {
		return nil, fmt.Errorf("find windows that no hub has summed up: %w", err)
	}
	defer func() { _ = found.Close() }()
	var ranges []Range
	for found.Next() {
		var window int64
		if err := found.Scan(&window); err != nil {
			return nil, fmt.Errorf("find windows that no hub has summed up: %w", err)
		}
		ranges = append(ranges, Range{window * tiers[i].step, (window + 1) * tiers[i].step})
	}
	return union(ranges), found.Err()
}

// finish records that a tier has all that earlier hubs stored, once it has.
func (p *tierPast) finish(ctx context.Context, f *filler) error {
	for i := range tiers {
		if p.recorded[i] {
			continue
		}
		if left, ended := f.backlogWindows(i); left > 0 {
			p.progress(f, i, ended)
			continue
		}
		rows := []checkpoint{{tiers[i].table, allHubs, 1}}
		for hub, block := range p.hubs {
			rows = append(rows, checkpoint{tiers[i].table, hub, block})
		}
		if err := f.w.retry(ctx, func() error { return f.record(ctx, rows) }); err != nil {
			return err
		}
		p.recorded[i] = true
	}
	return nil
}

func (p *tierPast) progress(f *filler, i int, ended int64) {
	if ended > 0 && time.Since(p.logged) > time.Minute {
		p.logged = time.Now()
		f.w.log.Info("still summing up what earlier runs stored", "tier", tiers[i].table, "windows_left", ended)
	}
}

// backlogWindows is how many windows of the backlog have yet to be recomputed, and how many of them have ended.
func (f *filler) backlogWindows(i int) (left, ended int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &f.ledgers[i]
	for _, r := range l.backlog {
		left += (r.To - r.From) / l.step
		ended += max(0, min(r.To, l.through)-r.From) / l.step
	}
	if l.repairing != nil {
		taken := (l.repairing.part.To - l.repairing.part.From) / l.step
		left, ended = left+taken, ended+taken
	}
	return left, ended
}
