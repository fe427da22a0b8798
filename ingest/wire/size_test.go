package wire

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// fleet is one agent of the synthetic fleet: each second a third of its values moves by a
// Gaussian step and has two decimals.
type fleet struct {
	random *rand.Rand
	series []*Series
	batch  Batch
}

func newFleet(series int) *fleet {
	f := &fleet{random: rand.New(rand.NewPCG(5, 6)), batch: Batch{Epoch: "0123456789abcdef"}}
	for i := range series {
		s := &Series{Metric: fmt.Sprintf("fleet.metric.%d", i/10), Unit: "1", Labels: []Label{{"instance", fmt.Sprint(i)}}}
		f.series = append(f.series, s)
		f.batch.Samples = append(f.batch.Samples, Sample{Series: s, Value: math.Round(f.random.Float64()*1e4) / 100})
	}
	return f
}

func (f *fleet) tick() *Batch {
	f.batch.Seq++
	for i := range f.batch.Samples {
		s := &f.batch.Samples[i]
		s.TS = 1763800000123 + int64(f.batch.Seq)*1000
		if f.random.IntN(3) == 0 {
			s.Value = math.Round((s.Value+f.random.NormFloat64())*100) / 100
		}
	}
	return &f.batch
}

// webSocketBytes is the header and mask that a client's message adds.
func webSocketBytes(message int) int {
	switch {
	case message < 126:
		return 6
	case message < 1<<16:
		return 8
	}
	return 14
}

func TestBytesPerSample(t *testing.T) {
	const ticks = 600
	for _, series := range []int{10, 100, 1000} {
		f, e := newFleet(series), NewEncoder(DefaultLimits())
		total, first := 0, 0
		for tick := range ticks {
			message, _ := e.Append(nil, f.tick())
			total += len(message) + webSocketBytes(len(message))
			if tick == 0 {
				first = total
			}
		}
		each := float64(total) / float64(ticks*series)
		t.Logf("%4d series a frame: %.2f bytes per sample over %d s (first frame, with names: %.1f)", series, each, ticks, float64(first)/float64(series))
		if series >= 100 && each > 3 {
			t.Errorf("%d series a frame: %.2f bytes per sample, more than 3", series, each)
		}
	}
}

func benchmarkMessages(series, ticks int) [][]byte {
	f, e := newFleet(series), NewEncoder(DefaultLimits())
	messages := make([][]byte, ticks)
	for i := range messages {
		messages[i], _ = e.Append(nil, f.tick())
	}
	return messages
}

func BenchmarkDecode(b *testing.B) {
	for _, series := range []int{100, 1000} {
		b.Run(fmt.Sprint(series), func(b *testing.B) {
			messages := benchmarkMessages(series, 1000)
			d := NewDecoder(DefaultLimits())
			if _, err := d.Binary(messages[0]); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := d.Binary(messages[1+i%(len(messages)-1)]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*series), "ns/sample")
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	const series = 100
	f, e := newFleet(series), NewEncoder(DefaultLimits())
	var message []byte
	b.ReportAllocs()
	for b.Loop() {
		message, _ = e.Append(message[:0], f.tick())
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*series), "ns/sample")
}
