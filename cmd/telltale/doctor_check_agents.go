package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"telltale/aggregate"
	"telltale/aggregate/history"
)

const (
	// clockRefused is near the minute from which on agents are turned away.
	clockRefused = 30 * time.Second
	// transit is more than the answer takes from the hub to the doctor.
	transit = time.Second
)

const runNTP = "run NTP (chrony, systemd-timesyncd) on %s"

func (c *checkup) clocks() {
	n := figures{}
	if h := c.History; h != nil {
		n["clickhouse_ahead_seconds"] = h.ClockAhead.Seconds()
		if h.ClockAhead.Abs()-h.RoundTrip/2 > clockOff {
			c.note(warning, n, fmt.Sprintf(runNTP, "both machines"), "ClickHouse's clock is %s, by the hub's", apart(h.ClockAhead))
		}
	}
	if c.Hub == nil {
		if c.History != nil {
			c.well(n, "ClickHouse's is %s from this machine's", durationText(c.History.ClockAhead.Abs()))
		}
		return
	}
	if ahead := c.Sent.Sub(c.received); ahead.Abs() > clockOff+transit {
		c.note(warning, n, fmt.Sprintf(runNTP, "both machines"), "the hub's clock is %s, by that of this machine", apart(ahead))
	}
	a := &c.Hub.Agents
	n["agents_off"] = float64(a.ClocksAll)
	if a.ClocksAll > 0 {
		v := warning
		if a.Clocks[0].Ahead.Abs() > clockRefused {
			v = failing
		}
		c.note(v, n, fmt.Sprintf(runNTP, "these hosts")+"; with more than a minute they are turned away", "%s not with the hub's clock: %s", isAre(a.ClocksAll, "agent"),
			named(a.Clocks, a.ClocksAll, func(k agentClock) string { return fmt.Sprintf("%s (%s)", k.Agent, apart(k.Ahead)) }))
	}
	if turned := c.Hub.LastHour["telltale_ingest_closed_total{clock_skew}"]; turned > 0 {
		c.note(failing, figures{"turned_away": turned}, fmt.Sprintf(runNTP, "the hosts that the hub's log names with clock_skew")+"; they keep what they measure until then",
			"agents were turned away %s within %s: their clocks are more than a minute off", timesText(turned), durationText(c.Hub.Since))
	}
	c.well(n, "no clock is more than %s off", durationText(clockOff))
}

func apart(ahead time.Duration) string {
	if ahead < 0 {
		return durationText(-ahead) + " behind"
	}
	return durationText(ahead) + " ahead"
}

// From these shares of a limit on, a finding is a warning or a failure.
const (
	nearLimit = 0.8
	atLimit   = 1.0
)

func (c *checkup) limits() {
	if c.Hub == nil {
		return
	}
	s, l := &c.Hub.Series, &c.Hub.Load
	n := figures{
		"series": float64(s.Series), "series_limit": float64(s.Limit), "agent_series_limit": float64(s.AgentLimit),
		"viewers": float64(l.Viewers), "viewers_limit": float64(l.MaxViewers), "open_files": float64(l.OpenFiles), "open_files_limit": float64(l.MaxFiles),
	}
	const fewer = "send fewer distinct labels: GET /api/v1/cardinality shows which metric and label grow; series that end are forgotten"
	if v := graded(float64(s.Series)/float64(s.Limit), nearLimit, atLimit); v != fine {
		c.note(v, n, fewer, "the hub has %d series, and may have %d", s.Series, s.Limit)
	}
	for _, a := range s.Largest {
		if v := graded(float64(a.Series)/float64(s.AgentLimit), nearLimit, atLimit); v != fine {
			c.note(v, n, fewer, "agent %s has %d series, and may have %d", a.Agent, a.Series, s.AgentLimit)
		}
	}
	if v := graded(float64(l.Viewers)/float64(l.MaxViewers), nearLimit, atLimit); v != fine {
		c.note(v, n, "raise --max-viewers, if the machine has the memory and file descriptors", "%d viewers, and there may be %d", l.Viewers, l.MaxViewers)
	}
	c.files(n)
	c.well(n, "%d of %d series%s; %d of %d viewers; %d of %d file descriptors", s.Series, s.Limit, largest(s.Largest, s.AgentLimit),
		l.Viewers, l.MaxViewers, l.OpenFiles, l.MaxFiles)
}

func largest(agents []aggregate.AgentSeries, limit int) string {
	if len(agents) == 0 {
		return ""
	}
	return fmt.Sprintf(", %d of %d the most of an agent", agents[0].Series, limit)
}

// ownFiles is how many file descriptors the hub needs beside agents and viewers.
const ownFiles = 200

func (c *checkup) files(n figures) {
	l := &c.Hub.Load
	if l.MaxFiles == 0 {
		return // this system does not say
	}
	const remedy = "raise the limit (ulimit -n; LimitNOFILE in a systemd unit) and start the hub again"
	if v := graded(float64(l.OpenFiles)/float64(l.MaxFiles), nearLimit, 0.95); v != fine {
		c.note(v, n, remedy, "%d file descriptors are open, and there may be %d", l.OpenFiles, l.MaxFiles)
	} else if wanted := l.MaxViewers + l.Connected + ownFiles; wanted > l.MaxFiles {
		c.note(warning, n, remedy+", or lower --max-viewers", "the process may have %d file descriptors open: too few for %d viewers (--max-viewers) and %d agents",
			l.MaxFiles, l.MaxViewers, l.Connected)
	}
}

