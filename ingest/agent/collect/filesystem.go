package collect

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/shirou/gopsutil/v3/disk"

	"telltale/ingest/wire"
)

type filesystemReader struct {
	mounts *table[mount, filesystemSeries]
}

// A mount is where a device's filesystem is found.
type mount struct{ device, point string }

type filesystemSeries struct {
	used, free, reserved, utilization         *wire.Series
	inodesUsed, inodesFree, inodesUtilization *wire.Series
}

func newFilesystem(interval time.Duration) reader {
	f := &filesystemReader{mounts: newTable(interval, func(m mount) filesystemSeries { return newFilesystemSeries(m, interval) })}
	return f.read
}

func newFilesystemSeries(m mount, interval time.Duration) filesystemSeries {
	device := wire.Label{Name: "system.device", Value: m.device}
	point := wire.Label{Name: "system.filesystem.mountpoint", Value: m.point}
	in := func(metric, unit, state string) *wire.Series {
		return gauge(metric, unit, interval, device, point, wire.Label{Name: "system.filesystem.state", Value: state})
	}
	return filesystemSeries{
		used:              in("system.filesystem.usage", "By", "used"),
		free:              in("system.filesystem.usage", "By", "free"),
		reserved:          in("system.filesystem.usage", "By", "reserved"),
		utilization:       gauge("system.filesystem.utilization", "1", interval, device, point),
		inodesUsed:        in("system.filesystem.inodes.usage", "{inode}", "used"),
		inodesFree:        in("system.filesystem.inodes.usage", "{inode}", "free"),
		inodesUtilization: gauge("system.filesystem.inodes.utilization", "1", interval, device, point),
	}
}

// read leaves network filesystems out, as gopsutil's list of physical ones does: the host that
// serves them reports them, and a server that is away would block this reading for as long.
func (f *filesystemReader) read(r *readings) error {
	partitions, err := disk.Partitions(false)
	if err != nil {
		return fmt.Errorf("list filesystems: %w", err)
	}
	f.mounts.begin()
	var failed []error
	for _, m := range pickMounts(partitions, isDirectory) {
		series := f.mounts.get(r, m)
		if series == nil {
			continue
		}
		usage, err := disk.Usage(m.point)
		if err != nil {
			failed = append(failed, fmt.Errorf("read filesystem %s: %w", m.point, err))
			continue
		}
		series.add(r, usage)
	}
	return errors.Join(failed...)
}

// add reports the utilization as df does: of what programs may use. What is reserved is for root.
func (s *filesystemSeries) add(r *readings, u *disk.UsageStat) {
	if u.Total == 0 {
		return
	}
	used, free := float64(u.Used), float64(u.Free)
	r.add(s.used, used)
	r.add(s.free, free)
	r.add(s.reserved, max(0, float64(u.Total)-used-free))
	r.add(s.utilization, ratio(used, used+free))
	if u.InodesTotal == 0 || u.InodesFree > u.InodesTotal { // some filesystems have no fixed number of them
		return
	}
	r.add(s.inodesUsed, float64(u.InodesTotal-u.InodesFree))
	r.add(s.inodesFree, float64(u.InodesFree))
	r.add(s.inodesUtilization, ratio(float64(u.InodesTotal-u.InodesFree), float64(u.InodesTotal)))
}

// sealedFilesystems are images that are full by nature, and pseudo filesystems that some platforms list.
var sealedFilesystems = []string{"squashfs", "erofs", "cramfs", "romfs", "iso9660", "udf", "devfs", "autofs", "nullfs"}

// pickMounts picks one mount per device: not a bind mount where there is another, and the
// shortest path. A lone bind mount counts only if it is a directory: in a container, single
// files such as /etc/hosts are bind mounts too. The shortest paths come first.
func pickMounts(partitions []disk.PartitionStat, isDirectory func(string) bool) []mount {
	ordered := slices.DeleteFunc(slices.Clone(partitions), func(p disk.PartitionStat) bool {
		return slices.Contains(sealedFilesystems, p.Fstype) || isBind(p) && !isDirectory(p.Mountpoint)
	})
	slices.SortStableFunc(ordered, func(a, b disk.PartitionStat) int {
		return cmp.Or(
			cmp.Compare(bindRank(a), bindRank(b)),
			cmp.Compare(len(a.Mountpoint), len(b.Mountpoint)),
			cmp.Compare(a.Mountpoint, b.Mountpoint),
		)
	})
	var mounts []mount
	for _, p := range ordered {
		taken := func(m mount) bool { return m.device == p.Device || m.point == p.Mountpoint }
		if !slices.ContainsFunc(mounts, taken) {
			mounts = append(mounts, mount{device: p.Device, point: p.Mountpoint})
		}
	}
	return mounts
}

func isBind(p disk.PartitionStat) bool { return slices.Contains(p.Opts, "bind") }

func bindRank(p disk.PartitionStat) int {
	if isBind(p) {
		return 1
	}
	return 0
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
