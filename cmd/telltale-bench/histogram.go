package main

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// Durations are counted by microseconds in buckets that double every 128: none is wider
// than 0.8 % of what is in it, and a run of any length takes 34 KB.
const (
	subBits     = 7
	subBuckets  = 1 << subBits
	topBits     = 40 // twelve days
	bucketCount = (topBits - subBits + 1) * subBuckets
)

// histogram counts durations. It is safe for concurrent use.
type histogram struct {
	buckets [bucketCount]atomic.Int64
	largest atomic.Int64 // microseconds
}

// add counts a duration; one below zero counts as zero.
func (h *histogram) add(d time.Duration) {
	us := min(max(d.Microseconds(), 0), 1<<topBits-1)
	h.buckets[bucketOf(uint64(us))].Add(1)
	for seen := h.largest.Load(); us > seen && !h.largest.CompareAndSwap(seen, us); {
		seen = h.largest.Load()
	}
}

func bucketOf(us uint64) int {
	if us < subBuckets {
		return int(us)
	}
	shift := bits.Len64(us) - subBits - 1
	return (shift+1)*subBuckets + int(us>>shift) - subBuckets
}

// bucketTop is the largest number of microseconds in a bucket.
func bucketTop(bucket int) int64 {
	if bucket < subBuckets {
		return int64(bucket)
	}
	shift := bucket/subBuckets - 1
	return int64(bucket%subBuckets+subBuckets+1)<<shift - 1
}

// percentiles are in milliseconds, by nearest rank; zero where nothing was counted.
type percentiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
}

func (h *histogram) percentiles() percentiles {
	var counts [bucketCount]int64
	p := percentiles{Max: milliseconds(h.largest.Load())}
	for i := range counts {
		counts[i] = h.buckets[i].Load()
		p.Count += counts[i]
	}
	at := func(percent int64) float64 {
		rank := (percent*p.Count + 99) / 100
		for i, count := range counts {
			if rank -= count; rank <= 0 && count > 0 {
				return min(milliseconds(bucketTop(i)), p.Max)
			}
		}
		return 0
	}
	p.P50, p.P90, p.P99 = at(50), at(90), at(99)
	return p
}

// milliseconds rounds to a hundredth: finer is noise.
func milliseconds(us int64) float64 { return math.Round(float64(us)/10) / 100 }
