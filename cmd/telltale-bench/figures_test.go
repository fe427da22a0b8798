package main

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPercentilesOfSmallCounts(t *testing.T) {
	f := func(want percentiles, ms ...int) {
		t.Helper()
		var h histogram
		for _, v := range ms {
			h.add(time.Duration(v) * time.Microsecond * 10)
		}
		if got := h.percentiles(); got != want {
			t.Errorf("percentiles of %v: %+v, want %+v", ms, got, want)
		}
	}
	f(percentiles{})
	f(percentiles{Count: 1, P50: 0.05, P90: 0.05, P99: 0.05, Max: 0.05}, 5)
	f(percentiles{Count: 2, P50: 0.01, P90: 0.02, P99: 0.02, Max: 0.02}, 2, 1)
	f(percentiles{Count: 10, P50: 0.05, P90: 0.09, P99: 0.1, Max: 0.1}, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	f(percentiles{Count: 1}, -5) // a clock that went back counts as no time
}

// Nearest rank of the sorted values, within the width of a bucket.
func TestPercentilesAgreeWithSorting(t *testing.T) {
	var h histogram
	var values []float64
	for i := range 50_000 {
		us := math.Exp(float64(i%997)/50) * float64(1+i%13)
		d := time.Duration(us) * time.Microsecond
		h.add(d)
		values = append(values, float64(d.Microseconds())/1000)
	}
	slices.Sort(values)
	got := h.percentiles()
	for percent, at := range map[int]float64{50: got.P50, 90: got.P90, 99: got.P99, 100: got.Max} {
		want := values[(percent*len(values)+99)/100-1]
		if math.Abs(at-want) > want*0.008+0.01 {
			t.Errorf("p%d is %v, want %v", percent, at, want)
		}
	}
}

func TestBucketsAreContiguous(t *testing.T) {
	for bucket := range bucketCount {
		top := bucketTop(bucket)
		if got := bucketOf(uint64(top)); got != bucket {
			t.Fatalf("%d us is the top of bucket %d and counts in %d", top, bucket, got)
		}
		if bucket+1 < bucketCount && bucketOf(uint64(top+1)) != bucket+1 {
			t.Fatalf("%d us, past the top of bucket %d, counts in %d", top+1, bucket, bucketOf(uint64(top+1)))
		}
	}
	var h histogram
	h.add(math.MaxInt64) // must have a bucket too
	if got := h.percentiles(); got.Count != 1 {
		t.Errorf("the longest duration is lost: %+v", got)
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", -999: "-999", 1234567: "1,234,567", 100000: "100,000"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestPrint(t *testing.T) {
	r := &agentsReport{
		Agents: 3, Connected: 2, SeriesPerAgent: 10, IntervalSeconds: 1, SamplesRefused: map[string]int64{"too_old": 7, "bad_value": 1000},
		SamplesOutstanding: 5, SamplesLost: 6, SamplesSkipped: 8, Lag: percentiles{P50: 1.5, Max: 20},
		Processes: []processFigures{{PID: 7, Name: "telltale serve", CPUMicros: 1.25, ResidentBytes: 5e6}, {PID: 8, Name: "gone", Lost: "ended"}},
	}
	var out, other bytes.Buffer
	c := console{out: &out, err: &other}
	if err := c.print(r, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 of 3", "bad_value 1,000, too_old 7", "p50 1.5  p90 0  p99 0  max 20 ms", "telltale serve (7)", "1.250", "5.0", "gone (8)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
	table := out.String()
	out.Reset()
	if err := c.print(r, true); err != nil {
		t.Fatal(err)
	}
	var read agentsReport
	if err := json.Unmarshal(out.Bytes(), &read); err != nil || read.SamplesRefused["bad_value"] != 1000 || read.Lag.P50 != 1.5 {
		t.Errorf("JSON reads back as %+v, %v", read, err)
	}
	if other.String() != table {
		t.Errorf("with JSON, standard error has %q, want the table", other.String())
	}
	for _, want := range []string{"2 of 3 agents", "1007 samples were refused", "5 samples were never", "6 samples were acknowledged and then", "8 samples were skipped"} {
		if err := r.failure(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("failure %v, want %q in it", err, want)
		}
	}
	if err := (&agentsReport{Agents: 2, Connected: 2}).failure(); err != nil {
		t.Errorf("a run without trouble fails: %v", err)
	}
}
