package main

import (
	"fmt"
	"path/filepath"
	"time"

	"telltale/aggregate/history"
)

const (
	daysLeftWarning = 7.0
	daysLeftFailing = 1.0
	// dataFloor is what users, tokens and logs need where the history is elsewhere.
	dataFloor = 100 << 20
)

func (c *checkup) disk() {
	m := &c.Machine
	if m.DataError != "" {
		c.note(failing, nil, "name the right one with --data, and see that this user may read it", "the data directory: %s", m.DataError)
	}
	free, total, where := m.FreeBytes, m.TotalBytes, m.Data
	if c.History != nil && c.History.DiskTotalBytes > 0 {
		free, total, where = c.History.DiskFreeBytes, c.History.DiskTotalBytes, "ClickHouse's disk"
		if c.History.DiskOf != "" {
			where = "the disk of " + c.History.DiskOf
		}
		if m.DataError == "" && m.FreeBytes < dataFloor {
			c.note(failing, figures{"free_bytes": float64(m.FreeBytes)}, "make room there: users, tokens and quarantined batches need some",
				"%s has %s free", m.Data, bytesText(m.FreeBytes))
		}
	} else if m.DataError != "" {
		return
	}
	n := figures{"free_bytes": float64(free), "total_bytes": float64(total), "min_free_bytes": float64(c.MinFreeBytes)}
	seen := fmt.Sprintf("%s has %s of %s free, and the floor (--min-free) is %s", where, bytesText(free), bytesText(total), bytesText(c.MinFreeBytes))
	const remedy = "make room, give it a larger disk, or keep less (--retention-raw and the others)"
	switch {
	case free < c.MinFreeBytes:
		c.note(failing, n, remedy+"; or lower --min-free. Nothing is stored until then, agents keep what they send", "%s", seen)
	case free < 2*c.MinFreeBytes:
		c.note(warning, n, remedy, "%s", seen)
	}
	c.growth(n, seen, remedy, float64(free)-float64(c.MinFreeBytes))
}

func (c *checkup) growth(n figures, seen, remedy string, room float64) {
	if c.History == nil {
		c.well(n, "%s", seen)
		return
	}
	g := growthOf(c.History.Tables, c.Kept, c.received)
	if len(g) == 0 {
		c.well(n, "%s; how fast it fills is known after an hour", seen)
		return
	}
	perDay, full := g.on(1), g.on(maxDays)
	n["growth_bytes_per_day"], n["growth_in_all_bytes"] = perDay, full
	if full <= room {
		c.well(n, "%s; it fills by %s a day, %s in all until retention makes up for it", seen, bytesText(perDay), bytesText(full))
		return
	}
	days := g.daysUntil(max(room, 0))
	n["days_left"] = days
	v := graded(-days, -daysLeftWarning, -daysLeftFailing)
	if v != fine || !c.noted {
		c.note(v, n, remedy, "%s; it fills by %s a day, enough for %.1f days", seen, bytesText(perDay), days)
	}
}

// growth is how the tables grow, which each of them does until it holds as much as retention keeps.
type growth []tableGrowth

type tableGrowth struct{ perDay, most float64 } // bytes

const maxDays = 10_000

// partitionDays is how much longer than retention a table's rows may stay: they are dropped by whole partitions.
var partitionDays = map[string]float64{"raw": 1, "tier_10s": 1, "tier_1m": 7, "tier_1h": 31}

// growthOf goes by the average since a table's oldest rows, and leaves out tables of less than an hour.
func growthOf(tables []history.TableHealth, kept map[string]time.Duration, now time.Time) growth {
	var g growth
	for i := range tables {
		t := &tables[i]
		age := now.Sub(t.Since)
		if age < time.Hour {
			continue
		}
		perDay := float64(t.Bytes) / (age.Hours() / 24)
		inAll := perDay * (kept[t.Name].Hours()/24 + partitionDays[t.Name])
		g = append(g, tableGrowth{perDay, max(0, inAll-float64(t.Bytes))})
	}
	return g
}

