package wire

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// receiver is the other end of a connection: it turns columns back into samples.
type receiver struct {
	*Decoder
	series []Defined // by ref
}

func newReceiver() *receiver { return &receiver{Decoder: NewDecoder(DefaultLimits())} }

// expand copies what the decoder delivers, in the form the encoder was given.
func (r *receiver) expand(c *Columns) Batch {
	if c.Reset {
		r.series = r.series[:0]
	}
	r.series = append(r.series, c.Defined...)
	b := Batch{Epoch: c.Epoch, Seq: c.Seq}
	for i, ref := range c.Ref {
		s := Sample{TS: c.TS[i], Value: c.Value[i], Bins: append([]Bin(nil), c.BinsOf(i)...)}
		if c.Fault == nil || c.Fault[i] == "" {
			series := r.series[ref].Series
			s.Series = &series
		}
		b.Samples = append(b.Samples, s)
	}
	return b
}

func (r *receiver) binary(t *testing.T, message []byte) Frame {
	t.Helper()
	f, err := r.Binary(message)
	if err != nil {
		t.Fatalf("decoding %x: %v", message, err)
	}
	return f
}

func gauge(metric string) *Series { return &Series{Metric: metric} }

func TestFramesRoundTrip(t *testing.T) {
	frames := []Frame{
		&Hello{
			Token:    "secret",
			Agent:    Agent{ID: "web-1", Labels: []Label{{"region", "eu"}}, Attributes: []Label{{"os.type", "linux"}}},
			Epochs:   []string{"a1", "b2"},
			Interval: 5 * time.Second, Time: 1763800000100,
		},
		&Welcome{Session: "s", Epochs: map[string]uint64{"a1": 0, "b2": 1 << 40}, ServerTime: 1763800000123, Limits: DefaultLimits()},
		&Welcome{Session: "s", Epochs: map[string]uint64{}, Limits: DefaultLimits(), LiveOnly: true},
		&Ack{Epoch: "a1", Seq: 9, Refused: []Refused{{8, 3, TooOld}, {9, 0, SeriesLimit}}, Unnamed: 7},
		&Gap{Epoch: "a1", Seq: 2, ToSeq: 9, From: 1763800000000, To: 1763800008000, Count: 80, Reason: "spool_full"},
		&Notice{Level: "warning", Text: "änderung"},
		&Config{Interval: 5 * time.Second},
		&Slow{MaxInFlight: 2, LiveOnly: true},
		&Error{Code: "overloaded", Message: "later", RetryAfter: 3 * time.Second},
	}
	e, r := NewEncoder(DefaultLimits()), newReceiver()
	for _, want := range frames {
		message, _ := e.Append(nil, want)
		if got := r.binary(t, message); !reflect.DeepEqual(got, want) {
			t.Errorf("binary: got %+v, want %+v", got, want)
		}
		text, err := Text(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Text(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("JSON: got %+v, want %+v", got, want)
		}
	}
}

func TestBatchesRoundTrip(t *testing.T) {
	cpu := gauge("cpu")
	orders := &Series{Metric: "orders.placed", Kind: Counter, Unit: "1", Labels: []Label{{"a", "1"}, {"shop", "de"}}, Interval: 5 * time.Second}
	latency := &Series{Metric: "latency", Kind: Distribution, Unit: "s"}
	bins := Sketch([]float64{0, -2, 0.1, 0.1, 900})
	batches := []Batch{
		{Epoch: "e", Seq: 1, Samples: []Sample{{cpu, 1763800000123, 0.25, nil}, {orders, 1763800000123, 3, nil}}},
		{Epoch: "e", Seq: 2, Samples: []Sample{{cpu, 1763800001123, 0.25, nil}, {orders, 1763800001120, 4, nil}}},
		{Epoch: "e", Seq: 3, Samples: []Sample{{orders, 5, 1e300, nil}, {latency, 0, 0, bins}, {cpu, 7, -0.5, nil}}},
		{Epoch: "f", Seq: 1},
		{Epoch: "f", Seq: 2, Samples: []Sample{{latency, 9, 0, bins}, {latency, 9, 0, bins[:1]}}},
		{Epoch: "e", Seq: 4, Samples: []Sample{{gauge("new"), 1, 0.1, nil}, {cpu, 1, math.Pi, nil}, {cpu, 1, math.Pi, nil}}},
	}
	e := NewEncoder(DefaultLimits())
	binary, text := newReceiver(), newReceiver()
	for _, want := range batches {
		message, _ := e.Append(nil, &want)
		got := binary.expand(binary.binary(t, message).(*Columns))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("binary: got %+v, want %+v", got, want)
		}
		json, err := Text(&want)
		if err != nil {
			t.Fatal(err)
		}
		f, err := text.Text(json)
		if err != nil {
			t.Fatal(err)
		}
		if got := text.expand(f.(*Columns)); !reflect.DeepEqual(got, want) {
			t.Errorf("JSON: got %+v, want %+v", got, want)
		}
	}
}

