package wire

// Columns is a batch as a Decoder delivers it: what the samples share in columns, their
// series as refs. A ref is an index the connection gives to a series when it is first
// described; refs are dense from 0. It is valid until the Decoder's next call
// or Release, its strings for ever.
type Columns struct {
	Epoch string // empty: the epoch the hub made for the connection
	Seq   uint64

	Reset   bool      // every ref given before is forgotten
	Defined []Defined // newly described series; the first has the ref that follows the last one given

	Ref   []uint32  // one per sample
	TS    []int64   // one per sample, 0 is the hub's clock
	Value []float64 // one per sample; unused for a distribution

	// Fault has the reason of samples that are wrong in themselves, "" for the others.
	// It is nil where no sample is.
	Fault []Reason

	Bins    []Bin    // of all distributions, in the samples' order
	BinsEnd []uint32 // one per sample: where its bins end in Bins; nil without distributions
}

// Defined is a series described in a batch, or the reason why no sample of it is accepted.
type Defined struct {
	Series
	Reason Reason
}

func (*Columns) frameType() string { return "batch" }

// BinsOf returns the bins of sample i.
func (c *Columns) BinsOf(i int) []Bin {
	if c.BinsEnd == nil {
		return nil
	}
	start := uint32(0)
	if i > 0 {
		start = c.BinsEnd[i-1]
	}
	return c.Bins[start:c.BinsEnd[i]]
}
