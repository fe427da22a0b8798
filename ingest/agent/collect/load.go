package collect

import (
	"fmt"
	"time"

	"github.com/shirou/gopsutil/v3/load"
)

func newLoad(interval time.Duration) reader {
	one := gauge("system.cpu.load_average.1m", "{thread}", interval)
	five := gauge("system.cpu.load_average.5m", "{thread}", interval)
	fifteen := gauge("system.cpu.load_average.15m", "{thread}", interval)
	return func(r *readings) error {
		avg, err := load.Avg()
		if err != nil {
			return fmt.Errorf("read load averages: %w", err)
		}
		r.add(one, round(avg.Load1, loadSteps))
		r.add(five, round(avg.Load5, loadSteps))
		r.add(fifteen, round(avg.Load15, loadSteps))
		return nil
	}
}