// Every float64 comes back bit by bit, whatever stood before it.
func TestValuesAreLossless(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	values := []float64{
		0, math.Copysign(0, -1), 1, -1, 0.1, 0.1, 0.30000000000000004, 1e-9, 123456.789, 1 << 53, 1<<53 + 2, -(1 << 53),
		math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN(), math.NaN(), 5, 5.5, 5,
	}
	for range 20_000 {
		values = append(values, math.Float64frombits(random.Uint64()),
			math.Round(random.NormFloat64()*1e4)/100, math.Round(random.NormFloat64()*1e9))
	}
	series := gauge("m")
	e, r := NewEncoder(DefaultLimits()), newReceiver()
	for i, want := range values {
		message, _ := e.Append(nil, &Batch{Seq: uint64(i + 1), Samples: []Sample{{series, 1, want, nil}}})
		got := r.binary(t, message).(*Columns).Value[0]
		if math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("value %d: got %v (%x), want %v (%x)", i, got, math.Float64bits(got), want, math.Float64bits(want))
		}
	}
}

func TestEncoderForgetsSeriesAtTheLimit(t *testing.T) {
	limits := DefaultLimits()
	limits.SeriesPerConnection = 10
	e, r := NewEncoder(limits), &receiver{Decoder: NewDecoder(limits)}
	for i := range 100 {
		want := Batch{Epoch: "e", Seq: uint64(i + 1)}
		for j := range 4 {
			want.Samples = append(want.Samples, Sample{gauge("m" + strings.Repeat("x", i%7) + string(rune('a'+j))), 1, float64(i + j), nil})
		}
		message, _ := e.Append(nil, &want)
		if got := r.expand(r.binary(t, message).(*Columns)); !reflect.DeepEqual(got, want) {
			t.Fatalf("batch %d: got %+v, want %+v", i, got, want)
		}
	}
	if len(r.series) > limits.SeriesPerConnection {
		t.Errorf("the receiver holds %d series, more than %d", len(r.series), limits.SeriesPerConnection)
	}
}

func TestBins(t *testing.T) {
	for key := minKey; key <= maxKey; key++ {
		v := BinValue(key)
		if got := BinKey(v); got != key {
			t.Fatalf("BinKey(BinValue(%d) = %g) = %d", key, v, got)
		}
		if got := BinKey(BinValue(-key)); got != -key {
			t.Fatalf("BinKey(BinValue(%d)) = %d", -key, got)
		}
	}
	if BinKey(0) != 0 || BinValue(0) != 0 || BinKey(5e-324) != 0 {
		t.Error("zero and what is too small for a bin must be in bin 0")
	}
	if BinKey(1) != keyOffset {
		t.Errorf("BinKey(1) = %d, want %d", BinKey(1), keyOffset)
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 100_000 {
		v := math.Exp(random.NormFloat64() * 100)
		if got := BinValue(BinKey(v)); math.Abs(got-v) > v*0.0100001 {
			t.Fatalf("BinValue(BinKey(%g)) = %g, more than 1 %% off", v, got)
		}
	}
	want := []Bin{{-BinKey(2), 1}, {0, 1}, {BinKey(0.1), 2}}
	if got := Sketch([]float64{0.1, 0, 0.1, -2}); !reflect.DeepEqual(got, want) {
		t.Errorf("Sketch = %v, want %v", got, want)
	}
}

func TestCloseCodes(t *testing.T) {
	for code, name := range closeNames {
		if code.String() != name {
			t.Errorf("%d.String() = %q", code, code)
		}
		again := code >= 4100
		if code.Final() == again {
			t.Errorf("%s.Final() = %v", name, code.Final())
		}
	}
	if CloseCode(1006).Final() {
		t.Error("a broken connection must not be final")
	}
}

func closeCode(t *testing.T, err error) CloseCode {
	t.Helper()
	var closing *CloseError
	if !errors.As(err, &closing) {
		t.Fatalf("got %v, want a CloseError", err)
	}
	return closing.Code
}
