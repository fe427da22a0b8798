package history

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"telltale/aggregate"
)

// queryTimeout bounds our own small reads.
const queryTimeout = 30 * time.Second

const (
	minRetry = 100 * time.Millisecond
	maxRetry = 10 * time.Second
)

// store writes a block until it is stored. An attempt whose outcome is unknown is settled by
// looking before the next one. What ClickHouse will never take is set aside, batch by batch. It
// returns an error only when ctx has ended; then the block is in doubt, and the next hub settles it.
func (w *Writer) store(ctx context.Context, b *block) error {
	began := time.Now()
	w.number(b)
	for attempt := 1; ; attempt++ {
		err := w.insert(ctx, b, attempt)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		w.metrics.doubts.Inc()
		if !isPoison(err) {
			w.failed(err)
		}
		w.log.Warn("a block is in doubt", "block", b.number, "attempt", attempt, "error", err)
		stored, settleErr := w.settle(ctx, b)
		if settleErr != nil {
			return settleErr
		}
		w.log.Info("the doubt is settled", "block", b.number, "stored", stored)
		if stored {
			break
		}
		if isPoison(err) {
			return w.setAside(ctx, b, err)
		}
	}
	w.metrics.storeSeconds.Observe(time.Since(began).Seconds())
	w.passed(b, false)
	return nil
}

// number gives a block its place in the order of storing, its manifest, and its sorted rows
// behind the markers, which have the smallest id of all.
func (w *Writer) number(b *block) {
	w.mu.Lock()
	w.blocks++
	b.number = w.blocks
	b.manifest = b.manifest[:0]
	for i := range b.passes {
		w.enterLocked(b, &b.passes[i])
	}
	w.mu.Unlock()
	b.windows = touchedWindows(b.rows.ts)
	w.sorted.reset()
	marker := markerID(w.hub, b.number)
	for _, t := range b.windows {
		w.sorted.append(marker, t.start, float64(t.rows), 1)
	}
	if len(b.windows) == 0 {
		w.sorted.append(marker, b.day.UnixMilli(), 0, 1)
	}
	w.sorter.sort(&w.sorted, &b.rows)
}

func (w *Writer) enterLocked(b *block, p *pass) {
	e := w.agents[p.agent].epochs[p.epoch] // kept as long as something of it is pending
	if e.block != b.number {
		e.block, e.row = b.number, len(b.manifest)
		e.version++
		b.manifest = append(b.manifest, manifestRow{p.agent, p.epoch, e.version, p.fromSeq, p.toSeq})
	}
	b.manifest[e.row].toSeq = p.toSeq
}

// passed counts a block that is out of the way, and tells whose batches it held.
func (w *Writer) passed(b *block, quarantined bool) {
	w.sorted = w.filler.follow(b, w.sorted)
	progress := make([]aggregate.Progress, len(b.manifest))
	w.mu.Lock()
	if !b.halved {
		w.followed = b.sealed
	}
	w.unstored -= b.bytes
	if cap(b.rows.series) > cap(w.free.series) {
		w.free = b.rows
	}
	for i := range b.manifest {
		m := &b.manifest[i]
		progress[i] = aggregate.Progress{Agent: m.agent, Epoch: m.epoch, Seq: m.toSeq, Quarantined: quarantined}
		w.agents[m.agent].epochs[m.epoch].stored = m.toSeq
	}
	w.mu.Unlock()
	w.metrics.blocks.Inc()
	w.metrics.rows.Add(float64(b.rows.len()))
	w.onStored(progress)
}

// settle finds out whether a block is stored: it ends this hub's inserts, so that nothing changes
// any more, and looks for the marker. It tries until ClickHouse has answered both.
func (w *Writer) settle(ctx context.Context, b *block) (stored bool, err error) {
	err = w.retry(ctx, func() error {
		if err := w.killInserts(ctx, fmt.Sprintf("%s%d-", queryIDPrefix, w.hub)); err != nil {
			return err
		}
		found, err := w.findMarkers(ctx, []uint64{markerID(w.hub, b.number)})
		if err != nil {
			return err
		}
		stored = len(found) == 1
		if !stored {
			return nil
		}
		return w.syncTable(ctx, "raw")
	})
	return stored, err
}

// retry calls f with a jittered, growing pause until it succeeds or ctx ends.
func (w *Writer) retry(ctx context.Context, f func() error) error {
	for pause := minRetry; ; pause = min(2*pause, maxRetry) {
		err := f()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		w.log.Warn("the history has to wait", "error", err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
	}
}

// killInserts ends the inserts whose query id begins with prefix, and waits until they have ended.
// An embedded server that cannot do it in time is restarted, which ends them as well: KILL QUERY can wait
// for a client that is connected and silent, and a server that hangs takes connections and says nothing.
func (w *Writer) killInserts(ctx context.Context, prefix string) error {
	kill, cancel := context.WithTimeout(ctx, w.cfg.KillTimeout)
	defer cancel()
	err := w.killAndCount(kill, prefix)
	for kill.Err() == nil && isSilence(err) {
		err = w.killAndCount(kill, prefix)
	}
	if err == nil || w.server == nil || !errors.Is(kill.Err(), context.DeadlineExceeded) {
		return err
	}
	w.log.Warn("restarting ClickHouse, which cannot end an insert", "after", w.cfg.KillTimeout, "error", err)
	if err := w.server.Restart(ctx); err != nil {
		return fmt.Errorf("restart ClickHouse: %w", err)
	}
	return nil
}

// isSilence tells a server that does not answer from one that is away: that one comes back by itself.
func isSilence(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

func (w *Writer) killAndCount(ctx context.Context, prefix string) error {
	const ours = "current_database = currentDatabase() AND startsWith(query_id, ?)"
	if err := w.conn.Exec(ctx, "KILL QUERY WHERE "+ours+" SYNC", prefix); err != nil {
		return fmt.Errorf("kill inserts: %w", err)
	}
	var running uint64
	if err := w.conn.QueryRow(ctx, "SELECT count() FROM system.processes WHERE "+ours, prefix).Scan(&running); err != nil {
		return fmt.Errorf("count running inserts: %w", err)
	}
	if running > 0 {
		return fmt.Errorf("%d inserts still run after KILL QUERY", running)
	}
	return nil
}

// findMarkers returns which of the markers are stored: a point read by primary key each.
func (w *Writer) findMarkers(ctx context.Context, markers []uint64) (map[uint64]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	found, err := w.conn.Query(ctx, "SELECT DISTINCT series FROM raw WHERE series IN (?)", markers)
	if err != nil {
		return nil, fmt.Errorf("look for markers: %w", err)
	}
	defer func() { _ = found.Close() }()
	stored := make(map[uint64]bool, len(markers))
	for found.Next() {
		var marker uint64
		if err := found.Scan(&marker); err != nil {
			return nil, fmt.Errorf("look for markers: %w", err)
		}
		stored[marker] = true
	}
	return stored, found.Err()
}
