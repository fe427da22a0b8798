package collect

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A source is something to read at an interval of its own.
type source struct {
	name     string
	interval time.Duration // 0 is every tick
	// open makes the source's reader. Its series are to state the interval it is given.
	open func(interval time.Duration) reader
}

// A reader reads a source once. What it could read it has added to the readings, error or not.
type reader func(*readings) error

// hostSources lists what is read of a host. What changes slowly or costs much is read less often:
// the kernel renews load averages every 5 s, and a look at every process costs a hundred times
// what the processor's counters do.
func hostSources() []source {
	return []source{
		{name: "cpu", open: newCPU},
		{name: "memory", open: newMemory},
		{name: "disk", open: newDisk},
		{name: "network", open: newNetwork},
		{name: "load", interval: 5 * time.Second, open: newLoad},
		{name: "paging", interval: 5 * time.Second, open: newPaging},
		{name: "filesystem", interval: 10 * time.Second, open: newFilesystem},
		{name: "temperature", interval: 10 * time.Second, open: newTemperature},
		{name: "host", interval: 10 * time.Second, open: newHost},
		{name: "process", interval: 15 * time.Second, open: newProcess},
	}
}

// A runner reads one source on its goroutine. out, err and finished belong to that goroutine
// between start and done, and to Collect otherwise; the fields below them are Collect's alone.
type runner struct {
	name  string
	ticks uint64 // reads every so many ticks
	read  reader
	start chan struct{}

	out      readings
	err      error
	finished time.Time

	startedTick uint64
	busy        bool // started, and not taken yet
	ready       bool // finished within its own tick
	troubled    bool // its failure is in the log already

	failures, lates, cut prometheus.Counter
}

func newRunner(s source, tick time.Duration, m *metrics) *runner {
	ticks := wholeTicks(s.interval, tick)
	return &runner{
		name:     s.name,
		ticks:    ticks,
		read:     s.open(time.Duration(ticks) * tick),
		start:    make(chan struct{}, 1),
		failures: m.failures.WithLabelValues(s.name),
		lates:    m.late.WithLabelValues(s.name),
		cut:      m.cut.WithLabelValues(s.name),
	}
}

// wholeTicks is the number of ticks that make up the interval, rounded up, and at least one.
func wholeTicks(interval, tick time.Duration) uint64 {
	return uint64(max(1, (interval+tick-1)/tick))
}

func (r *runner) run(quit <-chan struct{}, done chan<- *runner) {
	for {
		select {
		case <-quit:
			return
		case <-r.start:
		}
		r.out.reset()
		r.err = r.readSafely()
		r.finished = time.Now()
		done <- r
	}
}

// readSafely turns a panic into an error: a kernel file of an unforeseen form, which a library
// indexes blindly, must cost one collector and not the agent.
func (r *runner) readSafely() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("read %s: panic: %v", r.name, p)
		}
	}()
	return r.read(&r.out)
}
