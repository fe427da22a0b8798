package collect

import (
	"fmt"
	stdnet "net"
	"time"

	"github.com/shirou/gopsutil/v3/net"

	"telltale/ingest/wire"
)

// interfaceRefresh is how many readings may pass before it is looked again which interfaces are
// down. That look costs as much as reading every counter.
const interfaceRefresh = 10

type networkReader struct {
	interfaces *table[string, interfaceCounters]
	down       map[string]bool
	readings   int
}

type interfaceCounters struct {
	bytes, packets, errors, dropped [2]counter // received, transmitted
}

func newNetwork(interval time.Duration) reader {
	n := &networkReader{
		interfaces: newTable(interval, func(name string) interfaceCounters { return newInterfaceCounters(name, interval) }),
		down:       map[string]bool{},
	}
	return n.read
}

func newInterfaceCounters(name string, interval time.Duration) interfaceCounters {
	both := func(metric, unit string) (pair [2]counter) {
		for i, direction := range []string{"receive", "transmit"} {
			pair[i] = newCounter(metric, unit, interval,
				wire.Label{Name: "network.interface.name", Value: name},
				wire.Label{Name: "network.io.direction", Value: direction})
		}
		return pair
	}
	return interfaceCounters{
		bytes:   both("system.network.io", "By"),
		packets: both("system.network.packet.count", "{packet}"),
		errors:  both("system.network.errors", "{error}"),
		dropped: both("system.network.packet.dropped", "{packet}"),
	}
}

func (n *networkReader) read(r *readings) error {
	if n.readings%interfaceRefresh == 0 {
		n.refreshDown()
	}
	n.readings++
	stats, err := net.IOCounters(true)
	if err != nil {
		return fmt.Errorf("read network counters: %w", err)
	}
	n.interfaces.begin()
	for i := range stats {
		s := &stats[i]
		if n.down[s.Name] || hasAnyPrefix(s.Name, noisyInterfaces) {
			continue
		}
		if c := n.interfaces.get(r, s.Name); c != nil {
			c.add(r, s)
		}
	}
	return nil
}

func (c *interfaceCounters) add(r *readings, s *net.IOCountersStat) {
	r.count(&c.bytes[0], s.BytesRecv)
	r.count(&c.bytes[1], s.BytesSent)
	r.count(&c.packets[0], s.PacketsRecv)
	r.count(&c.packets[1], s.PacketsSent)
	r.count(&c.errors[0], s.Errin)
	r.count(&c.errors[1], s.Errout)
	r.count(&c.dropped[0], s.Dropin)
	r.count(&c.dropped[1], s.Dropout)
}

// noisyInterfaces are made per container or virtual machine, or carry nothing: their names come
// and go, and their traffic passes through another interface as well.
var noisyInterfaces = []string{"veth", "cali", "lxc", "vnet", "tap", "fwbr", "fwpr", "fwln", "ifb", "dummy", "nodelocaldns", "kube-ipvs"}

// refreshDown notes which interfaces are down. An interface it does not know counts as up: one in
// another network namespace, or any where a sandbox forbids to ask, which is no failure to report.
func (n *networkReader) refreshDown() {
	interfaces, err := stdnet.Interfaces()
	if err != nil {
		return
	}
	clear(n.down)
	for i := range interfaces {
		if interfaces[i].Flags&stdnet.FlagUp == 0 {
			n.down[interfaces[i].Name] = true
		}
	}
}