// on is the growth in bytes within so many days.
func (g growth) on(days float64) float64 {
	sum := 0.0
	for _, t := range g {
		sum += min(t.perDay*days, t.most)
	}
	return sum
}

// daysUntil is after how many days it has grown by so many bytes, which it does.
func (g growth) daysUntil(bytes float64) float64 {
	low, high := 0.0, float64(maxDays)
	for high-low > 0.01 {
		if middle := (low + high) / 2; g.on(middle) < bytes {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

const (
	longMerge    = time.Hour
	longMutation = time.Hour
)

func (c *checkup) parts() {
	if c.History == nil {
		return
	}
	p := &c.History.Parts
	n := figures{
		"active": float64(p.Active), "most_in_a_partition": float64(p.Most), "delayed_from": float64(p.Delayed), "refused_from": float64(p.Refused),
		"merges": float64(p.Merges), "mutations": float64(p.Mutations),
	}
	seen := fmt.Sprintf("%d parts in all, at most %d in a partition", p.Active, p.Most)
	if p.Most > 0 {
		seen += fmt.Sprintf(" (%s of %s; inserts slow down from %d on)", p.MostTable, p.MostPartition, p.Delayed)
	}
	if p.Delayed > 0 {
		if v := graded(float64(p.Most), float64(p.Delayed)/2, float64(p.Delayed)); v != fine {
			c.note(v, n, "merging does not keep up: give ClickHouse more CPU or a faster disk, and see its log for merges that fail", "%s", seen)
		}
	}
	if p.LongestMerge > longMerge {
		c.note(warning, n, "see system.merges whether it goes on; if not, restart the hub or the server", "a merge of %s has run for %s", p.LongestTable, durationText(p.LongestMerge))
	}
	if p.Mutations > 0 && (p.MutationError != "" || c.received.Sub(p.OldestSince) > longMutation) {
		c.note(warning, n, "see system.mutations, and end one that cannot succeed with KILL MUTATION",
			"%d mutations are not done, the oldest since %s %s", p.Mutations, p.OldestSince.UTC().Format(time.DateTime), shortened(p.MutationError))
	}
	for _, d := range p.Detached {
		why := "set aside by somebody"
		if d.Reason != "" {
			why = "set aside as " + d.Reason
		}
		c.note(warning, figures{"detached": float64(d.Parts)}, "what is in them is not read: see clickhouse.log for the reason; ATTACH them, or restore a backup, and remove them",
			"%s has %d parts %s", d.Table, d.Parts, why)
	}
	c.well(n, "%s", seen)
}

func (c *checkup) quarantine() {
	m := &c.Machine
	if m.DataError != "" {
		return
	}
	n := figures{"batches": float64(m.Quarantined), "bytes": float64(m.QuarantinedBytes)}
	if m.Quarantined > 0 {
		c.note(warning, n, "each file's first line has ClickHouse's reason and the sender: mend that, and remove the files",
			"batches that ClickHouse refused for their data: %d (%s), the last one %s ago, in %s",
			m.Quarantined, bytesText(m.QuarantinedBytes), durationText(c.received.Sub(m.QuarantinedLast)), filepath.Join(m.Data, quarantineFolder))
	}
	c.well(n, "no batch was set aside")
}

// oldBackup is when somebody who makes backups should have made another one.
const oldBackup = 7 * 24 * time.Hour

func (c *checkup) backup() {
	m := &c.Machine
	if m.DataError != "" {
		return
	}
	b := m.Backup
	if b == nil {
		c.well(nil, "'telltale backup' was never run on this data directory")
		return
	}
	what := "of everything"
	if !b.History {
		what = "of users and tokens only"
	}
	age := c.received.Sub(b.Time)
	n := figures{"age_seconds": age.Seconds()}
	if age > oldBackup {
		c.note(warning, n, "run 'telltale backup' again, and see why it was not run", "the last one, %s, is %s old: %s", what, durationText(age), b.File)
	}
	c.well(n, "the last one, %s, is %s old: %s", what, durationText(age), b.File)
}
