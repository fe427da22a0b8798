package history

import (
	"time"

	"telltale/aggregate"
)

// block is the unit of storing: the rows of many batches, stored as one part or not at all.
type block struct {
	opened time.Time
	day    time.Time // partition: the day of insertion, fixed when the block is sealed
	rows   rows
	passes []pass
	bytes  int64 // counted against the bound on unstored samples

	// What the rows refer to, written before them.
	series []*aggregate.Series
	agents []agentRow

	sealed time.Time // all that was taken before is in this block or an earlier one,
	halved bool      // or in the other half that follows

	// Given when its turn has come to be stored.
	number   uint32
	manifest []manifestRow
	windows  []touchedWindow // sorted; those its rows lie in
}

// pass is one batch, or one declared gap, that the block takes an epoch past.
type pass struct {
	agent, epoch   string
	fromSeq, toSeq uint64
	endRow         int            // its rows are those from the end of the pass before up to this
	gap            *aggregate.Gap // nil for a batch
}

// manifestRow says which seqs of an epoch the block takes in.
type manifestRow struct {
	agent, epoch   string
	version        uint64
	fromSeq, toSeq uint64
}

// rowBytes is what a row of the queue takes in memory, the copy that sorting makes included.
const rowBytes = 2 * (8 + 8 + 8 + 4)

// passBytes covers a pass and its manifest row.
const passBytes = 192

func batchBytes(b *aggregate.Batch) int64 {
	return int64(b.Rows())*rowBytes + passBytes
}

// add copies the batch's rows, so that its sender may use its memory again.
func (b *block) add(batch *aggregate.Batch, e *epochState) {
	b.rows.series = append(b.rows.series, batch.Series...)
	b.rows.ts = append(b.rows.ts, batch.TS...)
	b.rows.value = append(b.rows.value, batch.Value...)
	b.rows.n = append(b.rows.n, batch.N...)
	b.bytes += batchBytes(batch)
	b.pass(pass{agent: batch.Agent, epoch: batch.Epoch, toSeq: batch.Seq}, e)
}

func (b *block) addGap(gap *aggregate.Gap, e *epochState) {
	b.bytes += passBytes
	b.pass(pass{agent: gap.Agent, epoch: gap.Epoch, toSeq: gap.ToSeq, gap: gap}, e)
}

func (b *block) pass(p pass, e *epochState) {
	p.fromSeq, p.endRow = e.taken+1, b.rows.len()
	e.taken = p.toSeq
	b.passes = append(b.passes, p)
}

// halve cuts a block of several passes into two, in order. The first keeps what the rows refer to.
func (b *block) halve() (first, second *block) {
	middle := len(b.passes) / 2
	row := b.passes[middle-1].endRow
	f, s := *b, *b
	f.passes, s.passes = b.passes[:middle:middle], append([]pass(nil), b.passes[middle:]...)
	for i := range s.passes {
		s.passes[i].endRow -= row
	}
	f.rows, s.rows = b.rows.slice(0, row), b.rows.slice(row, b.rows.len())
	f.bytes = int64(f.rows.len())*rowBytes + int64(len(f.passes))*passBytes
	s.bytes = b.bytes - f.bytes
	s.series, s.agents = nil, nil
	f.halved = true
	return &f, &s
}

// epochState is what the writer remembers of one epoch of an admitted agent.
type epochState struct {
	version uint64 // of the newest manifest row, 0 before the first
	taken   uint64 // the last seq in any block
	stored  uint64 // the last seq that is stored
	block   uint32 // the newest block that has a manifest row of this epoch, and
	row     int    // where in that block's manifest it is
}
