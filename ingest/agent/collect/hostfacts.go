package collect

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/mem"

	"telltale/ingest/wire"
)

// HostFacts returns what is known of this host and does not change while it is up, sorted by
// name: its system, kernel, processor, memory, virtualisation and boot time. What cannot be
// found out is left out. It reads some files and may run lsb_release, so call it once.
func HostFacts(ctx context.Context) []wire.Label {
	facts := []wire.Label{
		{Name: "os.type", Value: runtime.GOOS},
		{Name: "host.arch", Value: archName(runtime.GOARCH)},
		{Name: "host.cpu.count", Value: strconv.Itoa(coreCount())},
	}
	if info, err := host.InfoWithContext(ctx); err == nil {
		facts = append(facts, systemFacts(info)...)
	}
	if cpus, err := cpu.InfoWithContext(ctx); err == nil && len(cpus) > 0 {
		facts = append(facts, wire.Label{Name: "host.cpu.model.name", Value: cpus[0].ModelName})
	}
	if m, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		facts = append(facts, wire.Label{Name: "host.memory.size", Value: strconv.FormatUint(m.Total, 10)})
	}
	return tidyFacts(facts)
}

func systemFacts(info *host.InfoStat) []wire.Label {
	facts := []wire.Label{
		{Name: "host.name", Value: info.Hostname},
		{Name: "os.name", Value: info.Platform},
		{Name: "os.version", Value: info.PlatformVersion},
		{Name: "os.description", Value: info.Platform + " " + info.PlatformVersion + " (" + info.OS + " " + info.KernelVersion + ")"},
		{Name: "os.kernel.version", Value: info.KernelVersion},
	}
	if info.VirtualizationRole == "guest" {
		facts = append(facts, wire.Label{Name: "host.virtualization", Value: info.VirtualizationSystem})
	}
	if info.BootTime > 0 {
		boot := time.Unix(int64(info.BootTime), 0).UTC().Format(time.RFC3339)
		facts = append(facts, wire.Label{Name: "host.boot_time", Value: boot})
	}
	return facts
}

// tidyFacts leaves out what is empty, and sorts.
func tidyFacts(facts []wire.Label) []wire.Label {
	for i := range facts {
		facts[i].Value = cleanText(strings.TrimSpace(facts[i].Value))
	}
	facts = slices.DeleteFunc(facts, func(l wire.Label) bool { return l.Value == "" })
	slices.SortFunc(facts, func(a, b wire.Label) int { return strings.Compare(a.Name, b.Name) })
	return facts
}

// archName is the conventions' name for an architecture, where Go has another.
func archName(goarch string) string {
	switch goarch {
	case "arm":
		return "arm32"
	case "386":
		return "x86"
	case "ppc64le":
		return "ppc64"
	default:
		return goarch
	}
}
