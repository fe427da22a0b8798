package collect

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"telltale/ingest/wire"
)

func TestCounterIncrease(t *testing.T) {
	f := func(totals []uint64, want ...float64) {
		t.Helper()
		c := newCounter("m", "By", time.Second)
		var r readings
		for _, total := range totals {
			r.count(&c, total)
		}
		if got := values(&r); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("totals %v yield %v, want %v", totals, got, want)
		}
	}
	f([]uint64{5})                                          // the first reading yields nothing
	f([]uint64{5, 9, 9, 10}, 4, 0, 1)                       // growth
	f([]uint64{100, 7, 8}, 7, 1)                            // a reset: the new value is the increase
	f([]uint64{100, 0, 3}, 0, 3)                            // a reset to zero
	f([]uint64{1 << 60, 1<<60 + 3}, 3)                      // exact beyond 2^53
	f([]uint64{0, math.MaxUint64}, float64(math.MaxUint64)) // no overflow
}

func TestCounterOfMilliseconds(t *testing.T) {
	c := newCounter("m", "s", time.Second)
	var r readings
	for _, total := range []uint64{10, 1344, 1345} {
		r.countMillis(&c, total)
	}
	if got := fmt.Sprint(values(&r)); got != "[1.334 0.001]" {
		t.Errorf("got %s", got)
	}
}

func values(r *readings) []float64 {
	var vs []float64
	for _, s := range r.samples {
		vs = append(vs, s.Value)
	}
	return vs
}

func TestRounding(t *testing.T) {
	f := func(got, want float64) {
		t.Helper()
		if got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	f(round(1.23456, loadSteps), 1.23)
	f(round(51.25001, temperatureSteps), 51.3)
	f(round(-0.04, temperatureSteps), 0)
	f(round(0.0005, secondSteps), 0.001)
	f(ratio(1, 3), 0.3333)
	f(ratio(2, 3), 0.6667)
	f(ratio(5, 0), 0)  // nothing of nothing
	f(ratio(5, 4), 1)  // never more than all
	f(ratio(-1, 4), 0) // nor less than nothing
}

func TestReadingsLeaveOutWhatIsNoNumber(t *testing.T) {
	s := gauge("m", "1", time.Second)
	var r readings
	for _, v := range []float64{math.NaN(), 1, math.Inf(1), math.Inf(-1)} {
		r.add(s, v)
	}
	if got := fmt.Sprint(values(&r)); got != "[1]" {
		t.Errorf("got %s", got)
	}
}

func TestSeriesLabelsAreSortedAndClean(t *testing.T) {
	given := []wire.Label{{Name: "b", Value: "x\xff"}, {Name: "a", Value: strings.Repeat("é", 200)}}
	s := newSeries("m", wire.Gauge, "1", time.Second, given)
	if s.Labels[0].Name != "a" || s.Labels[1].Value != "x\uFFFD" {
		t.Errorf("got %+v", s.Labels)
	}
	if v := s.Labels[0].Value; len(v) != maxValueBytes || !utf8.ValidString(v) {
		t.Errorf("a long value became %d bytes", len(v))
	}
	if given[0].Value != "x\xff" {
		t.Error("the caller's labels were changed")
	}
}

func TestTableBoundsItsInstances(t *testing.T) {
	opened := 0
	tab := newTable(30*time.Minute, func(n int) int { opened++; return n * 10 })
	var r readings
	tab.begin()
	for n := range maxInstances {
		if v := tab.get(&r, n); v == nil || *v != n*10 {
			t.Fatalf("instance %d is %v", n, v)
		}
	}
	if v := tab.get(&r, 0); v == nil || opened != maxInstances {
		t.Errorf("after a second look at an instance %d were opened, want %d", opened, maxInstances)
	}
	if tab.get(&r, 1000) != nil || r.cut != 1 {
		t.Errorf("an instance too many was let in, cut = %d", r.cut)
	}

	seeAllBut := func(unseen int) {
		tab.begin()
		for n := range maxInstances {
			if n != unseen {
				tab.get(&r, n)
			}
		}
	}
	r.cut = 0
	seeAllBut(5)
	seeAllBut(5) // unseen for two readings: an hour
	if tab.get(&r, 1000) != nil {
		t.Error("an instance was forgotten too early")
	}
	seeAllBut(5)
	if tab.get(&r, 1000) == nil || len(tab.entries) != maxInstances || tab.entries[5] != nil {
		t.Error("the instance that was unseen for longest did not make room")
	}
	if r.cut != 1 {
		t.Errorf("cut = %d, want 1", r.cut)
	}
}

func TestWholeTicks(t *testing.T) {
	f := func(interval, tick time.Duration, want uint64) {
		t.Helper()
		if got := wholeTicks(interval, tick); got != want {
			t.Errorf("%v at a tick of %v is %d ticks, want %d", interval, tick, got, want)
		}
	}
	f(0, time.Second, 1)
	f(time.Second, time.Second, 1)
	f(15*time.Second, time.Second, 15)
	f(5*time.Second, 2*time.Second, 3)
	f(5*time.Second, time.Minute, 1)
	f(time.Second, 100*time.Millisecond, 10)
}
