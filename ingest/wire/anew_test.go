package wire

import (
	"testing"
	"testing/synctest"
	"time"
)

// The JSON form has a description with every sample: what is remembered of them ends by itself.
func TestTextSeriesAreDescribedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDecoder(DefaultLimits())
		for _, want := range []struct {
			after   time.Duration
			reset   bool
			defined int
		}{{0, true, 1}, {keptFor, false, 0}, {time.Second, true, 1}, {time.Minute, false, 0}} {
			time.Sleep(want.after)
			frame, err := d.Text([]byte(`{"type":"batch","seq":1,"samples":[{"metric":"m","value":1}]}`))
			if err != nil {
				t.Fatal(err)
			}
			if c := frame.(*Columns); c.Reset != want.reset || len(c.Defined) != want.defined {
				t.Errorf("after %v: reset %v, %d described", want.after, c.Reset, len(c.Defined))
			}
		}
	})
}
