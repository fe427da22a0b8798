package agent

import (
	"math/rand/v2"
	"testing"
	"time"

	"telltale/ingest/wire"
)

// Whatever happens to a queue, what it hands out is a sequence without holes: each seq is
// in one batch or one gap, and a batch holds what was added at its place.
func TestQueueHandsOutASequenceWithoutHoles(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		q := newQueue(1 + random.IntN(20))
		series := &wire.Series{Metric: "m"}
		added, sent, acked := 0.0, uint64(0), uint64(0)
		offset := 0.0 // value of a batch minus its seq, in this epoch
		for range 300 {
			switch random.IntN(5) {
			case 0, 1:
				added++
				q.add([]wire.Sample{{Series: series, TS: int64(added), Value: added}})
			case 2:
				frame, to := q.next(sent)
				switch f := frame.(type) {
				case nil:
					if sent != uint64(added-offset) {
						t.Fatalf("seed %d: nothing to send after %d of %v", seed, sent, added-offset)
					}
				case *wire.Batch:
					if f.Seq != sent+1 || to != f.Seq || f.Samples[0].Value != float64(f.Seq)+offset {
						t.Fatalf("seed %d: after %d came %+v", seed, sent, f)
					}
				case *wire.Gap:
					if f.Seq != sent+1 || f.ToSeq < f.Seq || to != f.ToSeq || f.Count == 0 || f.Reason == "" {
						t.Fatalf("seed %d: after %d came %+v", seed, sent, f)
					}
				}
				sent = to
			case 3:
				if sent > acked {
					acked += 1 + random.Uint64N(sent-acked)
					q.ack(&wire.Ack{Epoch: q.currentEpoch(), Seq: acked})
				}
			case 4:
				switch random.IntN(10) {
				case 0: // reconnected
					sent = q.resume(acked)
				case 1: // to a hub that knows nothing
					epoch := q.currentEpoch()
					first := q.first - q.lost.batches
					if sent = q.resume(0); sent != 0 {
						t.Fatalf("seed %d: resuming at %d", seed, sent)
					}
					if q.currentEpoch() != epoch {
						offset += float64(first - 1)
					}
					acked = 0
				}
			}
		}
		stats := q.statistics()
		if stats.Acknowledged+stats.Dropped+uint64(stats.Waiting) != uint64(added) {
			t.Fatalf("seed %d: %+v of %v", seed, stats, added)
		}
	}
}

func TestGapSaysWhatWasLost(t *testing.T) {
	q := newQueue(4)
	add := func(ts ...int64) {
		var samples []wire.Sample
		for _, ts := range ts {
			samples = append(samples, wire.Sample{Series: &wire.Series{Metric: "m"}, TS: ts})
		}
		q.add(samples)
	}
	add(1000, 1001)
	add(900, 2000)
	add(3000, 3000)
	add(4000, 4000)
	frame, to := q.next(0)
	want := wire.Gap{Epoch: q.epoch, Seq: 1, ToSeq: 2, From: 900, To: 2000, Count: 4, Reason: "queue_full"}
	if gap, ok := frame.(*wire.Gap); !ok || *gap != want || to != 2 {
		t.Errorf("got %+v up to %d, want %+v", frame, to, want)
	}
}

func TestBackoff(t *testing.T) {
	var b backoff
	longest := time.Duration(0)
	for try := range 20 {
		wait := b.next(nil)
		want := min(firstWait<<min(try, 10), maxWait)
		if wait < want/2 || wait > want {
			t.Errorf("try %d: %v, want %v to %v", try, wait, want/2, want)
		}
		longest = max(longest, wait)
	}
	if longest > maxWait {
		t.Errorf("waits up to %v", longest)
	}
	b.reset()
	if wait := b.next(nil); wait > firstWait {
		t.Errorf("after a reset: %v", wait)
	}
	if wait := b.next(&wire.CloseError{Code: wire.Overloaded, RetryAfter: 7 * time.Second}); wait < 7*time.Second || wait > 14*time.Second {
		t.Errorf("told to come back in 7s: %v", wait)
	}
	if wait := b.next(wire.Closef(wire.Unauthorized, "")); wait < finalWait/2 {
		t.Errorf("unauthorized: %v", wait)
	}
	if wait := b.next(wire.Closef(wire.OutOfOrder, "")); wait > maxWait {
		t.Errorf("out of order: %v", wait)
	}
}
