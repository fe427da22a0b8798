package aggregate

// Batch is the samples of one tick of one agent, as columns of equal length.
// It is made where it enters the hub. Who is handed one copies what it keeps.
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

// Gap declares batches that will never come. It takes their place in the sequence.
type Gap struct {
	Agent, Epoch string
	Seq, ToSeq   uint64 // first and last lost batch
	From, To     int64  // their time range in milliseconds since the Unix epoch
	Count        uint64 // samples lost
	Reason       string
}

// Progress says how far one epoch of one agent has come.
type Progress struct {
	Agent string
	Epoch string
	Seq   uint64 // the last seq that is stored

	// Quarantined says that the batch Seq alone is what this is about, and that storage cannot
	// take it: it was set aside in a file and counts as passed.
	Quarantined bool
}
