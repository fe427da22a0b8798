package collect

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/disk"

	"telltale/ingest/wire"
)

// diskRefresh is how many readings may pass before a new disk is looked for.
const diskRefresh = 60

type diskReader struct {
	disks    *table[string, diskCounters]
	names    []string // the disks to read
	readings int
}

type diskCounters struct {
	readBytes, writeBytes, reads, writes, busy counter
}

func newDisk(interval time.Duration) reader {
	d := &diskReader{disks: newTable(interval, func(name string) diskCounters { return newDiskCounters(name, interval) })}
	return d.read
}

func newDiskCounters(name string, interval time.Duration) diskCounters {
	device := wire.Label{Name: "system.device", Value: name}
	read := wire.Label{Name: "disk.io.direction", Value: "read"}
	write := wire.Label{Name: "disk.io.direction", Value: "write"}
	return diskCounters{
		readBytes:  newCounter("system.disk.io", "By", interval, device, read),
		writeBytes: newCounter("system.disk.io", "By", interval, device, write),
		reads:      newCounter("system.disk.operations", "{operation}", interval, device, read),
		writes:     newCounter("system.disk.operations", "{operation}", interval, device, write),
		busy:       newCounter("system.disk.io_time", "s", interval, device),
	}
}

func (d *diskReader) read(r *readings) error {
	stats, err := d.counters()
	if err != nil {
		return fmt.Errorf("read disk counters: %w", err)
	}
	d.disks.begin()
	for _, name := range d.names {
		s, present := stats[name]
		if !present {
			continue
		}
		if c := d.disks.get(r, name); c != nil {
			r.count(&c.readBytes, s.ReadBytes)
			r.count(&c.writeBytes, s.WriteBytes)
			r.count(&c.reads, s.ReadCount)
			r.count(&c.writes, s.WriteCount)
			r.countMillis(&c.busy, s.IoTime)
		}
	}
	return nil
}

// counters asks for the wanted disks by name, as gopsutil looks up a serial number, at several
// files each, for every device it returns. All devices are read once in diskRefresh readings.
func (d *diskReader) counters() (map[string]disk.IOCountersStat, error) {
	full := d.readings%diskRefresh == 0 || len(d.names) == 0
	d.readings++
	if !full {
		return disk.IOCounters(d.names...)
	}
	stats, err := disk.IOCounters()
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(stats))
	for name := range stats {
		names = append(names, name)
	}
	d.names = wholeDisks(names)
	return stats, nil
}

// unwantedDisks are devices that are no disks, or whose traffic is memory or that of the disk below.
var unwantedDisks = []string{"loop", "ram", "zram", "sr", "fd"}

// stackedDisks are made of other devices, whose traffic is theirs.
var stackedDisks = []string{"dm-", "md", "bcache", "drbd"}

// wholeDisks picks, in order, the devices that together report every byte once: no partitions
// beside their disk, and no stacked devices beside what they stand on.
func wholeDisks(names []string) []string {
	var disks, stacked []string
	for _, name := range names {
		switch {
		case hasAnyPrefix(name, unwantedDisks) || isPartition(name, names):
		case hasAnyPrefix(name, stackedDisks):
			stacked = append(stacked, name)
		default:
			disks = append(disks, name)
		}
	}
	if len(disks) == 0 {
		disks = stacked
	}
	slices.Sort(disks)
	return disks
}

// isPartition tells whether another name is this one's disk: sda of sda1, nvme0n1 of nvme0n1p2.
func isPartition(name string, names []string) bool {
	stem := strings.TrimRight(name, "0123456789")
	if stem == name {
		return false
	}
	if slices.Contains(names, stem) {
		return true
	}
	parent, isNumbered := strings.CutSuffix(stem, "p")
	endsInDigit := parent != "" && parent[len(parent)-1] >= '0' && parent[len(parent)-1] <= '9'
	return isNumbered && endsInDigit && slices.Contains(names, parent)
}

func hasAnyPrefix(s string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}
