package main

import (
	"fmt"
	"strings"
	"time"
)

// The ClickHouse versions that Telltale was tested with, by year and month.
const (
	oldestTested = "26.7"
	newestTested = "26.7"
)

func (c *checkup) hub() {
	if c.Hub == nil {
		remedy := fmt.Sprintf("start one with 'telltale serve --data %s', or name the one that runs with --data or --nats", c.Machine.Data)
		if !strings.Contains(c.HubGone, "no hub is running") {
			remedy = "look into the hub's log, and start it again if it says nothing"
		}
		c.note(failing, nil, remedy, "%s; not looked at for that: storing, tiers, limits, agents' clocks and silence, and all that only a hub knows", c.HubGone)
		return
	}
	h := c.Hub
	c.well(figures{"uptime_seconds": h.Now.Sub(h.Started).Seconds()}, "process %d has run for %s", h.PID, durationText(h.Now.Sub(h.Started)))
}

func (c *checkup) versions() {
	seen := "this program " + version
	if c.Hub != nil {
		seen = "hub " + c.Hub.Version + ", " + seen
		if c.Hub.Version != version {
			c.note(warning, nil, "start the hub with the newer program, and ask it with the same", "%s: they differ", seen)
		}
	}
	if c.History == nil {
		c.well(nil, "%s", seen)
		return
	}
	s := c.History.Schema
	n := figures{"schema_applied": float64(s.Applied), "schema_known": float64(s.Known), "schema_pending": float64(s.Pending)}
	switch v := c.History.Version; {
	case s.Applied > s.Known:
		c.note(failing, n, "use the telltale that made it, or a later one: this one would not start on it",
			"the history has schema %d, and this telltale knows up to %d", s.Applied, s.Known)
	case s.Pending > 0:
		c.note(failing, n, "start the hub, or run 'telltale migrate'", "the history has schema %d: %d migrations of %d are to be done", s.Applied, s.Pending, s.Known)
	case olderThan(v, oldestTested):
		c.note(warning, n, "update ClickHouse to "+oldestTested, "ClickHouse %s is older than %s, the oldest that was tested", v, oldestTested)
	case olderThan(newestTested, v):
		c.note(warning, n, "use ClickHouse "+newestTested+", or a telltale that was tested with this one",
			"ClickHouse %s is newer than %s, the newest that was tested", v, newestTested)
	}
	c.well(n, "%s, ClickHouse %s, schema %d", seen, c.History.Version, s.Applied)
}

// olderThan compares years and months.
func olderThan(a, b string) bool {
	var yearA, monthA, yearB, monthB int
	if n, _ := fmt.Sscanf(a, "%d.%d", &yearA, &monthA); n != 2 {
		return false
	}
	if n, _ := fmt.Sscanf(b, "%d.%d", &yearB, &monthB); n != 2 {
		return false
	}
	return yearA < yearB || yearA == yearB && monthA < monthB
}

func (c *checkup) clickhouse() {
	if c.Machine.EngineError != "" {
		c.note(failing, nil, "install it with 'make build', or name one with --engine or --clickhouse", "%s", c.Machine.EngineError)
	}
	if h := c.Hub; h != nil {
		if h.EngineErr != "" {
			c.note(failing, nil, "look at the end of clickhouse/clickhouse.log in the data directory; the hub goes on starting it again", "%s", h.EngineErr)
		}
		if n := h.LastHour["telltale_engine_restarts_total"]; n > 0 {
			c.note(warning, figures{"restarts": n}, "look into clickhouse/clickhouse.log in the data directory for why it ended; memory is the usual reason: see --engine-memory",
				"the embedded ClickHouse was started again %s within %s", timesText(n), durationText(h.Since))
		}
	}
	if c.HistoryError != "" {
		c.note(failing, nil, "see that ClickHouse runs and can be reached; one that hangs is started again by the hub within a minute or two, an outside one by you",
			"it does not answer: %s; not looked at for that: schema, parts, growth, gaps, and agents that are away", c.HistoryError)
	}
	if c.History != nil {
		c.clickhouseAnswers()
		return
	}
	c.well(nil, "found at %s, and not running", c.Machine.Engine)
}

func (c *checkup) clickhouseAnswers() {
	h := c.History
	remedy := "let the hub's user read system tables (GRANT SELECT ON system.*)"
	if h.Schema.Pending > 0 {
		remedy = "bring the schema up to date"
	}
	for _, unknown := range h.Unknown {
		c.note(warning, nil, remedy, "could not be read: %s", shortened(unknown))
	}
	n := figures{"memory_bytes": float64(h.MemoryBytes), "memory_limit_bytes": float64(h.MemoryLimitBytes), "round_trip_seconds": h.RoundTrip.Seconds()}
	named := ""
	if h.MemoryOf != "" {
		named = h.MemoryOf + " "
	}
	if limit := float64(h.MemoryLimitBytes); limit > 0 {
		c.note(graded(float64(h.MemoryBytes)/limit, 0.8, 0.95), n, "give it more with --engine-memory, or ask it for less at once",
			"%sanswers in %s; it has taken %s of the %s of memory it may", named, durationText(h.RoundTrip), bytesText(h.MemoryBytes), bytesText(h.MemoryLimitBytes))
		return
	}
	c.note(fine, n, "", "%sanswers in %s; it has taken %s of memory, which is not limited", named, durationText(h.RoundTrip), bytesText(h.MemoryBytes))
}

