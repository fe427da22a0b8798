package wire

import (
	"errors"
	"math"
	"reflect"
	"testing"
	"time"
	"unicode/utf8"
)

// checkDecoded fails where a decoder breaks its word: an error that is no close code, or
// columns that do not belong together.
func checkDecoded(t *testing.T, f Frame, err error, refs int) int {
	t.Helper()
	if err != nil {
		var closing *CloseError
		if !errors.As(err, &closing) {
			t.Fatalf("error %v has no close code", err)
		}
		return refs
	}
	c, ok := f.(*Columns)
	if !ok {
		return refs
	}
	if c.Reset {
		refs = 0
	}
	refs += len(c.Defined)
	n := len(c.Ref)
	if len(c.TS) != n || len(c.Value) != n || c.BinsEnd != nil && len(c.BinsEnd) != n || c.Fault != nil && len(c.Fault) != n {
		t.Fatalf("columns of different lengths: %+v", c)
	}
	for i, ref := range c.Ref {
		if (c.Fault == nil || c.Fault[i] == "") && int(ref) >= refs {
			t.Fatalf("sample %d refers to series %d of %d", i, ref, refs)
		}
		_ = c.BinsOf(i)
	}
	return refs
}

func seeds() []Frame {
	s := &Series{Metric: "m", Kind: Counter, Unit: "By", Labels: []Label{{"a", "b"}}}
	d := &Series{Metric: "d", Kind: Distribution}
	return []Frame{
		&Hello{Token: "t", Agent: Agent{ID: "a", Labels: []Label{{"x", "y"}}}, Epochs: []string{"e"}, Time: 5},
		&Batch{Epoch: "e", Seq: 1, Samples: []Sample{{s, 1, 2.5, nil}, {d, 2, 0, Sketch([]float64{1, 2, 2})}}},
		&Batch{Epoch: "e", Seq: 2, Samples: []Sample{{s, 1, 2.75, nil}, {d, 2, 0, Sketch([]float64{-1, 0})}}},
		&Gap{Epoch: "e", Seq: 3, ToSeq: 4, Reason: "r"},
		&Ack{Epoch: "e", Seq: 4, Refused: []Refused{{4, 1, TooOld}}},
		&Welcome{Epochs: map[string]uint64{"e": 1}, Limits: DefaultLimits()},
		&Welcome{Limits: DefaultLimits(), LiveOnly: true},
		&Slow{MaxInFlight: 1},
	}
}

// FuzzBinary decodes two messages after one another: the second meets what the first left.
func FuzzBinary(f *testing.F) {
	e := NewEncoder(DefaultLimits())
	var before []byte
	for _, frame := range seeds() {
		message, _ := e.Append(nil, frame)
		f.Add(before, message)
		before = message
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		d := NewDecoder(DefaultLimits())
		frame, err := d.Binary(first)
		refs := checkDecoded(t, frame, err, 0)
		if err == nil {
			frame, err = d.Binary(second)
			checkDecoded(t, frame, err, refs)
		}
	})
}

func FuzzText(f *testing.F) {
	before := ""
	for _, frame := range seeds() {
		message, err := Text(frame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(before, string(message))
		before = string(message)
	}
	f.Add("", `{"type":"batch","seq":1,"samples":[{"metric":"m","kind":"distribution","bins":[[1,2]]}]}`)
	f.Fuzz(func(t *testing.T, first, second string) {
		d := NewDecoder(DefaultLimits())
		frame, err := d.Text([]byte(first))
		refs := checkDecoded(t, frame, err, 0)
		if err == nil {
			frame, err = d.Text([]byte(second))
			checkDecoded(t, frame, err, refs)
		}
	})
}

// FuzzHello decodes a first message. What passes the check keeps to the limits, and means
// the same in both forms.
func FuzzHello(f *testing.F) {
	hello := &Hello{
		Token: "t", Agent: Agent{ID: "web-1", Labels: []Label{{"region", "eu"}}, Attributes: []Label{{"os.type", "linux"}, {"agent", "x"}}},
		Epochs: []string{"3f8a", "a-b_c"}, Interval: 5 * time.Second, Time: 1763800000123,
	}
	text, err := Text(hello)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(Binary(hello), false)
	f.Add(text, true)
	f.Add([]byte(`{"type":"hello","agent":{"id":"a","labels":{"a":"1","a":"2"}},"epochs":[""]}`), true)
	f.Fuzz(func(t *testing.T, message []byte, text bool) {
		limits := DefaultLimits()
		hello := decodeHello(t, message, text)
		if hello == nil || limits.CheckHello(hello) != nil {
			return
		}
		if id := hello.Agent.ID; id == "" || len(id) > limits.MetricBytes || !utf8.ValidString(id) || len(hello.Epochs) > limits.Epochs {
			t.Fatalf("accepted: %+v", hello)
		}
		for i, l := range hello.Agent.Labels {
			if l.Name == AgentLabel || !isName(l.Name) || i > 0 && hello.Agent.Labels[i-1].Name >= l.Name {
				t.Fatalf("accepted labels: %+v", hello.Agent.Labels)
			}
		}
		if !utf8.ValidString(hello.Token) {
			return // JSON has no such text
		}
		again, err := Text(hello)
		if err != nil {
			t.Fatal(err)
		}
		for form, got := range map[string]*Hello{"binary": decodeHello(t, Binary(hello), false), "text": decodeHello(t, again, true)} {
			if got == nil || limits.CheckHello(got) != nil || !reflect.DeepEqual(normal(got), normal(hello)) {
				t.Fatalf("%s: got %+v, want %+v", form, got, hello)
			}
		}
	})
}

func decodeHello(t *testing.T, message []byte, text bool) *Hello {
	d := NewDecoder(DefaultLimits())
	decode := d.Binary
	if text {
		decode = d.Text
	}
	frame, err := decode(message)
	checkDecoded(t, frame, err, 0)
	hello, _ := frame.(*Hello)
	return hello
}

// normal makes no difference between none and nil.
func normal(h *Hello) *Hello {
	n := *h
	n.Agent.Labels = append([]Label{}, h.Agent.Labels...)
	n.Agent.Attributes = append([]Label{}, h.Agent.Attributes...)
	n.Epochs = append([]string{}, h.Epochs...)
	n.Interval = h.Interval.Truncate(time.Millisecond)
	return &n
}

// FuzzValues sends three values through one series' decimal state.
func FuzzValues(f *testing.F) {
	f.Add(1.5, 1.25, math.Pi)
	f.Add(0.0, math.Inf(1), 0.0)
	f.Add(1e15, 1e15+0.5, -1e-9)
	f.Fuzz(func(t *testing.T, a, b, c float64) {
		var to, from decimal
		var tokens []byte
		values := []float64{a, b, a, c}
		for _, v := range values {
			tokens = to.append(tokens, v)
		}
		in := column{rest: tokens}
		for i, v := range values {
			if got := from.next(&in); math.Float64bits(got) != math.Float64bits(v) {
				t.Fatalf("value %d: got %v, want %v", i, got, v)
			}
		}
		if !in.complete() || !reflect.DeepEqual(to, from) && a == a && b == b && c == c {
			t.Fatalf("the ends differ: %+v, %+v", to, from)
		}
	})
}
