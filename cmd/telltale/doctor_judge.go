package main

import (
	"fmt"
	"strings"
	"time"
)

// checkup makes the findings of one hub.
type checkup struct {
	*facts
	findings []finding
	check    string // the one that is on
	noted    bool   // it has a finding
}

// add judges the facts of a hub.
func (d *diagnosis) add(f *facts) {
	c := &checkup{facts: f}
	for _, check := range []struct {
		name string
		run  func(*checkup)
	}{
		{"hub", (*checkup).hub}, {"versions", (*checkup).versions}, {"clickhouse", (*checkup).clickhouse}, {"storing", (*checkup).storing},
		{"tiers", (*checkup).tiers}, {"disk", (*checkup).disk}, {"parts", (*checkup).parts}, {"quarantine", (*checkup).quarantine},
		{"clocks", (*checkup).clocks}, {"limits", (*checkup).limits}, {"agents", (*checkup).agents}, {"gaps", (*checkup).gaps},
		{"refused", (*checkup).refused}, {"backup", (*checkup).backup},
	} {
		c.check, c.noted = check.name, false
		check.run(c)
	}
	for i := range c.findings {
		if f.Hub != nil {
			c.findings[i].Hub = f.Hub.Name
		}
	}
	d.findings = append(d.findings, c.findings...)
}

// figures are a finding's numbers for programs.
type figures = map[string]float64

func (c *checkup) note(v verdict, n figures, remedy, format string, args ...any) {
	if v == fine {
		remedy = ""
	}
	c.noted = true
	c.findings = append(c.findings, finding{Check: c.check, Verdict: v, Seen: fmt.Sprintf(format, args...), Remedy: remedy, Figures: n})
}

// well is the finding of a check that has noted nothing.
func (c *checkup) well(n figures, format string, args ...any) {
	if !c.noted {
		c.note(fine, n, "", format, args...)
	}
}

// graded is a verdict on a figure that is bad when it is large.
func graded(value, warnFrom, failFrom float64) verdict {
	switch {
	case value >= failFrom:
		return failing
	case value >= warnFrom:
		return warning
	}
	return fine
}

// bytesText is a size for people.
func bytesText[T int64 | uint64 | float64](bytes T) string {
	b := float64(bytes)
	switch {
	case b >= 1e12:
		return fmt.Sprintf("%.1f TB", b/1e12)
	case b >= 1e9:
		return fmt.Sprintf("%.1f GB", b/1e9)
	case b >= 1e6:
		return fmt.Sprintf("%.1f MB", b/1e6)
	case b >= 1e3:
		return fmt.Sprintf("%.1f kB", b/1e3)
	}
	return fmt.Sprintf("%.0f bytes", b)
}

// durationText is a time for people, to two units.
func durationText(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.1f days", d.Hours()/24)
	case d >= time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}

func timesText(n float64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%.0f times", n)
}

// named lists some of all by their texts.
func named[T any](some []T, all int, text func(T) string) string {
	texts := make([]string, len(some))
	for i, one := range some {
		texts[i] = text(one)
	}
	list := strings.Join(texts, ", ")
	if more := all - len(some); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}
