package collect

import (
	"fmt"
	"time"

	"github.com/shirou/gopsutil/v3/mem"

	"telltale/ingest/wire"
)

// gopsutil multiplies the kernel's counts of pages and faults by this.
const countScale = 4096

type pagingReader struct {
	used, free, utilization *wire.Series
	in, out, major, minor   counter
}

func newPaging(interval time.Duration) reader {
	usage := func(state string) *wire.Series {
		return gauge("system.paging.usage", "By", interval, wire.Label{Name: "system.paging.state", Value: state})
	}
	operations := func(direction string) counter {
		return newCounter("system.paging.operations", "{operation}", interval, wire.Label{Name: "system.paging.direction", Value: direction})
	}
	faults := func(kind string) counter {
		return newCounter("system.paging.faults", "{fault}", interval, wire.Label{Name: "system.paging.fault.type", Value: kind})
	}
	p := &pagingReader{
		used: usage("used"), free: usage("free"),
		utilization: gauge("system.paging.utilization", "1", interval),
		in:          operations("in"), out: operations("out"),
		major: faults("major"), minor: faults("minor"),
	}
	return p.read
}

func (p *pagingReader) read(r *readings) error {
	s, err := mem.SwapMemory()
	if err != nil {
		return fmt.Errorf("read swap usage: %w", err)
	}
	if s.Total > 0 { // a host without swap has no utilization of it
		r.add(p.used, float64(s.Used))
		r.add(p.free, float64(s.Free))
		r.add(p.utilization, ratio(float64(s.Used), float64(s.Total)))
	}
	// gopsutil passes over an unreadable counter file, and over platforms without one, in
	// silence. A running host has had faults; zeros here would look like a reset.
	if s.PgFault == 0 {
		return nil
	}
	r.count(&p.in, s.Sin/countScale)
	r.count(&p.out, s.Sout/countScale)
	r.count(&p.major, s.PgMajFault/countScale)
	r.count(&p.minor, (s.PgFault-s.PgMajFault)/countScale)
	return nil
}
