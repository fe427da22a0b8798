package ingest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"telltale/ingest/wire"
)

// BenchmarkBatch is what a sample costs the hub between socket and Sink: decoding, checking
// and making rows, for an agent whose values move like a host's.
func BenchmarkBatch(b *testing.B) {
	for _, series := range []int{100, 1000} {
		b.Run(fmt.Sprint(series), func(b *testing.B) {
			s := unconnected(b)
			e := wire.NewEncoder(wire.DefaultLimits())
			random := rand.New(rand.NewPCG(1, 2))
			batch := &wire.Batch{Epoch: "e"}
			for i := range series {
				batch.Samples = append(batch.Samples, wire.Sample{Series: &wire.Series{Metric: fmt.Sprint("m", i)}})
			}
			var message []byte
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				batch.Seq++
				for i := range batch.Samples {
					sample := &batch.Samples[i]
					sample.TS = time.Now().UnixMilli()
					if random.IntN(3) == 0 {
						sample.Value = math.Round((sample.Value+random.NormFloat64())*100) / 100
					}
				}
				message, _ = e.Append(message[:0], batch)
				b.StartTimer()
				frame, err := s.decoder.Binary(message)
				if err != nil {
					b.Fatal(err)
				}
				if err := s.handle(frame); err != nil {
					b.Fatal(err)
				}
				s.server.Stored([]Stored{{Agent: "a", Epoch: "e", Seq: batch.Seq}})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*series), "ns/sample")
		})
	}
}

// unconnected is a welcomed session without a connection.
func unconnected(b testing.TB) *session {
	id := uint64(0)
	sink := &fakeSink{
		detach: func(string) {},
		series: func(wire.Series) (uint64, error) { id++; return id, nil },
		take:   func(*Batch) error { return nil },
		live:   func(*Batch) {},
		fill:   func() float64 { return 0 },
		forget: func(string) {},
	}
	config := DefaultConfig()
	server, err := New(config, sink, tokens{}, prometheus.NewRegistry(), slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		b.Fatal(err)
	}
	s := &session{
		greeted: true, out: outbox{closed: true}, server: server, decoder: wire.NewDecoder(config.Limits), room: make(chan struct{}, 1), ending: context.Background(),
		interval: time.Second, epochs: map[string]*sequence{"e": {next: 1}},
	}
	s.agent, _, _ = server.directory.claim("a", s)
	s.beginPace(false)
	s.agent.welcome(s, []string{"e"}, nil)
	return s
}
