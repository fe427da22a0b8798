//go:build !linux

package collect

import (
	"path/filepath"
	"time"

	gopsprocess "github.com/shirou/gopsutil/v3/process"
)

// processTable reads the processes of hosts that have no /proc, by gopsutil.
type processTable struct{}

func newProcessTable() *processTable { return &processTable{} }

// each calls visit with every process. What ends meanwhile, or may not be looked at, is left out.
func (t *processTable) each(visit func(*processStat)) error {
	all, err := gopsprocess.Processes()
	if err != nil {
		return err
	}
	for _, p := range all {
		name, err := p.Name()
		if err != nil {
			continue
		}
		s := processStat{pid: p.Pid, comm: []byte(name), state: stateOf(p)}
		if created, err := p.CreateTime(); err == nil {
			s.start = uint64(created)
		}
		if times, err := p.Times(); err == nil {
			s.cpu = time.Duration((times.User + times.System) * float64(time.Second))
		}
		if memory, err := p.MemoryInfo(); err == nil {
			s.memory = memory.RSS
		}
		visit(&s)
	}
	return nil
}

// stateOf returns the letter of a process's state; gopsutil has words for them.
func stateOf(p *gopsprocess.Process) byte {
	words, err := p.Status()
	if err != nil || len(words) == 0 {
		return 'S'
	}
	switch words[0] {
	case gopsprocess.Running:
		return 'R'
	case gopsprocess.Blocked:
		return 'D'
	case gopsprocess.Stop:
		return 'T'
	case gopsprocess.Zombie:
		return 'Z'
	default:
		return 'S'
	}
}

// executable is the base name of the program a process runs, or "" where the system does not tell.
func (t *processTable) executable(pid int32) string {
	path, err := (&gopsprocess.Process{Pid: pid}).Exe()
	if err != nil || path == "" {
		return ""
	}
	return filepath.Base(path)
}
