package collect

import (
	"fmt"
	"time"

	"github.com/shirou/gopsutil/v3/mem"

	"telltale/ingest/wire"
)

func newMemory(interval time.Duration) reader {
	usage := func(state string) *wire.Series {
		return gauge("system.memory.usage", "By", interval, wire.Label{Name: "system.memory.state", Value: state})
	}
	used, free, buffers, cached := usage("used"), usage("free"), usage("buffers"), usage("cached")
	utilization := gauge("system.memory.utilization", "1", interval)
	return func(r *readings) error {
		m, err := mem.VirtualMemory()
		if err != nil {
			return fmt.Errorf("read memory usage: %w", err)
		}
		// Used is what programs could not get if they asked: caches the kernel would give up
		// are not part of it, which makes it overlap with "cached" a little.
		inUse := max(0, float64(m.Total)-float64(m.Available))
		r.add(used, inUse)
		r.add(free, float64(m.Free))
		r.add(buffers, float64(m.Buffers))
		r.add(cached, float64(m.Cached))
		r.add(utilization, ratio(inUse, float64(m.Total)))
		return nil
	}
}
