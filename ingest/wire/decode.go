package wire

import (
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/VictoriaMetrics/easyproto"
)

// Decoder reads the frames of one connection, whose series it remembers. It trusts
// nothing: every limit is enforced before memory is taken for what exceeds it. Its errors
// are *CloseError. It is not safe for concurrent use.
type Decoder struct {
	limits  Limits
	columns *Columns // delivered last; nil once released

	binary binaryBatches
	text   textBatches
}

// NewDecoder makes a Decoder. Frames beyond MaxFrameBytes and series of more than 256
// labels are refused whatever the limits say.
func NewDecoder(limits Limits) *Decoder {
	limits.FrameBytes = min(limits.FrameBytes, MaxFrameBytes)
	limits.LabelsPerSeries = min(limits.LabelsPerSeries, keptLabels)
	return &Decoder{limits: limits}
}

// columnsPool lends a connection columns while it works on a batch: ten thousand idle ones
// would hold 2 KB each of them.
var columnsPool = sync.Pool{New: func() any { return new(Columns) }}

// begin returns empty columns that have their memory. Not of Defined: it would keep every
// name of the connection's first batch.
func (d *Decoder) begin() *Columns {
	if d.columns == nil {
		d.columns = columnsPool.Get().(*Columns)
	}
	c := d.columns
	*c = Columns{TS: c.TS[:0], Value: c.Value[:0], Bins: c.Bins[:0], BinsEnd: c.BinsEnd[:0]}
	return c
}

// Release takes back the columns delivered last, which must not be used any more. A
// Decoder of few batches need not call it.
func (d *Decoder) Release() {
	if d.columns != nil {
		d.begin() // forgets what is the connection's
		columnsPool.Put(d.columns)
		d.columns = nil
	}
}

// Binary decodes a binary message. A batch is delivered as *Columns.
func (d *Decoder) Binary(message []byte) (f Frame, err error) {
	err = openMessage(message, d.limits.FrameBytes, func(body []byte) error {
		f, err = d.frame(body)
		return err
	})
	return f, err
}

func (d *Decoder) frame(body []byte) (Frame, error) {
	var fc easyproto.FieldContext
	rest, err := fc.NextField(body)
	if err != nil {
		return nil, Closef(BadFrame, "%v", err)
	}
	data, ok := fc.MessageData()
	if !ok || len(rest) > 0 {
		return nil, Closef(BadFrame, "a message must hold exactly one frame")
	}
	switch fc.FieldNum {
	case helloField:
		return unmarshal(&Hello{}, data, d.helloField)
	case welcomeField:
		return unmarshal(&Welcome{Epochs: map[string]uint64{}}, data, d.welcomeField)
	case batchField:
		return d.batch(data)
	case ackField:
		return unmarshal(&Ack{}, data, ackFieldOf)
	case gapField:
		return unmarshal(&Gap{}, data, gapFieldOf)
	case noticeField:
		return unmarshal(&Notice{}, data, func(n *Notice, fc *easyproto.FieldContext) bool {
			return text(fc, 1, &n.Level) && text(fc, 2, &n.Text)
		})
	case configField:
		return unmarshal(&Config{}, data, func(c *Config, fc *easyproto.FieldContext) bool {
			return duration(fc, 1, &c.Interval)
		})
	case slowField:
		return unmarshal(&Slow{}, data, slowFieldOf)
	case errorField:
		return unmarshal(&Error{}, data, func(e *Error, fc *easyproto.FieldContext) bool {
			return text(fc, 1, &e.Code) && text(fc, 2, &e.Message) && duration(fc, 3, &e.RetryAfter)
		})
	default:
		return nil, Closef(BadFrame, "unknown frame type %d", fc.FieldNum)
	}
}

// unmarshal feeds each field of a message to set, which returns false for a field of the
// wrong type, and ignores numbers it does not know.
func unmarshal[F Frame](f F, data []byte, set func(F, *easyproto.FieldContext) bool) (Frame, error) {
	if err := eachField(data, f.frameType(), func(fc *easyproto.FieldContext) bool { return set(f, fc) }); err != nil {
		return nil, err
	}
	return f, nil
}

func eachField(data []byte, what string, set func(*easyproto.FieldContext) bool) error {
	var fc easyproto.FieldContext
	for len(data) > 0 {
		rest, err := fc.NextField(data)
		if err != nil {
			return Closef(BadFrame, "%s: %v", what, err)
		}
		if !set(&fc) {
			return Closef(BadFrame, "%s: field %d has the wrong type, is not UTF-8 or is out of range", what, fc.FieldNum)
		}
		data = rest
	}
	return nil
}

// The functions below set *to if the field has this number. They return false if it has,
// but its content does not fit.

func text(fc *easyproto.FieldContext, number uint32, to *string) bool {
	if fc.FieldNum != number {
		return true
	}
	s, ok := fc.String()
	*to = strings.Clone(s) // s points into the message
	return ok && utf8.ValidString(s)
}

func number(fc *easyproto.FieldContext, number uint32, to *uint64) bool {
	if fc.FieldNum != number {
		return true
	}
	var ok bool
	*to, ok = fc.Uint64()
	return ok
}

func clock(fc *easyproto.FieldContext, number uint32, to *int64) bool {
	if fc.FieldNum != number {
		return true
	}
	var ok bool
	*to, ok = fc.Int64()
	return ok
}

// maxMilliseconds bounds durations, so that none overflows: a day is longer than any in use.
const maxMilliseconds = 24 * 60 * 60 * 1000

func duration(fc *easyproto.FieldContext, num uint32, to *time.Duration) bool {
	if fc.FieldNum != num {
		return true
	}
	var ms uint64
	ok := number(fc, num, &ms) && ms <= maxMilliseconds
	*to = time.Duration(min(ms, maxMilliseconds)) * time.Millisecond
	return ok
}
