package history

import (
	"context"
	"time"
)

const (
	diskCheckEvery = 15 * time.Second
	retentionEvery = time.Hour
)

// Why the history is behind.
const (
	BehindSlow = "slow"      // ClickHouse is slow or away
	BehindDisk = "disk_full" // its disk is nearly full
)

// behindAfter is how long samples may wait before the history is behind. Agents have eight seconds' worth in flight at
// least; once they have, they are not read any more, and the live dashboards stand still.
const behindAfter = 6 * time.Second

// Behind says why nothing more should be sent for storing, or "" where all is well. It begins when
// samples have waited for long, half of the bound on those unstored is used or the disk runs low, and
// ends when little is left: in between, coming and going would cost more than waiting.
func (w *Writer) Behind() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	level, waiting := w.levelLocked(), w.waitingLocked()
	w.behind = level > 0.5 || waiting > behindAfter || w.behind && (level > 0.1 || waiting > behindAfter/4)
	switch {
	case w.lowDisk:
		return BehindDisk
	case w.behind:
		return BehindSlow
	}
	return ""
}

// Waiting is how long the oldest sample has waited that is taken and not stored.
func (w *Writer) Waiting() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waitingLocked()
}

func (w *Writer) waitingLocked() time.Duration {
	switch {
	case !w.storing.IsZero():
		return time.Since(w.storing)
	case len(w.sealed) > 0:
		return time.Since(w.sealed[0].opened)
	case w.open != nil:
		return time.Since(w.open.opened)
	}
	return 0
}

// UnstoredBytes is the memory held by samples that are taken and not stored.
func (w *Writer) UnstoredBytes() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unstored
}

// Level is how much of the bound on unstored samples is used, from 0 to 1.
func (w *Writer) Level() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.levelLocked()
}

func (w *Writer) levelLocked() float64 { return float64(w.unstored) / float64(w.cfg.MaxUnstoredBytes) }

// keepHouse watches the disk and drops what retention has passed, until ctx ends.
func (w *Writer) keepHouse(ctx context.Context) {
	disk, retention := time.NewTicker(diskCheckEvery), time.NewTicker(retentionEvery)
	defer disk.Stop()
	defer retention.Stop()
	w.checkDisk(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-disk.C:
			w.checkDisk(ctx)
		case <-retention.C:
			w.dropOld(ctx)
		}
	}
}

func (w *Writer) checkDisk(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var free uint64
	if err := w.conn.QueryRow(ctx, "SELECT min(unreserved_space) FROM system.disks").Scan(&free); err != nil {
		return // a ClickHouse that is away shows in the queue
	}
	low := free < uint64(w.cfg.MinFreeBytes)
	w.mu.Lock()
	changed := low != w.lowDisk
	w.lowDisk = low
	w.mu.Unlock()
	if changed && low {
		w.log.Error("ClickHouse's disk is nearly full; nothing is stored until there is room", "free_bytes", free, "floor_bytes", w.cfg.MinFreeBytes)
	} else if changed {
		w.log.Info("ClickHouse's disk has room again", "free_bytes", free)
	}
}
