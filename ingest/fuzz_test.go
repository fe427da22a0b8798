package ingest

import (
	"errors"
	"testing"
	"time"

	"telltale/ingest/wire"
)

// FuzzSession gives a welcomed session two messages of any bytes. It closes with a code of
// the published list, or what it hands on keeps the Sink's contract.
func FuzzSession(f *testing.F) {
	now := time.Now().UnixMilli()
	gauge, sketch := &wire.Series{Metric: "m"}, &wire.Series{Metric: "d", Kind: wire.Distribution}
	frames := []wire.Frame{
		&wire.Batch{Epoch: "e", Seq: 1, Samples: []wire.Sample{{Series: gauge, TS: now, Value: 1.5}, {Series: sketch, TS: now, Bins: wire.Sketch([]float64{1, 2, -3, 0})}}},
		&wire.Batch{Epoch: "e", Seq: 2, Samples: []wire.Sample{{Series: gauge, Value: -1}}},
		&wire.Gap{Epoch: "e", Seq: 1, ToSeq: 7, Count: 3, Reason: "r"},
		&wire.Batch{Epoch: "new", Seq: 1},
		&wire.Hello{Agent: wire.Agent{ID: "a"}},
	}
	for _, first := range frames {
		for _, second := range frames {
			e := wire.NewEncoder(wire.DefaultLimits())
			one, _ := e.Append(nil, first)
			two, _ := e.Append(nil, second)
			f.Add(one, two, false)
			textOne, err := wire.Text(first)
			if err != nil {
				f.Fatal(err)
			}
			textTwo, err := wire.Text(second)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(textOne, textTwo, true)
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte, text bool) {
		s := unconnected(t)
		contract(t, s)
		for _, message := range [][]byte{first, second} {
			decode := s.decoder.Binary
			if text {
				decode = s.decoder.Text
			}
			frame, err := decode(message)
			if err == nil {
				err = s.handle(frame)
			}
			var closing *wire.CloseError
			if err != nil && !errors.As(err, &closing) {
				t.Fatalf("error %v has no close code", err)
			}
			if err != nil {
				return
			}
			s.decoder.Release()
		}
	})
}

// contract makes the session's Sink see that what it is given is whole and in order.
func contract(t *testing.T, s *session) {
	s.gapSeen = true // else it is logged with the address of a connection that there is not
	sink := s.server.sink.(*fakeSink)
	next := map[string]uint64{}
	inOrder := func(epoch string, seq, last uint64) {
		if wire.CheckEpoch(epoch) != nil || seq != next[epoch]+1 || last < seq {
			t.Fatalf("epoch %q: %d to %d after %d", epoch, seq, last, next[epoch])
		}
		next[epoch] = last
	}
	sink.take = func(b *Batch) error {
		inOrder(b.Epoch, b.Seq, b.Seq)
		if n := b.rows(); len(b.TS) != n || len(b.Value) != n || len(b.N) != n {
			t.Fatalf("columns of different lengths: %+v", b)
		}
		for i := range b.Series {
			if b.Series[i] == 0 || b.N[i] == 0 || b.Value[i]-b.Value[i] != 0 {
				t.Fatalf("row %d of %+v", i, b)
			}
		}
		return nil
	}
	sink.gap = func(g *Gap) error {
		inOrder(g.Epoch, g.Seq, g.ToSeq)
		return nil
	}
}

func (b *Batch) rows() int { return len(b.Series) }
