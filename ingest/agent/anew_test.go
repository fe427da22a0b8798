package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"telltale/ingest/wire"
)

// Once an hour an agent describes its series anew, so that the hub learns which have ended.
func TestSeriesAreDescribedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{encoder: wire.NewEncoder(wire.DefaultLimits()), limits: wire.DefaultLimits(), described: time.Now()}
		decoder := wire.NewDecoder(wire.DefaultLimits())
		series := []*wire.Series{{Metric: "stays"}, {Metric: "ends"}}
		for minute, wants := range []struct{ described, samples int }{0: {2, 2}, 20: {0, 1}, 60: {0, 1}, 61: {1, 1}, 100: {0, 1}, 122: {1, 1}} {
			if wants.samples > 0 {
				batch := &wire.Batch{Epoch: "e", Seq: uint64(minute + 1)}
				for _, s := range series[:wants.samples] {
					batch.Samples = append(batch.Samples, wire.Sample{Series: s, Value: float64(minute)})
				}
				if !s.fits(batch) {
					t.Fatal("the batch does not fit")
				}
				frame, err := decoder.Binary(s.message)
				if err != nil {
					t.Fatal(err)
				}
				c := frame.(*wire.Columns)
				if len(c.Defined) != wants.described || c.Reset != (minute > 60 && wants.described > 0) || c.Value[0] != float64(minute) {
					t.Errorf("minute %d: %d series are described, reset %v, value %v", minute, len(c.Defined), c.Reset, c.Value[0])
				}
			}
			time.Sleep(time.Minute)
		}
	})
}
