package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// Text decodes a text message, the JSON form of a frame. A batch is delivered as *Columns.
func (d *Decoder) Text(message []byte) (Frame, error) {
	if len(message) > d.limits.FrameBytes {
		return nil, tooBig(d.limits.FrameBytes)
	}
	if !utf8.Valid(message) { // json would turn what is invalid into U+FFFD without a word
		return nil, Closef(InvalidText, "a text message must be UTF-8")
	}
	var frame struct {
		Type string `json:"type"`
	}
	if err := readText(message, &frame); err != nil {
		return nil, err
	}
	switch frame.Type {
	case "hello":
		return decodeText(message, func(t *textHello) Frame {
			agent := Agent{ID: t.Agent.ID, Labels: t.Agent.Labels, Attributes: t.Agent.Attributes}
			return &Hello{t.Token, agent, t.Epochs, fromMilliseconds(t.IntervalMS), t.Time}
		})
	case "welcome":
		return decodeText(message, func(t *textWelcome) Frame {
			return &Welcome{t.Session, t.Epochs, t.ServerTime, Limits(t.Limits), t.LiveOnly}
		})
	case "batch":
		return d.textBatch(message)
	case "ack":
		return decodeText(message, func(t *textAck) Frame {
			ack := &Ack{Epoch: t.Epoch, Seq: t.Seq, Unnamed: t.Unnamed}
			for _, r := range t.Refused {
				ack.Refused = append(ack.Refused, Refused(r))
			}
			return ack
		})
	case "gap":
		return decodeText(message, func(t *textGap) Frame {
			return &Gap{t.Epoch, t.Seq, t.ToSeq, t.From, t.To, t.Count, t.Reason}
		})
	case "notice":
		return decodeText(message, func(t *textNotice) Frame { return &Notice{t.Level, t.Text} })
	case "config":
		return decodeText(message, func(t *textConfig) Frame { return &Config{fromMilliseconds(t.IntervalMS)} })
	case "slow":
		return decodeText(message, func(t *textSlow) Frame { return &Slow{t.MaxInFlight, t.LiveOnly} })
	case "error":
		return decodeText(message, func(t *textError) Frame {
			return &Error{t.Code, t.Message, fromMilliseconds(t.RetryMS)}
		})
	default:
		return nil, Closef(BadFrame, "unknown frame type %.40q", frame.Type)
	}
}

func decodeText[T any](message []byte, frame func(*T) Frame) (Frame, error) {
	t := new(T)
	if err := readText(message, t); err != nil {
		return nil, err
	}
	return frame(t), nil
}

func readText(data []byte, into any) error {
	err := json.Unmarshal(data, into)
	var wrongType *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return Closef(BadFrame, "%s must not be a JSON %s", wrongType.Field, wrongType.Value)
	default:
		return Closef(BadFrame, "%v", err)
	}
}

// textBatches is what a Decoder remembers for batches in JSON form, which describe a
// series with every sample: its ref by description.
type textBatches struct {
	refs  map[string]uint32
	key   []byte
	began time.Time // of refs
}

// keptRefs is how many series the JSON form remembers before it starts anew. It is checked
// between batches, so it is exceeded by at most one batch.
const keptRefs = 10_000

// keptFor is how long it remembers any: a hub forgets series that have ended once they are not described any more.
const keptFor = time.Hour

func (d *Decoder) textBatch(message []byte) (Frame, error) {
	var t struct {
		Epoch   string          `json:"epoch"`
		Seq     uint64          `json:"seq"`
		Samples json.RawMessage `json:"samples"`
	}
	if err := readText(message, &t); err != nil {
		return nil, err
	}
	c := d.begin()
	c.Epoch, c.Seq = t.Epoch, t.Seq
	if c.Reset = len(d.text.refs) > keptRefs || time.Since(d.text.began) > keptFor; c.Reset {
		d.text.refs, d.text.began = make(map[string]uint32), time.Now()
	}
	if err := d.eachTextSample(t.Samples); err != nil {
		return nil, err
	}
	for len(c.Fault) > 0 && len(c.Fault) < len(c.Ref) {
		c.Fault = append(c.Fault, "")
	}
	if len(c.Bins) == 0 {
		c.BinsEnd = nil
	}
	return c, nil
}

