package ingest

import (
	"math"
	"slices"
	"testing"

	"telltale/ingest/wire"
)

// batchOf is a batch of so many samples, of which the hub refuses those with an index in refused.
func batchOf(seq uint64, samples int, refused ...int) *wire.Batch {
	series := &wire.Series{Metric: "m"}
	b := &wire.Batch{Epoch: "e", Seq: seq, Samples: make([]wire.Sample, samples)}
	for i := range b.Samples {
		b.Samples[i] = wire.Sample{Series: series, Value: 1}
		if slices.Contains(refused, i) {
			b.Samples[i].Value = math.NaN()
		}
	}
	return b
}

// What storage cannot take is refused as a whole; the batches around it are not.
func TestQuarantinedBatchIsRefused(t *testing.T) {
	h := startHub(t)
	h.hold()
	c := h.connect()
	c.sendBinary(&wire.Hello{Token: goodToken, Agent: wire.Agent{ID: "a"}, Epochs: []string{"e"}})
	expect[*wire.Welcome](c)
	c.sendBinary(batchOf(1, 2))
	c.sendBinary(batchOf(2, 4, 1))
	c.sendBinary(batchOf(3, 3000))
	c.sendBinary(batchOf(4, 1))
	eventually(t, "taking all", func() bool { return len(h.taken("a")) == 4 })
	for seq := range uint64(4) {
		h.server.Stored([]Stored{{Agent: "a", Epoch: "e", Seq: seq + 1, Quarantined: seq == 1 || seq == 2}})
	}
	var refused []wire.Refused
	var unnamed, last uint64
	for last < 4 {
		ack := expect[*wire.Ack](c)
		refused, unnamed, last = append(refused, ack.Refused...), unnamed+ack.Unnamed, ack.Seq
	}
	want := []wire.Refused{
		{Seq: 2, Index: 0, Reason: wire.Quarantined}, {Seq: 2, Index: 1, Reason: wire.NotFinite},
		{Seq: 2, Index: 2, Reason: wire.Quarantined}, {Seq: 2, Index: 3, Reason: wire.Quarantined},
		{Seq: 3, Index: 0, Reason: wire.Quarantined},
	}
	if !slices.Equal(refused[:5], want) {
		t.Errorf("refused %+v, want %+v first", refused[:5], want)
	}
	if total := uint64(len(refused)) + unnamed; total != 3004 {
		t.Errorf("%d samples are refused, want all of two batches, 3004", total)
	}
	if got := h.counter("refused_samples_total{quarantined}"); got != 3003 {
		t.Errorf("%v samples are counted, want 3003", got)
	}
	if st := h.status("a"); st.Stored != 3 || st.Refused[wire.Quarantined] != 3003 || st.InFlight != 0 {
		t.Errorf("status %+v", st)
	}
}
