package spool

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"telltale/ingest/wire"
)

// Any bytes as a segment: reading ends, and covers each seq once.
func FuzzSegment(f *testing.F) {
	raw := segmentHeader(1)
	encoder := wire.NewEncoder(boundless)
	for seq := range uint64(5) {
		r := record{seq: seq + 1, samples: 1, from: 5, to: 6}
		if seq == 0 {
			r.flags = keyFlag
			encoder.Reset()
		}
		r.message, _ = encoder.Append(nil, &wire.Batch{Samples: []wire.Sample{{Series: testSeries[0], TS: 5, Value: float64(seq)}}})
		raw = r.appendTo(raw)
	}
	f.Add(raw)
	f.Add(raw[:len(raw)-3])
	f.Add(append(bytes.Clone(raw), raw[headerBytes:]...))
	f.Add([]byte(segmentMagic))
	f.Fuzz(func(t *testing.T, raw []byte) {
		scan := newScanner(bytes.NewReader(raw), 0, int64(len(raw)))
		for r, ok := scan.next(); ok; r, ok = scan.next() {
			again := r
			if size := len(again.appendTo(nil)); r.at < 0 || r.at+int64(size) > int64(len(raw))+16 {
				t.Fatalf("a record of %d bytes at %d of %d", size, r.at, len(raw))
			}
		}
		config := testConfig(t, t.TempDir())
		if err := os.WriteFile(filepath.Join(config.Dir, segmentName("e", 1)), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, config)
		cursor := s.Cursor("e", 0)
		defer cursor.Close()
		after := uint64(0)
		for range 10_000 {
			frame, to := cursor.Next()
			if frame == nil {
				break
			}
			if to <= after {
				t.Fatalf("after %d came %d", after, to)
			}
			after = to
		}
	})
}

// Any bytes as the state file, beside a segment that is whole: opening takes up what it can,
// and what there is of each epoch is covered once, to its end.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"clean":true,"epochs":[{"epoch":"e","opened":5,"acked":1,"next":4,"newest":9}]}`))
	f.Add([]byte(`{"epochs":[{"epoch":"e","acked":0,"next":9,"losses":[{"seq":2,"to_seq":3,"reason":"corrupt"}]},{"epoch":"f","next":1}]}`))
	f.Add([]byte(`{"epochs":[{"epoch":"../e","acked":1,"next":2,"losses":[{"seq":9,"to_seq":1}]}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		config := testConfig(t, t.TempDir())
		if err := os.WriteFile(filepath.Join(config.Dir, stateFile), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, config)
		ids := s.Epochs()
		if len(ids) > MaxEpochs {
			t.Fatalf("%d epochs are held", len(ids))
		}
		for _, id := range ids {
			if wire.CheckEpoch(id) != nil {
				t.Fatalf("no hub would take the epoch %q", id)
			}
			after, end := s.Acknowledged(id), s.Acknowledged(id)+s.Waiting(id)
			cursor := s.Cursor(id, after)
			for range 1000 {
				frame, to := cursor.Next()
				if frame == nil {
					break
				}
				if to <= after || to > end {
					t.Fatalf("after %d came %d, of an epoch that ends at %d", after, to, end)
				}
				after = to
			}
			cursor.Close()
		}
	})
}

// A host's batches: about 300 series, most of which hardly move.
func TestBytesPerSample(t *testing.T) {
	s := open(t, testConfig(t, t.TempDir()))
	random := rand.New(rand.NewPCG(5, 6))
	var series []*wire.Series
	values := make([]float64, 300)
	for i := range values {
		series = append(series, &wire.Series{Metric: testSeries[i%40].Metric, Labels: []wire.Label{{Name: "device", Value: testSeries[i/40].Metric}}})
	}
	const ticks = 1000
	now := time.Now().UnixMilli()
	for tick := range int64(ticks) {
		samples := make([]wire.Sample, len(values))
		for i := range samples {
			if random.IntN(3) == 0 {
				values[i] = math.Round((values[i]+random.NormFloat64())*100) / 100
			}
			samples[i] = wire.Sample{Series: series[i], TS: now + tick*1000, Value: values[i]}
		}
		s.Add(samples)
	}
	each := float64(s.Stats().Bytes) / float64(ticks*len(values))
	t.Logf("%.2f bytes per sample", each)
	if each > 3 {
		t.Errorf("%.2f bytes per sample, more than 3", each)
	}
}
