package wire

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/easyproto"
	"github.com/klauspost/compress/zstd"
)

func TestTextThatIsNoFrame(t *testing.T) {
	f := func(message string, code CloseCode, says string) {
		t.Helper()
		_, err := NewDecoder(DefaultLimits()).Text([]byte(message))
		if got := closeCode(t, err); got != code {
			t.Errorf("%.60s: got %v, want %v", message, err, code)
		}
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%.60s: error %q does not say %q", message, err, says)
		}
	}
	f("hello", BadFrame, "invalid character")
	f("", BadFrame, "unexpected end")
	f("[]", BadFrame, "cannot unmarshal array")
	f(`{"type":"party"}`, BadFrame, `unknown frame type "party"`)
	f(`{"type":7}`, BadFrame, "type must not be a JSON number")
	f(`{"type":"batch","seq":"one","samples":[]}`, BadFrame, "seq must not be a JSON string")
	f(`{"type":"batch","seq":-1,"samples":[]}`, BadFrame, "seq must not be")
	f(`{"type":"batch","seq":1}`, BadFrame, "samples is missing")
	f(`{"type":"batch","seq":1,"samples":{}}`, BadFrame, "samples must be an array")
	f(`{"type":"batch","seq":1,"samples":[{"metric":"m","value":"1"}]}`, BadFrame, "value must not be a JSON string")
	f(`{"type":"batch","seq":1,"samples":[{"metric":"m","value":NaN}]}`, BadFrame, "invalid character 'N'")
	f(`{"type":"batch","seq":1,"samples":[{"metric":"m","value":1e999}]}`, BadFrame, "value must not be a JSON number 1e999")
	f(`{"type":"batch","seq":1,"samples":[{"metric":"m","value":1,"ts":1.5}]}`, BadFrame, "ts must not be a JSON number 1.5")
	f(`{"type":"batch","seq":1,"samples":[{"metric":"m","value":1,"kind":"guess"}]}`, BadFrame, "use gauge, counter or distribution")
	f(`{"type":"batch","seq":1,"samples":[{"metric":"m","value":1,"labels":{"a":1}}]}`, BadFrame, `label "a" must be a string`)
	f(`{"type":"hello","agent":{"id":"a","labels":["x"]}}`, BadFrame, "must be an object of strings")
	f("{\"type\":\"hello\",\"token\":\"\xff\"}", InvalidText, "UTF-8")
	f(strings.Repeat(" ", 5<<20), TooBig, "4194304")
	f(`{"type":"batch","seq":1,"samples":[`+strings.Repeat("{},", 20_000)+`{}]}`, LimitExceeded, "20000 samples")
	f(`{"type":"batch","seq":1,"samples":[{"metric":"m","kind":"distribution","values":[`+strings.Repeat("1,2,", 20_000)+`3]},`+
		`{"metric":"m","kind":"distribution","bins":[`+strings.Repeat("[0,1],", 20_000)+`[0,1]]}]}`, LimitExceeded, "20000 samples")
}