// Lags are some one and a half seconds where all is well: a block is a second long.
const (
	lagWarning   = 5.0 // s
	lagFailing   = 30.0
	recentlyFail = time.Minute // ClickHouse is asked again within ten seconds, or half a minute where it is silent
)

func (c *checkup) storing() {
	if c.Hub == nil {
		return
	}
	s := &c.Hub.Storage
	n := figures{"unstored_bytes": float64(s.UnstoredBytes), "max_unstored_bytes": float64(s.MaxBytes), "waiting_seconds": s.Waiting.Seconds()}
	switch {
	case s.NotReady != "":
		c.note(failing, n, "the hub waits for ClickHouse: see what is said of that here and in the hub's log; agents keep what they send", "nothing can be stored: %s", s.NotReady)
	case len(s.Away) > 0:
		c.note(warning, n, "see what is said of ClickHouse here, and its log there; the agents of that shard keep what they send",
			"stored on the other shards only: %s", strings.Join(s.Away, ", "))
	case s.Behind == "disk_full":
		c.note(failing, n, "make room, or shorten --retention-raw; agents keep what they send until then", "nothing is stored: ClickHouse's disk has less room than --min-free")
	case s.Behind != "":
		c.note(failing, n, "see what is said of ClickHouse here; agents keep what they send until then",
			"nothing more is taken for storing: the oldest sample has waited %s, %s wait", durationText(s.Waiting), bytesText(s.UnstoredBytes))
	case s.Failure != nil && c.Hub.Now.Sub(s.Failure.At) < recentlyFail:
		c.note(warning, n, "see what is said of ClickHouse here, and its log; the hub tries again until it succeeds",
			"%s ago a block could not be stored: %s", durationText(c.Hub.Now.Sub(s.Failure.At)), shortened(s.Failure.Error))
	}
	c.lag(n)
}

func (c *checkup) lag(n figures) {
	h := c.Hub
	if h.LagError != "" {
		if !c.noted {
			c.note(warning, n, "see what is said of ClickHouse here", "how long storing takes is not known: %s", h.LagError)
		}
		return
	}
	worst := 0.0
	for _, seconds := range h.LagP99 {
		worst = max(worst, seconds)
	}
	n["lag_p99_seconds"] = worst
	unstored := fmt.Sprintf("%s of %s wait", bytesText(h.Storage.UnstoredBytes), bytesText(h.Storage.MaxBytes))
	if len(h.LagP99) == 0 {
		c.well(n, "nothing came from agents within %d minutes; %s", lagMinutes, unstored)
		return
	}
	v := graded(worst, lagWarning, lagFailing)
	if v == failing && !c.noted {
		v = warning // it is stored, only late; or agents send what an outage has left
	}
	if v != fine || !c.noted {
		c.note(v, n, "where agents send what an outage has left, wait; else ClickHouse needs more CPU or a faster disk",
			"p99 from sample to stored was %.1f s in the worst of the last %d minutes; %s", worst, lagMinutes, unstored)
	}
}

// shortened keeps a message of ClickHouse's to a line.
func shortened(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "..."
	}
	return text
}

const (
	tierBehind     = time.Minute // beyond a window's length
	tierFarBehind  = 15 * time.Minute
	repairSlow     = 10 * time.Minute
	repairVerySlow = 6 * time.Hour
)

func (c *checkup) tiers() {
	if c.Hub == nil {
		return
	}
	if len(c.Hub.Tiers) == 0 {
		c.note(warning, nil, "it comes with ClickHouse: see what is said of that here", "how far they are is not known yet")
		return
	}
	var seen []string
	n := figures{}
	for i := range c.Hub.Tiers {
		t := &c.Hub.Tiers[i]
		behind := c.Hub.Now.Sub(t.Through)
		n[t.Table+"_behind_seconds"], n[t.Table+"_dirty_windows"] = behind.Seconds(), float64(t.Dirty)
		n[t.Table+"_waiting_seconds"] = t.Waiting.Seconds()
		const remedy = "queries read raw until then, and are right; ClickHouse refuses or is slow: see its log, and give it room, memory and CPU"
		if v := graded(behind.Seconds(), (t.Step + tierBehind).Seconds(), (t.Step + tierFarBehind).Seconds()); v != fine {
			c.note(v, n, remedy, "%s is %s behind, with windows of %s", t.Table, durationText(behind), t.Step)
		}
		if v := graded(t.Waiting.Seconds(), repairSlow.Seconds(), repairVerySlow.Seconds()); t.Dirty > 0 && v != fine {
			c.note(v, n, remedy, "%s has %d windows to recompute, the oldest for %s", t.Table, t.Dirty, durationText(t.Waiting))
		}
		if t.Failure != nil && c.Hub.Now.Sub(t.Failure.At) < recentlyFail {
			c.note(warning, n, remedy, "%s could not be written %s ago: %s", t.Table, durationText(c.Hub.Now.Sub(t.Failure.At)), shortened(t.Failure.Error))
		}
		seen = append(seen, fmt.Sprintf("%s %s behind, %d windows to recompute", t.Table, durationText(behind), t.Dirty))
	}
	c.well(n, "%s", strings.Join(seen, "; "))
}
