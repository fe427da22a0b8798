package collect

import (
	"fmt"
	"time"

	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/mem"
)

// newHost reads what hardly changes: how long the host is up and how much memory it has.
func newHost(interval time.Duration) reader {
	uptime := gauge("system.uptime", "s", interval)
	limit := gauge("system.memory.limit", "By", interval)
	return func(r *readings) error {
		seconds, err := host.Uptime()
		if err != nil {
			return fmt.Errorf("read uptime: %w", err)
		}
		r.add(uptime, float64(seconds))
		m, err := mem.VirtualMemory()
		if err != nil {
			return fmt.Errorf("read memory size: %w", err)
		}
		r.add(limit, float64(m.Total))
		return nil
	}
}