func (c *checkup) agents() {
	if c.Hub == nil {
		return
	}
	a := &c.Hub.Agents
	n := figures{"known": float64(a.Known), "connected": float64(c.Hub.Load.Connected), "silent": float64(a.SilentAll), "gone": float64(a.Gone)}
	if a.SilentAll > 0 {
		c.note(warning, n, "see on these hosts whether telltale-agent runs and what its log says; of a host that is no more nothing is said after a week",
			"%s silent: %s", isAre(a.SilentAll, "agent"), named(a.Silent, a.SilentAll, func(s silentAgent) string {
				if s.Connected {
					return fmt.Sprintf("%s (connected, and has sent nothing for %s)", s.Agent, durationText(s.For))
				}
				return fmt.Sprintf("%s (last seen %s ago)", s.Agent, durationText(s.For))
			}))
	}
	if twice := c.Hub.LastHour["telltale_ingest_duplicate_agents_total"]; twice > 0 {
		c.note(warning, figures{"found": twice}, "give each its own id (--id), or its own --spool where an image of a machine was copied; the hub's log names them with duplicate_agent",
			"two machines with one agent id were found %s within %s", timesText(twice), durationText(c.Hub.Since))
	}
	c.well(n, "%d are connected, none is silent; of %d known, %d have been away for over a week", c.Hub.Load.Connected, a.Known, a.Gone)
}

func isAre(n int, what string) string {
	if n == 1 {
		return "1 " + what + " is"
	}
	return fmt.Sprintf("%d %ss are", n, what)
}

// gapRemedies are what to do about a gap's reason.
var gapRemedies = map[string]string{
	"spool_full":       "give agents more room (--spool-bytes), or the hub fewer outages",
	"corrupt":          "look at the disks of these hosts",
	"unclean_stop":     "stop agents with SIGTERM, and look why they or their hosts went down",
	"too_many_epochs":  "look why these agents start again and again",
	"frame_too_big":    "let these agents send fewer series in one tick",
	"stored_elsewhere": "let each agent send to one history",
	"disk_failed":      "look at the disks of these hosts",
}

func (c *checkup) gaps() {
	if c.History == nil || c.History.Gaps == nil {
		return
	}
	gaps := c.History.Gaps
	if len(gaps) == 0 {
		c.well(figures{"samples": 0}, "none were declared within a day")
		return
	}
	samples, reasons := 0.0, []string{}
	for _, g := range gaps {
		samples += float64(g.Samples)
		if remedy, known := gapRemedies[g.Reason]; known && !slices.Contains(reasons, remedy) {
			reasons = append(reasons, remedy)
		}
	}
	reasons = append(reasons, "what is lost is lost: SELECT * FROM gaps has it")
	c.note(warning, figures{"samples": samples}, strings.Join(reasons, "; "), "lost within a day: %s",
		named(gaps[:min(len(gaps), maxExamples)], len(gaps), func(g history.GapCount) string {
			return fmt.Sprintf("%s %d samples in %s (%s)", g.Agent, g.Samples, plural(int(g.Gaps), "gap"), g.Reason)
		}))
}

// refusalRemedies are what to do about samples that are refused for a reason.
var refusalRemedies = map[string]string{
	"too_old": "let agents reach the hub before raw retention is over, or raise --retention-raw", "too_new": "run NTP on these hosts",
	"series_limit": "send fewer distinct labels: GET /api/v1/cardinality shows which", "kind_conflict": "give metrics of different kinds different names",
	"quarantined": "see what is said of the quarantine",
}

func (c *checkup) refused() {
	if c.Hub == nil {
		return
	}
	n, total := figures{}, 0.0
	var seen, remedies []string
	for name, samples := range c.Hub.LastHour {
		reason, of := strings.CutPrefix(name, "telltale_ingest_refused_samples_total{")
		if reason = strings.TrimSuffix(reason, "}"); of {
			n[reason] = samples
			total += samples
			seen = append(seen, fmt.Sprintf("%.0f %s", samples, reason))
			remedy, known := refusalRemedies[reason]
			if !known {
				remedy = "mend what sends them: docs/protocol.md says what " + reason + " means"
			}
			remedies = append(remedies, remedy)
		}
	}
	if total == 0 {
		c.well(n, "no sample within %s", durationText(c.Hub.Since))
		return
	}
	slices.Sort(seen)
	slices.Sort(remedies)
	by := ""
	if some := c.Hub.Agents.Refusing; len(some) > 0 {
		by = "; of connected agents most are " + named(some, len(some), func(r refusedAgent) string { return fmt.Sprintf("%s's (%s)", r.Agent, r.Reason) })
	}
	c.note(warning, n, strings.Join(slices.Compact(remedies), "; "), "%.0f samples within %s: %s%s", total, durationText(c.Hub.Since), strings.Join(seen, ", "), by)
}