// eachTextSample reads the samples one after another: as one slice, four million bytes of
// "{},{},{}" would become a hundred times as many.
func (d *Decoder) eachTextSample(samples json.RawMessage) error {
	if len(samples) == 0 {
		return Closef(BadFrame, "samples is missing")
	}
	stream := json.NewDecoder(bytes.NewReader(samples))
	if open, err := stream.Token(); err != nil || open != json.Delim('[') {
		return Closef(BadFrame, "samples must be an array")
	}
	for stream.More() {
		if len(d.columns.Ref) >= d.limits.SamplesPerBatch {
			return tooManySamples(d.limits.SamplesPerBatch)
		}
		var raw json.RawMessage
		if err := stream.Decode(&raw); err != nil {
			return Closef(BadFrame, "samples: %v", err)
		}
		var s textSample
		if err := readText(raw, &s); err != nil {
			return err
		}
		if err := d.textSample(&s); err != nil {
			return err
		}
	}
	return nil
}

// textSample appends one sample to the columns.
func (d *Decoder) textSample(s *textSample) error {
	kind, err := ParseKind(s.Kind)
	if err != nil {
		return Closef(BadFrame, "%v", err)
	}
	series := Series{s.Metric, kind, s.Unit, s.Labels, fromMilliseconds(s.IntervalMS)}
	ref, reason := d.textRef(&series)
	value := 0.0
	switch {
	case kind == Distribution:
		bins, ok := s.bins()
		if len(bins) > d.limits.SamplesPerBatch-len(d.columns.Bins) {
			return tooManySamples(d.limits.SamplesPerBatch)
		}
		if reason == "" && !ok {
			reason = BadValue
		}
		d.columns.Bins = append(d.columns.Bins, bins...)
	case s.Value != nil && s.Values == nil && s.Bins == nil:
		value = *s.Value
	case reason == "":
		reason = BadValue
	}
	d.columns.appendSample(ref, s.TS, value, reason)
	return nil
}

func (c *Columns) appendSample(ref uint32, ts int64, value float64, reason Reason) {
	c.Ref = append(c.Ref, ref)
	c.TS = append(c.TS, ts)
	c.Value = append(c.Value, value)
	c.BinsEnd = append(c.BinsEnd, uint32(len(c.Bins)))
	if reason != "" {
		for len(c.Fault) < len(c.Ref) {
			c.Fault = append(c.Fault, "")
		}
		c.Fault[len(c.Ref)-1] = reason
	}
}

// textRef returns the ref of a series, or why it is refused. A refused one gets no ref,
// so that hostile descriptions are not kept.
func (d *Decoder) textRef(s *Series) (uint32, Reason) {
	if reason := d.limits.CheckSeries(s); reason != "" {
		return 0, reason
	}
	t := &d.text
	t.key = append(t.key[:0], s.Metric...)
	t.key = append(t.key, 0, byte(s.Kind), 0)
	t.key = append(t.key, s.Unit...)
	t.key = strconv.AppendInt(append(t.key, 0), int64(s.Interval), 10)
	for _, l := range s.Labels {
		t.key = append(append(t.key, 0), l.Name...)
		t.key = append(append(t.key, 0), l.Value...)
	}
	ref, known := t.refs[string(t.key)]
	if !known {
		ref = uint32(len(t.refs))
		t.refs[string(t.key)] = ref
		d.columns.Defined = append(d.columns.Defined, Defined{Series: *s})
	}
	return ref, ""
}

// bins returns the sketch of a distribution, made from its values or given as bins.
func (s *textSample) bins() (bins []Bin, ok bool) {
	if s.Value != nil || (s.Values == nil) == (s.Bins == nil) {
		return nil, false
	}
	if s.Values != nil {
		bins = Sketch(s.Values)
		return bins, len(bins) > 0
	}
	ok = len(s.Bins) > 0
	before := int64(math.MinInt64)
	for _, pair := range s.Bins {
		b, possible := bin(before, pair[0], uint64(pair[1]))
		ok = ok && possible
		bins = append(bins, b)
		before = pair[0]
	}
	return bins, ok
}
