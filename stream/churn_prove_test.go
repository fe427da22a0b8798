//go:build prove

package stream

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// 5,000 viewers come and go for ten minutes.
func TestProveChurn(t *testing.T) {
	end := time.Now().Add(10 * time.Minute)
	runtime.GC()
	var heap, after runtime.MemStats
	runtime.ReadMemStats(&heap)
	churn(t, 5000, time.Second, func(int) bool { return time.Now().Before(end) }, func() {
		time.Sleep(5*time.Second + rand.N(20*time.Second))
	})
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("heap %d KiB before, %d KiB after", heap.HeapAlloc>>10, after.HeapAlloc>>10)
	if grown := int64(after.HeapAlloc) - int64(heap.HeapAlloc); grown > 64<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}
