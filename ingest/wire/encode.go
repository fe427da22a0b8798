package wire

import (
	"encoding/binary"

	"github.com/VictoriaMetrics/easyproto"
)

// Field numbers of the message Frame, one per type of frame.
const (
	helloField = 1 + iota
	welcomeField
	batchField
	ackField
	gapField
	noticeField
	configField
	slowField
	errorField
)

var marshalers easyproto.MarshalerPool

// Encoder writes the binary frames of one connection, whose series it remembers. It is
// not safe for concurrent use, and must not be carried over to another connection.
type Encoder struct {
	limits Limits
	refs   map[*Series]uint32
	state  []decimal // by ref
	last   []uint32  // refs of the previous batch
	epoch  string    // of the previous batch
	reset  bool      // the next batch tells the other end to forget all refs

	body   []byte // the buffers below are kept for their memory only
	ref    []uint32
	column []byte
}

// NewEncoder makes an Encoder that forgets series at limits.SeriesPerConnection.
func NewEncoder(limits Limits) *Encoder {
	return &Encoder{limits: limits, refs: make(map[*Series]uint32)}
}

// Reset makes the next batch describe its series anew. Call it when an encoded batch was not sent.
func (e *Encoder) Reset() {
	clear(e.refs)
	e.state, e.last, e.epoch, e.reset = e.state[:0], e.last[:0], "", true
}

// Binary returns f, which must not be a *Batch, as a binary message.
func Binary(f Frame) []byte {
	message, _ := new(Encoder).Append(nil, f)
	return message
}

// Append appends f to dst as one binary message and returns the size of the frame in it
// before compression, which is what Limits.FrameBytes counts too.
func (e *Encoder) Append(dst []byte, f Frame) (message []byte, frameBytes int) {
	m := marshalers.Get()
	defer marshalers.Put(m)
	mm := m.MessageMarshaler()
	switch f := f.(type) {
	case *Hello:
		marshalHello(mm.AppendMessage(helloField), f)
	case *Welcome:
		marshalWelcome(mm.AppendMessage(welcomeField), f)
	case *Batch:
		e.marshalBatch(mm.AppendMessage(batchField), f)
	case *Ack:
		marshalAck(mm.AppendMessage(ackField), f)
	case *Gap:
		marshalGap(mm.AppendMessage(gapField), f)
	case *Notice:
		n := mm.AppendMessage(noticeField)
		n.AppendString(1, f.Level)
		n.AppendString(2, f.Text)
	case *Config:
		mm.AppendMessage(configField).AppendUint64(1, milliseconds(f.Interval))
	case *Slow:
		s := mm.AppendMessage(slowField)
		s.AppendUint64(1, uint64(f.MaxInFlight))
		s.AppendBool(2, f.LiveOnly)
	case *Error:
		x := mm.AppendMessage(errorField)
		x.AppendString(1, f.Code)
		x.AppendString(2, f.Message)
		x.AppendUint64(3, milliseconds(f.RetryAfter))
	}
	e.body = m.Marshal(e.body[:0])
	return appendMessage(dst, e.body), len(e.body)
}

// marshalBatch writes the columns described at Columns.
func (e *Encoder) marshalBatch(mm *easyproto.MessageMarshaler, b *Batch) {
	if len(e.refs)+len(b.Samples) > e.limits.SeriesPerConnection && len(e.refs) > 0 {
		e.Reset()
	}
	if b.Epoch != e.epoch {
		mm.AppendString(1, b.Epoch)
		e.epoch = b.Epoch
	}
	mm.AppendUint64(2, b.Seq)
	if e.reset {
		mm.AppendBool(3, true)
		e.reset = false
	}
	e.ref = e.ref[:0]
	for i := range b.Samples {
		e.ref = append(e.ref, e.refOf(mm, b.Samples[i].Series))
	}
	if refs := e.refsColumn(); refs != nil {
		mm.AppendBytes(5, refs)
	}
	e.marshalTimes(mm, b.Samples)
	mm.AppendBytes(8, e.valuesColumn(b.Samples))
	if bins := e.binsColumn(b.Samples); len(bins) > 0 {
		mm.AppendBytes(9, bins)
	}
}

// refOf returns the series' ref; a new one is described first.
func (e *Encoder) refOf(mm *easyproto.MessageMarshaler, s *Series) uint32 {
	ref, ok := e.refs[s]
	if !ok {
		ref = uint32(len(e.state))
		e.refs[s] = ref
		e.state = append(e.state, decimal{})
		marshalSeries(mm.AppendMessage(4), s)
	}
	return ref
}

// refsColumn returns the change from each ref to the next, or nil where the refs are those
// of the batch before: an agent reads the same sensors each second.
func (e *Encoder) refsColumn() []byte {
	same := len(e.last) == len(e.ref)
	for i := 0; same && i < len(e.ref); i++ {
		same = e.last[i] == e.ref[i]
	}
	if same {
		return nil
	}
	e.last = append(e.last[:0], e.ref...)
	e.column = e.column[:0]
	previous := int64(-1)
	for _, ref := range e.ref {
		e.column = binary.AppendUvarint(e.column, zigzag(int64(ref)-previous-1))
		previous = int64(ref)
	}
	return e.column
}

func (e *Encoder) marshalTimes(mm *easyproto.MessageMarshaler, samples []Sample) {
	if len(samples) == 0 {
		return
	}
	first := samples[0].TS
	mm.AppendInt64(6, first)
	e.column = e.column[:0]
	equal, previous := true, first
	for i := range samples {
		ts := samples[i].TS
		equal = equal && ts == first
		e.column = binary.AppendUvarint(e.column, zigzag(ts-previous))
		previous = ts
	}
	if !equal {
		mm.AppendBytes(7, e.column)
	}
}

func (e *Encoder) valuesColumn(samples []Sample) []byte {
	e.column = e.column[:0]
	for i := range samples {
		if samples[i].Series.Kind != Distribution {
			e.column = e.state[e.ref[i]].append(e.column, samples[i].Value)
		}
	}
	return e.column
}

// binsColumn writes for each distribution how many bins it has, then for each bin the
// change of the key, beginning at the bin of 1, and its count.
func (e *Encoder) binsColumn(samples []Sample) []byte {
	e.column = e.column[:0]
	for i := range samples {
		if samples[i].Series.Kind != Distribution {
			continue
		}
		e.column = binary.AppendUvarint(e.column, uint64(len(samples[i].Bins)))
		key := int64(keyOffset)
		for _, bin := range samples[i].Bins {
			e.column = binary.AppendUvarint(e.column, zigzag(int64(bin.Key)-key))
			e.column = binary.AppendUvarint(e.column, uint64(bin.Count))
			key = int64(bin.Key)
		}
	}
	return e.column
}
