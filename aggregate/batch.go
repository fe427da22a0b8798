package aggregate

// Batch is the samples of one tick of one agent, as columns of equal length.
// It is made once, where it enters the hub, and read-only from then on: the live
// state and the history read the same memory.
type Batch struct {
	Agent string
	Epoch string
	Seq   uint64 // contiguous from 1 within an epoch

	Series []SeriesID
	TS     []int64   // milliseconds since the Unix epoch
	Value  []float64 // of a distribution: the value that stands for the bin
	N      []uint32  // 1, or the number of values in the bin
}

// Rows is the number of rows the batch holds: its samples, with one row per bin of a distribution.
func (b *Batch) Rows() int { return len(b.Series) }

// Progress says how far one epoch of one agent has come.
type Progress struct {
	Agent string
	Epoch string
	Seq   uint64 // the last seq that is stored
}
