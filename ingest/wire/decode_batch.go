package wire

import (
	"math"
	"slices"

	"github.com/VictoriaMetrics/easyproto"
)

// binaryBatches is what a Decoder remembers for batches in binary form.
type binaryBatches struct {
	epoch string    // of the previous batch
	ref   []uint32  // of the previous batch
	state []decimal // by ref
}

// rawBatch is a batch's fields before anything is made of them: they may come in any order.
type rawBatch struct {
	epoch                      string
	seq                        uint64
	reset                      bool
	hasRefs                    bool
	ts                         int64
	refs, tsDelta, values, bin []byte
}

func (d *Decoder) batch(data []byte) (Frame, error) {
	c := d.begin()
	raw := rawBatch{epoch: d.binary.epoch}
	var definitionErr error
	err := eachField(data, "batch", func(fc *easyproto.FieldContext) bool {
		if fc.FieldNum == 4 {
			var ok bool
			ok, definitionErr = d.define(fc)
			return ok && definitionErr == nil
		}
		return raw.field(fc)
	})
	if definitionErr != nil {
		return nil, definitionErr
	}
	if err != nil {
		return nil, err
	}
	d.binary.epoch = raw.epoch
	c.Epoch, c.Seq, c.Reset = raw.epoch, raw.seq, raw.reset
	for _, read := range []func(*rawBatch) error{d.applyDefinitions, d.readRefs, d.readTimes, d.readValues, d.readBins} {
		if err := read(&raw); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (r *rawBatch) field(fc *easyproto.FieldContext) (ok bool) {
	switch fc.FieldNum {
	case 3:
		r.reset, ok = fc.Bool()
	case 5:
		r.hasRefs = true
		r.refs, ok = fc.Bytes()
	case 7:
		r.tsDelta, ok = fc.Bytes()
	case 8:
		r.values, ok = fc.Bytes()
	case 9:
		r.bin, ok = fc.Bytes()
	default:
		ok = text(fc, 1, &r.epoch) && number(fc, 2, &r.seq) && clock(fc, 6, &r.ts)
	}
	return ok
}

func (d *Decoder) applyDefinitions(raw *rawBatch) error {
	b := &d.binary
	if raw.reset {
		b.state, b.ref = b.state[:0], b.ref[:0]
	}
	if len(b.state)+len(d.columns.Defined) > d.limits.SeriesPerConnection {
		return Closef(LimitExceeded, "more than %d series on one connection: send reset", d.limits.SeriesPerConnection)
	}
	b.state = slices.Grow(b.state, len(d.columns.Defined))
	for i := range d.columns.Defined {
		b.state = append(b.state, newDecimal(d.columns.Defined[i].Kind))
	}
	return nil
}

func (d *Decoder) readRefs(raw *rawBatch) error {
	b := &d.binary
	if raw.hasRefs {
		refs := column{rest: raw.refs}
		b.ref = b.ref[:0]
		previous := int64(-1)
		for len(refs.rest) > 0 {
			if len(b.ref) >= d.limits.SamplesPerBatch {
				return tooManySamples(d.limits.SamplesPerBatch)
			}
			previous += refs.varint() + 1
			if previous < 0 || previous >= int64(len(b.state)) {
				return Closef(BadFrame, "batch: a sample refers to series %d of %d", previous, len(b.state))
			}
			b.ref = append(b.ref, uint32(previous))
		}
		if refs.failed {
			return brokenColumn("refs")
		}
	}
	d.columns.Ref = b.ref
	return nil
}

func (d *Decoder) readTimes(raw *rawBatch) error {
	c := d.columns
	ts := raw.ts
	if raw.tsDelta == nil {
		for range c.Ref {
			c.TS = append(c.TS, ts)
		}
		return nil
	}
	deltas := column{rest: raw.tsDelta}
	for range c.Ref {
		ts += deltas.varint()
		c.TS = append(c.TS, ts)
	}
	if !deltas.complete() {
		return brokenColumn("ts_delta")
	}
	return nil
}

func (d *Decoder) readValues(raw *rawBatch) error {
	c, state := d.columns, d.binary.state
	tokens := column{rest: raw.values}
	for _, ref := range c.Ref {
		s := &state[ref]
		if s.distribution() {
			c.Value = append(c.Value, 0)
			continue
		}
		c.Value = append(c.Value, s.next(&tokens))
	}
	if !tokens.complete() {
		return brokenColumn("values")
	}
	return nil
}

func (d *Decoder) readBins(raw *rawBatch) error {
	if len(raw.bin) == 0 {
		return d.withoutBins()
	}
	c, state := d.columns, d.binary.state
	bins := column{rest: raw.bin}
	for i, ref := range c.Ref {
		if state[ref].distribution() {
			n := bins.uvarint()
			if n > uint64(d.limits.SamplesPerBatch-len(c.Bins)) {
				return tooManySamples(d.limits.SamplesPerBatch)
			}
			if !c.appendBins(&bins, n) {
				c.fault(i, BadValue)
			}
		}
		c.BinsEnd = append(c.BinsEnd, uint32(len(c.Bins)))
	}
	if !bins.complete() {
		return brokenColumn("bins")
	}
	return nil
}

// withoutBins faults distributions in a batch that has no column of bins.
func (d *Decoder) withoutBins() error {
	d.columns.BinsEnd = nil
	for i, ref := range d.columns.Ref {
		if d.binary.state[ref].distribution() {
			d.columns.fault(i, BadValue)
		}
	}
	return nil
}

// appendBins reads n bins; false: there are none, or one is not possible.
func (c *Columns) appendBins(from *column, n uint64) bool {
	ok := n > 0
	key, before := int64(keyOffset), int64(math.MinInt64)
	for ; n > 0 && !from.failed; n-- {
		key += from.varint()
		b, possible := bin(before, key, from.uvarint())
		ok = ok && possible
		c.Bins = append(c.Bins, b)
		before = key
	}
	return ok
}

// fault notes that sample i is wrong in itself.
func (c *Columns) fault(i int, reason Reason) {
	if c.Fault == nil {
		c.Fault = make([]Reason, max(len(c.Ref), i+1))
	}
	c.Fault[i] = reason
}

func tooManySamples(limit int) error {
	return Closef(LimitExceeded, "a batch holds more than %d samples, a distribution counting as its bins: split it", limit)
}

func brokenColumn(name string) error {
	return Closef(BadFrame, "batch: column %s does not fit the number of samples", name)
}
