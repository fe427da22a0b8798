package collect

import (
	"fmt"
	"time"

	"github.com/shirou/gopsutil/v3/load"

	"telltale/ingest/wire"
)

// processStat is one process as the kernel sees it.
type processStat struct {
	pid    int32
	start  uint64 // when it started, in a unit of the platform's; with pid it names the process
	comm   []byte // its short name; valid until the next one is read
	state  byte   // R, S, D, I, T, t, Z, X
	kernel bool   // a thread of the kernel
	cpu    time.Duration
	memory uint64 // resident, bytes
}

// processStates are the states that are told apart. Blocked, in the kernel and not to be woken,
// is no state of the conventions' list, but it is what a dying disk looks like.
var processStates = [...]string{"running", "sleeping", "blocked", "stopped", "defunct"}

func stateIndex(state byte) int {
	switch state {
	case 'R':
		return 0
	case 'D':
		return 2
	case 'T', 't':
		return 3
	case 'Z', 'X':
		return 4
	default:
		return 1
	}
}

type processReader struct {
	processes *processTable
	programs  *programs
	byState   [len(processStates)]*wire.Series
	counts    [len(processStates)]int
	total     *wire.Series
	created   counter
}

func newProcess(interval time.Duration) reader {
	p := &processReader{
		processes: newProcessTable(),
		total:     gauge("system.process.total", "{process}", interval),
		created:   newCounter("system.process.created", "{process}", interval),
	}
	p.programs = newPrograms(interval, p.processes.executable)
	for i, state := range processStates {
		p.byState[i] = gauge("system.process.count", "{process}", interval, wire.Label{Name: "process.state", Value: state})
	}
	return p.read
}

func (p *processReader) read(r *readings) error {
	clear(p.counts[:])
	p.programs.begin(time.Now())
	err := p.processes.each(func(s *processStat) {
		p.counts[stateIndex(s.state)]++
		p.programs.see(s)
	})
	if err != nil {
		return fmt.Errorf("read processes: %w", err)
	}
	total := 0
	for i, n := range p.counts {
		r.add(p.byState[i], float64(n))
		total += n
	}
	r.add(p.total, float64(total))
	p.programs.finish(r)
	// Only some platforms count what was created; the others answer with an error or zero.
	if misc, err := load.Misc(); err == nil && misc.ProcsCreated > 0 {
		r.count(&p.created, uint64(misc.ProcsCreated))
	}
	return nil
}
