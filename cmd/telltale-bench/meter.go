package main

import (
	"fmt"
	"os"
	"time"
)

// meter measures processes from begin to end.
type meter struct{ processes []*measured }

type measured struct {
	figures processFigures
	before  usage
	used    time.Duration
}

// processFigures is what one process used while it was measured.
type processFigures struct {
	PID           int     `json:"pid"`
	Name          string  `json:"name"`
	CPUSeconds    float64 `json:"cpu_s"`
	CPUMicros     float64 `json:"cpu_us_each"` // per acknowledged sample, or per delivered event
	CorePercent   float64 `json:"core_percent"`
	ResidentBytes int64   `json:"resident_bytes"`
	PeakBytes     int64   `json:"peak_resident_bytes"` // since the process started
	Lost          string  `json:"lost,omitempty"`      // why there are no figures
}

// newMeter measures the processes named and, where the system tells, this one.
func newMeter(pids []int) (*meter, error) {
	m := &meter{}
	for _, pid := range append(pids, os.Getpid()) {
		if _, err := readUsage(pid); err != nil {
			if pid == os.Getpid() {
				break
			}
			return nil, fmt.Errorf("--pid %d: %w", pid, err)
		}
		cmdline, _ := procFile(pid, "cmdline") // a kernel thread has none
		comm, _ := procFile(pid, "comm")
		m.processes = append(m.processes, &measured{figures: processFigures{PID: pid, Name: nameOf(cmdline, string(comm))}})
	}
	return m, nil
}

func (m *meter) begin() {
	for _, p := range m.processes {
		var err error
		if p.before, err = readUsage(p.figures.PID); err != nil {
			p.figures.Lost = "ended before it was measured"
		}
	}
}

func (m *meter) end() {
	for _, p := range m.processes {
		if p.figures.Lost != "" {
			continue
		}
		after, err := readUsage(p.figures.PID)
		if err != nil || after.started != p.before.started {
			p.figures.Lost = "ended while it was measured"
			continue
		}
		p.used = after.cpu - p.before.cpu
		status, err := procFile(p.figures.PID, "status")
		if err == nil {
			p.figures.ResidentBytes, p.figures.PeakBytes, err = parseStatus(string(status))
		}
		if err != nil {
			p.figures.Lost = err.Error()
		}
	}
}

// figures returns what was used in the time measured, in all and for each of so many things done.
func (m *meter) figures(done int64, elapsed time.Duration) []processFigures {
	var all []processFigures
	for _, p := range m.processes {
		f := p.figures
		f.CPUSeconds = p.used.Seconds()
		if done > 0 {
			f.CPUMicros = round(float64(p.used.Nanoseconds())/1e3/float64(done), 3)
		}
		if elapsed > 0 {
			f.CorePercent = round(100*p.used.Seconds()/elapsed.Seconds(), 1)
		}
		all = append(all, f)
	}
	return all
}
