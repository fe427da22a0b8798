package collect

import (
	"fmt"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"

	"telltale/ingest/wire"
)

// The modes of a processor's time. Both kinds of interrupt are one mode, and a guest's time is
// part of the user's, so that the modes of an interval sum to 1.
const (
	modeUser = iota
	modeNice
	modeSystem
	modeIdle
	modeIOWait
	modeInterrupt
	modeSteal
	modeCount
)

var modeNames = [modeCount]string{"user", "nice", "system", "idle", "iowait", "interrupt", "steal"}

// modeTimes is seconds by mode.
type modeTimes [modeCount]float64

// maxCores bounds the cores that have a series of their own. It is above maxInstances because
// showing half of a big machine's cores would be a wrong picture of it.
const maxCores = 256

type cpuReader struct {
	interval time.Duration
	total    *wire.Series
	modes    [modeCount]*wire.Series
	cores    map[string]*core // every core the kernel lists, by its name: cpu0, cpu1, ...
}

type core struct {
	utilization *wire.Series // nil beyond maxCores
	last        modeTimes
}

func newCPU(interval time.Duration) reader {
	c := &cpuReader{
		interval: interval,
		total:    gauge("system.cpu.utilization", "1", interval),
		cores:    map[string]*core{},
	}
	for mode, name := range modeNames {
		c.modes[mode] = gauge("system.cpu.mode.utilization", "1", interval, wire.Label{Name: "cpu.mode", Value: name})
	}
	return c.read
}

// read takes the host's total as the sum of its cores' times, which needs one read of the
// kernel's table and not two, and is right also when a core goes offline in between.
func (c *cpuReader) read(r *readings) error {
	times, err := cpu.Times(true)
	if err != nil {
		return fmt.Errorf("read processor times: %w", err)
	}
	var sum modeTimes
	for i := range times {
		spent, known := c.spent(r, times[i].CPU, modesOf(&times[i]))
		if !known {
			continue
		}
		for mode, v := range spent {
			sum[mode] += v
		}
	}
	whole := sum.whole()
	if whole <= 0 { // the first reading, or two within one tick of the kernel's clock
		return nil
	}
	r.add(c.total, ratio(sum.busy(), whole))
	for mode, s := range c.modes {
		r.add(s, ratio(sum[mode], whole))
	}
	return nil
}

// spent returns the time a core spent in each mode since the last reading, and adds the core's utilization.
func (c *cpuReader) spent(r *readings, name string, now modeTimes) (spent modeTimes, known bool) {
	k := c.cores[name]
	if k == nil {
		c.cores[name] = c.newCore(name, now)
		return spent, false
	}
	spent = now.since(&k.last)
	k.last = now
	if k.utilization == nil {
		r.cut++
		return spent, true
	}
	if whole := spent.whole(); whole > 0 {
		r.add(k.utilization, ratio(spent.busy(), whole))
	}
	return spent, true
}

func (c *cpuReader) newCore(name string, now modeTimes) *core {
	k := &core{last: now}
	if len(c.cores) < maxCores {
		number := wire.Label{Name: "cpu.logical_number", Value: strings.TrimPrefix(name, "cpu")}
		k.utilization = gauge("system.cpu.core.utilization", "1", c.interval, number)
	}
	return k
}

func modesOf(t *cpu.TimesStat) modeTimes {
	return modeTimes{
		modeUser:      t.User,
		modeNice:      t.Nice,
		modeSystem:    t.System,
		modeIdle:      t.Idle,
		modeIOWait:    t.Iowait,
		modeInterrupt: t.Irq + t.Softirq,
		modeSteal:     t.Steal,
	}
}

// since returns what was spent since an earlier reading. The kernel's idle and iowait times are
// known to step back a little, which is no time spent.
func (m modeTimes) since(last *modeTimes) modeTimes {
	for mode := range m {
		m[mode] = max(0, m[mode]-last[mode])
	}
	return m
}

func (m *modeTimes) whole() float64 {
	sum := 0.0
	for _, v := range m {
		sum += v
	}
	return sum
}

// busy leaves out waiting for I/O: a processor that waits could work.
func (m *modeTimes) busy() float64 { return m.whole() - m[modeIdle] - m[modeIOWait] }
