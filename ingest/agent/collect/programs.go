package collect

import (
	"cmp"
	"runtime"
	"slices"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"

	"telltale/ingest/wire"
)

// topPrograms is how many programs are reported by processor time, and as many by memory.
const topPrograms = 10

// kernelProgram stands for all threads of the kernel: their names number in the hundreds.
const kernelProgram = "[kernel]"

// programs sums up processes by executable, so that the series of a host are bounded and their
// labels mean the same tomorrow; pids do neither.
type programs struct {
	executable func(pid int32) string // "" where it may not be known
	cores      float64
	known      map[int32]*process
	byName     map[string]*program
	order      []*program // byName's values, reused for sorting
	series     *table[string, programSeries]
	scan       int
	last       time.Time     // of the scan before, with the monotonic clock
	most       time.Duration // processor time there was since then, of all cores
}

// A process is what must be remembered of one from scan to scan.
type process struct {
	start uint64
	comm  string
	name  string
	cpu   time.Duration
	scan  int // the scan that last saw it
}

type program struct {
	name   string
	cpu    time.Duration // since the last scan
	memory uint64
	scan   int
}

type programSeries struct{ cpu, memory *wire.Series }

func newPrograms(interval time.Duration, executable func(int32) string) *programs {
	return &programs{
		executable: executable,
		cores:      float64(coreCount()),
		known:      map[int32]*process{},
		byName:     map[string]*program{},
		series: newTable(interval, func(name string) programSeries {
			label := wire.Label{Name: "process.executable.name", Value: name}
			return programSeries{
				cpu:    gauge("process.cpu.utilization", "1", interval, label),
				memory: gauge("process.memory.usage", "By", interval, label),
			}
		}),
	}
}

// coreCount is the host's, also where the agent itself is confined to a few cores.
func coreCount() int {
	if n, err := cpu.Counts(true); err == nil && n > 0 {
		return n
	}
	return runtime.NumCPU()
}

func (p *programs) begin(now time.Time) {
	p.most = 0
	if !p.last.IsZero() {
		p.most = time.Duration(float64(now.Sub(p.last)) * p.cores)
	}
	p.last = now
	p.scan++
	p.series.begin()
}

// see adds a process to its program. One that was not there in the last scan has started since,
// so all its time counts, unless that is more than there was: then it was there, but could not
// be read. What a process used after its last scan is lost when it ends.
func (p *programs) see(s *processStat) {
	k := p.known[s.pid]
	if k == nil || k.start != s.start {
		k = &process{start: s.start}
		p.known[s.pid] = k
	}
	if k.name == "" || k.comm != string(s.comm) { // new, or it has executed another program
		k.comm = string(s.comm)
		k.name = p.nameOf(s)
	}
	spent := max(0, s.cpu-k.cpu)
	if spent > p.most {
		spent = 0
	}
	k.cpu, k.scan = s.cpu, p.scan

	g := p.byName[k.name]
	if g == nil {
		g = &program{name: k.name}
		p.byName[k.name] = g
	}
	if g.scan != p.scan {
		g.scan, g.cpu, g.memory = p.scan, 0, 0
	}
	g.cpu += spent
	g.memory += s.memory
}

func (p *programs) nameOf(s *processStat) string {
	if s.kernel {
		return kernelProgram
	}
	if name := p.executable(s.pid); name != "" {
		return cleanText(name)
	}
	return cleanText(string(s.comm))
}

// finish adds the leading programs and forgets what has ended.
func (p *programs) finish(r *readings) {
	p.forgetEnded()
	for _, g := range topBy(p.order, func(g *program) int64 { return int64(g.cpu) }) {
		v := ratio(g.cpu.Seconds(), p.most.Seconds())
		if v == 0 { // it used less than can be shown, which is no reason for a series
			continue
		}
		if s := p.series.get(r, g.name); s != nil {
			r.add(s.cpu, v)
		}
	}
	for _, g := range topBy(p.order, func(g *program) int64 { return int64(g.memory) }) {
		if s := p.series.get(r, g.name); s != nil {
			r.add(s.memory, float64(g.memory))
		}
	}
}

func (p *programs) forgetEnded() {
	for pid, k := range p.known {
		if k.scan != p.scan {
			delete(p.known, pid)
		}
	}
	p.order = p.order[:0]
	for name, g := range p.byName {
		if g.scan != p.scan {
			delete(p.byName, name)
			continue
		}
		p.order = append(p.order, g)
	}
}

// topBy sorts the programs by weight, ties by name, and returns the leading ones that have any.
func topBy(all []*program, weight func(*program) int64) []*program {
	slices.SortFunc(all, func(a, b *program) int {
		return cmp.Or(cmp.Compare(weight(b), weight(a)), cmp.Compare(a.name, b.name))
	})
	top := all[:min(len(all), topPrograms)]
	for len(top) > 0 && weight(top[len(top)-1]) <= 0 {
		top = top[:len(top)-1]
	}
	return top
}