func TestTextSamplesThatAreRefused(t *testing.T) {
	f := func(sample string, want Reason) {
		t.Helper()
		r := newReceiver()
		frame, err := r.Text([]byte(`{"type":"batch","seq":1,"samples":[{"metric":"good","value":1},` + sample + `,{"metric":"good","value":2}]}`))
		if err != nil {
			t.Fatal(err)
		}
		c := frame.(*Columns)
		if len(c.Ref) != 3 || len(c.Fault) != 3 || c.Fault[0] != "" || c.Fault[2] != "" {
			t.Fatalf("%.80s: the samples beside it are disturbed: %+v", sample, c)
		}
		if c.Fault[1] != want {
			t.Errorf("%.80s: got %q, want %q", sample, c.Fault[1], want)
		}
		if c.Value[0] != 1 || c.Value[2] != 2 || len(c.Defined) > 2 {
			t.Errorf("%.80s: got %+v", sample, c)
		}
	}
	labels := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"l%d":"v",`, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	f(`{"metric":"m"}`, BadValue)
	f(`{"metric":"m","value":null}`, BadValue)
	f(`{"metric":"m","value":1,"values":[1]}`, BadValue)
	f(`{"metric":"m","kind":"distribution","value":1}`, BadValue)
	f(`{"metric":"m","kind":"distribution","values":[]}`, BadValue)
	f(`{"metric":"m","kind":"distribution","bins":[[1,5]]}`, BadValue)       // no value has this key
	f(`{"metric":"m","kind":"distribution","bins":[[65536,0]]}`, BadValue)   // nothing in it
	f(`{"metric":"m","kind":"distribution","bins":[[65536,-1]]}`, BadValue)  // less than nothing
	f(`{"metric":"m","kind":"distribution","bins":[[2,1],[1,1]]}`, BadValue) // descending
	f(`{"metric":"","value":1}`, BadMetric)
	f(`{"metric":"sp ace","value":1}`, BadMetric)
	f(`{"metric":"`+strings.Repeat("m", 201)+`","value":1}`, BadMetric)
	f(`{"metric":"m","unit":"\n","value":1}`, BadMetric)
	f(`{"metric":"m","value":1,"labels":{"1st":"x"}}`, BadLabel)
	f(`{"metric":"m","value":1,"labels":{"a":"x","a":"y"}}`, BadLabel)
	f(`{"metric":"m","value":1,"labels":{"a":"\u0000"}}`, BadLabel)
	f(`{"metric":"m","value":1,"labels":{"agent":"other"}}`, ReservedLabel)
	f(`{"metric":"m","value":1,"labels":{`+labels(33)+`}}`, TooManyLabels)
	f(`{"metric":"m","value":1,"labels":{`+labels(10_000)+`}}`, TooManyLabels)
	f(`{"metric":"m","value":1,"labels":{"`+strings.Repeat("n", 129)+`":"x"}}`, LabelTooLong)
	f(`{"metric":"m","value":1,"labels":{"a":"`+strings.Repeat("v", 1<<20)+`"}}`, LabelTooLong)
}

func TestBinaryDefinitionsThatAreRefused(t *testing.T) {
	f := func(series Series, want Reason) {
		t.Helper()
		e := NewEncoder(DefaultLimits())
		message, _ := e.Append(nil, &Batch{Seq: 1, Samples: []Sample{{gauge("good"), 1, 1, nil}, {&series, 1, 2, nil}}})
		frame, err := NewDecoder(DefaultLimits()).Binary(message)
		if err != nil {
			t.Fatal(err)
		}
		c := frame.(*Columns)
		if c.Defined[0].Reason != "" || c.Defined[1].Reason != want {
			t.Errorf("got reasons %q and %q, want none and %q", c.Defined[0].Reason, c.Defined[1].Reason, want)
		}
		if c.Defined[1].Metric != "" || c.Defined[1].Labels != nil {
			t.Error("a refused description is kept in memory")
		}
	}
	many := make([]Label, 10_000)
	for i := range many {
		many[i] = Label{fmt.Sprintf("l%d", i), "v"}
	}
	f(Series{Metric: "m", Labels: many}, TooManyLabels)
	f(Series{Metric: "m", Labels: []Label{{"a", strings.Repeat("v", 1<<20)}}}, LabelTooLong)
	f(Series{Metric: "m", Labels: []Label{{strings.Repeat("n", 200), "v"}}}, LabelTooLong)
	f(Series{Metric: "m", Labels: []Label{{"a", "\xff"}}}, InvalidUTF8)
	f(Series{Metric: "m\xff"}, InvalidUTF8)
	f(Series{Metric: "m", Unit: "\xff"}, InvalidUTF8)
	f(Series{Metric: ""}, BadMetric)
	f(Series{Metric: strings.Repeat("m", 201)}, BadMetric)
	f(Series{Metric: "m", Labels: []Label{{"a", "1"}, {"a", "2"}}}, BadLabel)
	f(Series{Metric: "m", Labels: []Label{{"agent", "x"}}}, ReservedLabel)
}

// batchOf makes a batch frame by hand: what no Encoder would write.
func batchOf(write func(mm *easyproto.MessageMarshaler)) []byte {
	var m easyproto.Marshaler
	b := m.MessageMarshaler().AppendMessage(batchField)
	b.AppendUint64(2, 1)
	write(b)
	return m.Marshal([]byte{plain})
}

func TestBinaryThatIsNoFrame(t *testing.T) {
	f := func(name string, message []byte, code CloseCode) {
		t.Helper()
		_, err := NewDecoder(DefaultLimits()).Binary(message)
		if got := closeCode(t, err); got != code {
			t.Errorf("%s: got %v, want %v", name, err, code)
		}
	}
	define := func(mm *easyproto.MessageMarshaler, kind uint32) {
		s := mm.AppendMessage(4)
		s.AppendString(1, "m")
		s.AppendUint32(2, kind)
	}
	f("empty", nil, BadFrame)
	f("no frame", []byte{plain}, BadFrame)
	f("unknown compression", []byte{9, 1, 2}, BadFrame)
	f("unknown type", append([]byte{plain}, 15<<3|2, 0), BadFrame)
	f("not a message", append([]byte{plain}, batchField<<3, 1), BadFrame)
	f("two frames", append([]byte{plain}, batchField<<3|2, 0, batchField<<3|2, 0), BadFrame)
	f("noise", []byte{plain, 0xff, 0xff, 0xff, 0xff}, BadFrame)
	f("not zstd", []byte{compressed, 1, 2, 3, 4, 5, 6}, BadFrame)
	f("too big", make([]byte, 5<<20), TooBig)
	f("refs to nothing", batchOf(func(mm *easyproto.MessageMarshaler) { mm.AppendBytes(5, []byte{0}) }), BadFrame)
	f("negative ref", batchOf(func(mm *easyproto.MessageMarshaler) { mm.AppendBytes(5, []byte{3}) }), BadFrame)
	f("endless varint", batchOf(func(mm *easyproto.MessageMarshaler) { define(mm, 0); mm.AppendBytes(5, []byte{0x80}) }), BadFrame)
	f("values missing", batchOf(func(mm *easyproto.MessageMarshaler) { define(mm, 0); mm.AppendBytes(5, []byte{0}) }), BadFrame)
	f("values left over", batchOf(func(mm *easyproto.MessageMarshaler) { mm.AppendBytes(8, []byte{0}) }), BadFrame)
	f("unknown exponent", batchOf(func(mm *easyproto.MessageMarshaler) {
		define(mm, 0)
		mm.AppendBytes(5, []byte{0})
		mm.AppendBytes(8, []byte{10<<1 | 1, 0})
	}), BadFrame)
	f("cut float", batchOf(func(mm *easyproto.MessageMarshaler) {
		define(mm, 0)
		mm.AppendBytes(5, []byte{0})
		mm.AppendBytes(8, []byte{rawToken, 0, 0})
	}), BadFrame)
	f("times left over", batchOf(func(mm *easyproto.MessageMarshaler) { mm.AppendBytes(7, []byte{0}) }), BadFrame)
	f("unknown kind", batchOf(func(mm *easyproto.MessageMarshaler) { define(mm, 3) }), BadFrame)
	f("seq as text", batchOf(func(mm *easyproto.MessageMarshaler) { mm.AppendString(2, "1") }), BadFrame)
	f("20,001 samples", batchOf(func(mm *easyproto.MessageMarshaler) {
		define(mm, 0)
		mm.AppendBytes(5, append([]byte{0}, strings.Repeat("\x01", 20_000)...))
	}), LimitExceeded)
	f("a billion bins", batchOf(func(mm *easyproto.MessageMarshaler) {
		define(mm, 2)
		mm.AppendBytes(5, []byte{0})
		mm.AppendBytes(9, binary.AppendUvarint(nil, 1e9))
	}), LimitExceeded)
	f("100,001 series", batchOf(func(mm *easyproto.MessageMarshaler) {
		for range 100_001 {
			define(mm, 0)
		}
	}), LimitExceeded)
}

func TestBinaryBinsThatAreRefused(t *testing.T) {
	f := func(bins []byte, want Reason) {
		t.Helper()
		frame, err := NewDecoder(DefaultLimits()).Binary(batchOf(func(mm *easyproto.MessageMarshaler) {
			s := mm.AppendMessage(4)
			s.AppendString(1, "m")
			s.AppendUint32(2, uint32(Distribution))
			mm.AppendBytes(5, []byte{0})
			mm.AppendBytes(9, bins)
		}))
		if err != nil {
			t.Fatal(err)
		}
		c := frame.(*Columns)
		if got := c.Fault; want == "" && got != nil || want != "" && (got == nil || got[0] != want) {
			t.Errorf("bins %x: got %q, want %q", bins, got, want)
		}
	}
	f([]byte{1, 0, 1}, "")                                                 // the bin of 1
	f([]byte{2, 0, 1, 2, 1}, "")                                           // and the one after
	f(nil, BadValue)                                                       // no column
	f([]byte{0}, BadValue)                                                 // no bins
	f([]byte{1, 0, 0}, BadValue)                                           // an empty bin
	f([]byte{2, 0, 1, 0, 1}, BadValue)                                     // the same bin twice
	f(append(binary.AppendUvarint([]byte{1}, zigzag(1<<40)), 1), BadValue) // an impossible key
	f(binary.AppendUvarint([]byte{1, 0}, 1<<40), BadValue)                 // a count over 32 bits
}

func TestDecompressionBomb(t *testing.T) {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	bomb := e.EncodeAll(make([]byte, 100<<20), []byte{compressed})
	if len(bomb) > 100<<10 {
		t.Fatalf("the bomb is %d bytes, not small", len(bomb))
	}
	d := NewDecoder(DefaultLimits())
	_, err = d.Binary(bomb)
	if closeCode(t, err) != TooBig {
		t.Errorf("got %v, want %v", err, TooBig)
	}
	// Many small frames behind each other are one message too.
	part := e.EncodeAll(make([]byte, 1<<20), nil)
	_, err = d.Binary(append([]byte{compressed}, strings.Repeat(string(part), 100)...))
	if closeCode(t, err) != TooBig {
		t.Errorf("several zstd frames: got %v, want %v", err, TooBig)
	}
	limits := DefaultLimits()
	limits.FrameBytes = 1 << 20
	_, err = NewDecoder(limits).Binary(e.EncodeAll(make([]byte, 2<<20), []byte{compressed}))
	if closeCode(t, err) != TooBig {
		t.Errorf("above a lower limit: got %v, want %v", err, TooBig)
	}
}

func TestCheckHello(t *testing.T) {
	f := func(h Hello, want CloseCode) {
		t.Helper()
		limits := DefaultLimits()
		if err := limits.CheckHello(&h); want == 0 && err != nil || want != 0 && (err == nil || err.Code != want) {
			t.Errorf("%.80v: got %v, want %v", h, err, want)
		}
	}
	agent := Agent{ID: "a"}
	f(Hello{Agent: agent}, 0)
	f(Hello{Agent: Agent{ID: "a", Labels: []Label{{"region", "eu"}}}, Epochs: []string{"0f"}}, 0)
	f(Hello{}, BadFrame)
	f(Hello{Agent: Agent{ID: "a\n"}}, BadFrame)
	f(Hello{Agent: Agent{ID: strings.Repeat("a", 201)}}, BadFrame)
	f(Hello{Agent: Agent{ID: "a", Labels: []Label{{"agent", "b"}}}}, BadFrame)
	f(Hello{Agent: Agent{ID: "a", Labels: make([]Label, 33)}}, LimitExceeded)
	f(Hello{Agent: Agent{ID: "a", Attributes: []Label{{"os", strings.Repeat("x", 2000)}}}}, LimitExceeded)
	f(Hello{Agent: agent, Epochs: []string{""}}, BadFrame)
	f(Hello{Agent: agent, Epochs: []string{"no spaces"}}, BadFrame)
	f(Hello{Agent: agent, Epochs: make([]string, 33)}, LimitExceeded)
}
