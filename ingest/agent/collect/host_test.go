package collect

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"telltale/ingest/wire"
)

// described is what every metric of a host must look like. Those that not every host has are optional.
var described = map[string]struct {
	kind     wire.Kind
	unit     string
	labels   string // names, sorted
	interval time.Duration
	optional bool
}{
	"system.cpu.utilization":               {wire.Gauge, "1", "", time.Second, false},
	"system.cpu.mode.utilization":          {wire.Gauge, "1", "cpu.mode", time.Second, false},
	"system.cpu.core.utilization":          {wire.Gauge, "1", "cpu.logical_number", time.Second, false},
	"system.cpu.load_average.1m":           {wire.Gauge, "{thread}", "", 5 * time.Second, false},
	"system.cpu.load_average.5m":           {wire.Gauge, "{thread}", "", 5 * time.Second, false},
	"system.cpu.load_average.15m":          {wire.Gauge, "{thread}", "", 5 * time.Second, false},
	"system.memory.usage":                  {wire.Gauge, "By", "system.memory.state", time.Second, false},
	"system.memory.utilization":            {wire.Gauge, "1", "", time.Second, false},
	"system.memory.limit":                  {wire.Gauge, "By", "", 10 * time.Second, false},
	"system.paging.usage":                  {wire.Gauge, "By", "system.paging.state", 5 * time.Second, true},
	"system.paging.utilization":            {wire.Gauge, "1", "", 5 * time.Second, true},
	"system.paging.operations":             {wire.Counter, "{operation}", "system.paging.direction", 5 * time.Second, true},
	"system.paging.faults":                 {wire.Counter, "{fault}", "system.paging.fault.type", 5 * time.Second, true},
	"system.filesystem.usage":              {wire.Gauge, "By", "system.device system.filesystem.mountpoint system.filesystem.state", 10 * time.Second, true},
	"system.filesystem.utilization":        {wire.Gauge, "1", "system.device system.filesystem.mountpoint", 10 * time.Second, true},
	"system.filesystem.inodes.usage":       {wire.Gauge, "{inode}", "system.device system.filesystem.mountpoint system.filesystem.state", 10 * time.Second, true},
	"system.filesystem.inodes.utilization": {wire.Gauge, "1", "system.device system.filesystem.mountpoint", 10 * time.Second, true},
	"system.disk.io":                       {wire.Counter, "By", "disk.io.direction system.device", time.Second, true},
	"system.disk.operations":               {wire.Counter, "{operation}", "disk.io.direction system.device", time.Second, true},
	"system.disk.io_time":                  {wire.Counter, "s", "system.device", time.Second, true},
	"system.network.io":                    {wire.Counter, "By", "network.interface.name network.io.direction", time.Second, true},
	"system.network.packet.count":          {wire.Counter, "{packet}", "network.interface.name network.io.direction", time.Second, true},
	"system.network.errors":                {wire.Counter, "{error}", "network.interface.name network.io.direction", time.Second, true},
	"system.network.packet.dropped":        {wire.Counter, "{packet}", "network.interface.name network.io.direction", time.Second, true},
	"hw.temperature":                       {wire.Gauge, "Cel", "hw.id", 10 * time.Second, true},
	"system.uptime":                        {wire.Gauge, "s", "", 10 * time.Second, false},
	"system.process.count":                 {wire.Gauge, "{process}", "process.state", 15 * time.Second, false},
	"system.process.total":                 {wire.Gauge, "{process}", "", 15 * time.Second, false},
	"system.process.created":               {wire.Counter, "{process}", "", 15 * time.Second, true},
	"process.cpu.utilization":              {wire.Gauge, "1", "process.executable.name", 15 * time.Second, false},
	"process.memory.usage":                 {wire.Gauge, "By", "process.executable.name", 15 * time.Second, false},
}

// readThisHost reads every source until all metrics that every host has are there. The work it
// does meanwhile is what there is to measure.
func readThisHost(t *testing.T) []wire.Sample {
	t.Helper()
	var sources []*runner
	m := newMetrics(nil)
	for _, s := range hostSources() {
		sources = append(sources, newRunner(s, time.Second, m))
	}
	missing := func(samples []wire.Sample) []string {
		var names []string
		for metric, d := range described {
			has := func(s wire.Sample) bool { return s.Series.Metric == metric }
			if !d.optional && !slices.ContainsFunc(samples, has) {
				names = append(names, metric)
			}
		}
		return names
	}
	var samples []wire.Sample
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		samples = samples[:0]
		for _, r := range sources {
			r.out.reset()
			if err := r.readSafely(); err != nil {
				t.Logf("%s: %v", r.name, err) // a sandbox may hide some
			}
			samples = append(samples, r.out.samples...)
		}
		if len(missing(samples)) == 0 {
			return samples
		}
		for began := time.Now(); time.Since(began) < 100*time.Millisecond; { // work
		}
	}
	t.Fatalf("missing of this host: %s", strings.Join(missing(samples), ", "))
	return nil
}

