package history

import (
	"time"

	"telltale/aggregate"
)

// block is the unit of storing: the rows of many batches, stored as one part or not at all.
type block struct {
	number uint32
	opened time.Time
	day    time.Time // partition: the day of insertion, fixed when the block is sealed
	rows   rows

	manifest []manifestRow
	bytes    int64 // counted against the bound on unstored samples

	// What the rows refer to, written before them.
	series []*aggregate.Series
	agents []agentRow
}

// manifestRow says which seqs of an epoch the block takes in.
type manifestRow struct {
	agent, epoch   string
	version        uint64
	fromSeq, toSeq uint64
}

// rowBytes is what a row of the queue takes in memory, the copy that sorting makes included.
const rowBytes = 2 * (8 + 8 + 8 + 4)

// batchOverheadBytes covers a batch's manifest row.
const batchOverheadBytes = 128

func batchBytes(b *aggregate.Batch) int64 {
	return int64(b.Rows())*rowBytes + batchOverheadBytes
}

// add copies the batch's rows, so that its sender may use its memory again.
func (b *block) add(batch *aggregate.Batch, e *epochState) {
	if e.block != b.number || e.version == 0 {
		e.block = b.number
		e.version++
		e.row = len(b.manifest)
		b.manifest = append(b.manifest, manifestRow{
			agent: batch.Agent, epoch: batch.Epoch, version: e.version, fromSeq: e.taken + 1,
		})
	}
	b.manifest[e.row].toSeq = batch.Seq
	e.taken = batch.Seq
	b.rows.series = append(b.rows.series, batch.Series...)
	b.rows.ts = append(b.rows.ts, batch.TS...)
	b.rows.value = append(b.rows.value, batch.Value...)
	b.rows.n = append(b.rows.n, batch.N...)
	b.bytes += batchBytes(batch)
}

// addMarker appends the row that proves the block.
func (b *block) addMarker(hub uint32) {
	b.rows.series = append(b.rows.series, markerID(hub, b.number))
	b.rows.ts = append(b.rows.ts, b.day.UnixMilli())
	b.rows.value = append(b.rows.value, float64(b.rows.len()-1))
	b.rows.n = append(b.rows.n, 1)
}

// epochState is what the writer remembers of one epoch of an admitted agent.
type epochState struct {
	version uint64 // of the newest manifest row, 0 before the first
	taken   uint64 // the last seq in any block
	stored  uint64 // the last seq that is stored
	block   uint32 // the newest block that has a manifest row of this epoch, and
	row     int    // where in that block's manifest it is
}
