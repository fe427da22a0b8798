package collect

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v3/disk"
	"github.com/shirou/gopsutil/v3/host"

	"telltale/ingest/wire"
)

func TestWholeDisks(t *testing.T) {
	f := func(names, want string) {
		t.Helper()
		if got := strings.Join(wholeDisks(strings.Fields(names)), " "); got != want {
			t.Errorf("of %q were picked %q, want %q", names, got, want)
		}
	}
	f("sdb sda sda1 sda2 loop0 ram1 sr0 zram0", "sda sdb")
	f("nvme0n1 nvme0n1p1 nvme0n1p15 nvme1n1", "nvme0n1 nvme1n1")
	f("mmcblk0 mmcblk0p1 mmcblk0boot0", "mmcblk0 mmcblk0boot0")
	f("vda dm-0 md0", "vda")              // stacked on a disk that is there
	f("dm-0 md127 md127p1", "dm-0 md127") // nothing else is there
	f("xvda1", "xvda1")                   // a partition without its disk
	f("sda sda10 sda1 sdaa sdaa1", "sda sdaa")
	f("", "")
}

func TestPickMounts(t *testing.T) {
	f := func(want string, partitions ...string) {
		t.Helper()
		var given []disk.PartitionStat
		for _, p := range partitions {
			w := strings.Fields(p)
			given = append(given, disk.PartitionStat{Device: w[0], Mountpoint: w[1], Fstype: w[2], Opts: w[3:]})
		}
		got := fmt.Sprint(pickMounts(given, func(path string) bool { return !strings.HasPrefix(path, "/etc/") }))
		if got != want {
			t.Errorf("of %q were picked %s, want %s", partitions, got, want)
		}
	}
	f("[{/dev/vda /}]", "/dev/vda / ext4 rw")
	f("[{/dev/vda1 /} {/dev/vdb /data}]", "/dev/vdb /data xfs rw", "/dev/vda1 / ext4 rw")
	f("[{/dev/vda /var/lib}]", "/dev/vda /x ext4 rw bind", "/dev/vda /var/lib ext4 rw") // a bind mount is a second look
	f("[{/dev/vda /}]", "/dev/vda /home btrfs rw bind", "/dev/vda / btrfs rw bind")     // subvolumes look like bind mounts
	f("[{/dev/vda /data}]", "/dev/vda /etc/hosts ext4 rw bind", "/dev/vda /data ext4 rw bind")
	f("[]", "/dev/vda /etc/hosts ext4 rw bind")
	f("[]", "/dev/loop3 /snap/core squashfs ro", "/dev/sr0 /media/cd iso9660 ro")
	f("[{/dev/vda /mnt}]", "/dev/vda /mnt ext4 rw", "/dev/vdb /mnt ext4 rw") // one hides the other
}

func TestFilesystemSamples(t *testing.T) {
	f := func(u disk.UsageStat, want string) {
		t.Helper()
		s := newFilesystemSeries(mount{"/dev/vda", "/"}, 10*time.Second)
		var r readings
		s.add(&r, &u)
		var got []string
		for _, v := range r.samples {
			got = append(got, fmt.Sprintf("%s%s=%v", strings.TrimPrefix(v.Series.Metric, "system.filesystem."), state(v.Series), v.Value))
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("got  %s\nwant %s", text, want)
		}
	}
	f(disk.UsageStat{Total: 100, Used: 30, Free: 60, InodesTotal: 10, InodesFree: 9},
		"usage/used=30 usage/free=60 usage/reserved=10 utilization=0.3333 inodes.usage/used=1 inodes.usage/free=9 inodes.utilization=0.1")
	f(disk.UsageStat{Total: 100, Used: 100}, "usage/used=100 usage/free=0 usage/reserved=0 utilization=1")
	f(disk.UsageStat{}, "")
}

func state(s *wire.Series) string {
	for _, l := range s.Labels {
		if strings.HasSuffix(l.Name, ".state") {
			return "/" + l.Value
		}
	}
	return ""
}

func TestTemperatures(t *testing.T) {
	sensors := newTable(10*time.Second, func(id string) *wire.Series {
		return gauge("hw.temperature", "Cel", 10*time.Second, wire.Label{Name: "hw.id", Value: id})
	})
	var r readings
	sensors.begin()
	addTemperatures(&r, sensors, []host.TemperatureStat{
		{SensorKey: "nvme_composite", Temperature: 41.85},
		{SensorKey: "loose", Temperature: -128},
		{SensorKey: "nvme_composite", Temperature: 38.04},
		{SensorKey: "broken", Temperature: 65261.85},
	})
	var got []string
	for _, s := range r.samples {
		got = append(got, fmt.Sprint(s.Series.Labels[0].Value, "=", s.Value))
	}
	if text := strings.Join(got, " "); text != "nvme_composite=41.9 nvme_composite_2=38" {
		t.Errorf("got %s", text)
	}
}