func TestThisHostsMetrics(t *testing.T) {
	modes := 0.0
	seen := map[string]bool{}
	for _, s := range readThisHost(t) {
		metric := s.Series.Metric
		d, known := described[metric]
		if !known {
			t.Errorf("%s is not described", metric)
			continue
		}
		var names []string
		id := metric
		for _, l := range s.Series.Labels {
			names = append(names, l.Name)
			id += "|" + l.Value
			if l.Value == "" {
				t.Errorf("%s has an empty label %s", metric, l.Name)
			}
		}
		if seen[id] {
			t.Errorf("%s comes twice in one reading", id)
		}
		seen[id] = true
		if s.Series.Kind != d.kind || s.Series.Unit != d.unit || s.Series.Interval != d.interval || strings.Join(names, " ") != d.labels {
			t.Errorf("%s is %+v, want %+v", metric, *s.Series, d)
		}
		checkRange(t, s)
		if metric == "system.cpu.mode.utilization" {
			modes += s.Value
		}
	}
	if modes < 0.999 || modes > 1.001 {
		t.Errorf("the processor's modes sum to %v, want 1", modes)
	}
}

func checkRange(t *testing.T, s wire.Sample) {
	t.Helper()
	metric, v := s.Series.Metric, s.Value
	switch {
	case v < 0 && s.Series.Unit != "Cel":
		t.Errorf("%s is %v", metric, v)
	case s.Series.Unit == "1" && (v > 1 || v != round(v, ratioSteps)):
		t.Errorf("the ratio %s is %v", metric, v)
	case s.Series.Unit == "By" && v != float64(int64(v)):
		t.Errorf("%s is a broken number of bytes: %v", metric, v)
	case metric == "system.uptime" && v < 1, metric == "system.memory.limit" && v < 1<<20, metric == "system.process.total" && v < 1:
		t.Errorf("%s is %v", metric, v)
	}
}

func TestCollectOfThisHostKeepsItsSeries(t *testing.T) {
	c := New(Config{Interval: time.Minute}) // a generous bound, for a slow machine
	defer testCollector{Collector: c}.close(t)
	first := map[*wire.Series]bool{}
	now := time.Now()
	for _, s := range c.Collect(now, nil) {
		if s.TS != now.UnixMilli() {
			t.Errorf("%s has the time %d, want %d", s.Series.Metric, s.TS, now.UnixMilli())
		}
		if s.Series.Kind == wire.Counter {
			t.Errorf("the first tick has the counter %s", s.Series.Metric)
		}
		if first[s.Series] {
			t.Errorf("%s comes twice in one tick", s.Series.Metric)
		}
		first[s.Series] = true
	}
	if len(first) == 0 {
		t.Fatal("the first tick has nothing")
	}
	maps.DeleteFunc(first, func(s *wire.Series, _ bool) bool {
		return strings.HasPrefix(s.Metric, "process.") // what was on top once need not be again
	})
	// On a loaded machine some come a tick later.
	for deadline := time.Now().Add(time.Minute); len(first) > 0 && time.Now().Before(deadline); {
		for _, s := range c.Collect(time.Now(), nil) {
			delete(first, s.Series)
		}
	}
	for s := range first {
		t.Errorf("%s %v did not come again as the same pointer", s.Metric, s.Labels)
	}
}

func TestHostFacts(t *testing.T) {
	facts := HostFacts(t.Context())
	if !slices.IsSortedFunc(facts, func(a, b wire.Label) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("not sorted: %v", facts)
	}
	got := map[string]string{}
	for _, f := range facts {
		if f.Value == "" {
			t.Errorf("%s is empty", f.Name)
		}
		got[f.Name] = f.Value
	}
	for _, name := range []string{"os.type", "os.description", "host.name", "host.arch", "os.kernel.version", "host.cpu.count", "host.memory.size", "host.boot_time"} {
		if got[name] == "" {
			t.Errorf("%s is missing of %v", name, facts)
		}
	}
	if boot, err := time.Parse(time.RFC3339, got["host.boot_time"]); err != nil || boot.After(time.Now()) {
		t.Errorf("booted at %q", got["host.boot_time"])
	}
}

func BenchmarkSources(b *testing.B) {
	m := newMetrics(nil)
	for _, s := range hostSources() {
		b.Run(s.name, func(b *testing.B) {
			r := newRunner(s, time.Second, m)
			b.ReportAllocs()
			for b.Loop() {
				r.out.reset()
				_ = r.readSafely() // a host may lack the source
			}
		})
	}
}
