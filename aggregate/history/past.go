package history

import (
	"context"
	"fmt"
	"time"
)

// settlePast ends what inserts an earlier hub left running and makes every row of progress say
// what is stored. Only the last block of each hub can be in doubt, since blocks are stored in
// order; where its marker is missing, its agents have come as far as the seq before it.
// Settled rows get block 0, so that no later start looks for markers that retention has dropped.
func (w *Writer) settlePast(ctx context.Context) error {
	if err := w.killInserts(ctx, queryIDPrefix); err != nil {
		return err
	}
	if err := w.killInserts(ctx, tierQueryIDPrefix); err != nil {
		return err
	}
	last, err := w.lastBlocks(ctx)
	if err != nil || len(last) == 0 {
		return err
	}
	markers := make([]uint64, 0, len(last))
	for hub, block := range last {
		markers = append(markers, markerID(hub, block))
	}
	stored, err := w.findMarkers(ctx, markers)
	if err != nil {
		return err
	}
	var lost []uint64
	for hub, block := range last {
		if !stored[markerID(hub, block)] {
			w.log.Info("a block of an earlier run was not stored; its agents send it again", "hub", hub, "block", block)
			lost = append(lost, markerID(hub, block))
		}
	}
	// A block found may have been written in the last moment of the hub before: it must last, like any other.
	if err := w.syncTable(ctx, rawTable); err != nil {
		return err
	}
	return w.rewriteProgress(ctx, lost)
}

// lastBlocks returns the last block of every hub that has unsettled rows.
func (w *Writer) lastBlocks(ctx context.Context) (map[uint32]uint32, error) {
	found, err := w.conn.Query(ctx, "SELECT hub, max(block) FROM progress FINAL WHERE block != 0 GROUP BY hub")
	if err != nil {
		return nil, fmt.Errorf("find the last blocks: %w", err)
	}
	defer func() { _ = found.Close() }()
	last := make(map[uint32]uint32)
	for found.Next() {
		var hub, block uint32
		if err := found.Scan(&hub, &block); err != nil {
			return nil, fmt.Errorf("find the last blocks: %w", err)
		}
		last[hub] = block
	}
	return last, found.Err()
}

// rewriteProgress settles all unsettled rows. Done twice, or cut short, it comes to the same.
func (w *Writer) rewriteProgress(ctx context.Context, lost []uint64) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	err := w.conn.Exec(ctx, `INSERT INTO progress (agent, epoch, version, hub, block, from_seq, to_seq, updated)
		SELECT agent, epoch, version + 1, hub, 0, from_seq,
			if(has(?, bitShiftLeft(toUInt64(hub), 32) + block), from_seq - 1, to_seq), updated
		FROM progress FINAL
		WHERE block != 0`, lost)
	if err != nil {
		return fmt.Errorf("settle progress: %w", err)
	}
	return w.syncTable(ctx, "progress")
}
