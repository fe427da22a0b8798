package aggregate

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // so that a hub knows the time zones on a machine that does not
)

// Shift is how far back a comparison looks: one unit of the calendar.
type Shift string

// The shifts there are.
const (
	DayBefore   Shift = "1d"
	WeekBefore  Shift = "1w"
	MonthBefore Shift = "1M"
)

var shifts = []Shift{DayBefore, WeekBefore, MonthBefore}

// Comparison is with the same time by the calendar and the clock of a place, a day, a week or a month before.
//
// A range is compared with the one between the same times then, so both have the same part of their day behind them. A
// day on which clocks were changed has 23 or 25 hours: windows are compared one by one, each with that of its own time then.
type Comparison struct {
	Shift Shift
	Zone  *time.Location
}

const maxZoneBytes = 64

// NewComparison reads the names of a shift and of an IANA time zone, which is UTC where it is empty. Errors are *QueryError, of
// the keys "compare" and "timezone".
func NewComparison(shift, zone string) (Comparison, error) {
	c := Comparison{Shift: Shift(shift)}
	if !slices.Contains(shifts, c.Shift) {
		return c, keyError("compare", "unknown shift %q: use one of %s", shift, join(shifts))
	}
	var err error
	c.Zone, err = LoadZone(zone)
	return c, err
}

// LoadZone returns the time zone with an IANA name, UTC for none. The error is a *QueryError of the key "timezone".
func LoadZone(name string) (*time.Location, error) {
	if len(name) > maxZoneBytes {
		return nil, keyError("timezone", "has %d bytes: the limit is %d", len(name), maxZoneBytes)
	}
	zone, err := time.LoadLocation(name)
	if err != nil || strings.EqualFold(name, "local") { // which is another one on each machine
		return nil, keyError("timezone", "unknown time zone %q: use an IANA name, such as Europe/Berlin", name)
	}
	return zone, nil
}

// String is the same for comparisons that mean the same.
func (c Comparison) String() string { return fmt.Sprintf("%s in %v", c.Shift, c.Zone) }

// Before returns the time (ms since the epoch) at which calendar and clock showed what they show at ts, a shift earlier.
//   - A month before is the same day of the month before, or its last day where it is shorter: March 31 is compared with
//     February 28 or 29, as March 28 is.
//   - A time that clocks skipped counts on from before the change: 02:30, where they went from 02:00 to 03:00, is 03:30.
//   - Of a time that clocks showed twice it is the one at the same offset from UTC as ts, or else the first.
func (c Comparison) Before(ts int64) int64 {
	t := time.UnixMilli(ts).In(c.Zone)
	year, month, day := t.Date()
	switch c.Shift {
	case DayBefore:
		day--
	case WeekBefore:
		day -= 7
	case MonthBefore:
		month--
		day = min(day, time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day())
	}
	shown := time.Date(year, month, day, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	return c.when(shown, offset(t)).UnixMilli()
}

// when returns the time at which the zone's clocks show what a clock in UTC shows at another; own is the offset to prefer.
func (c Comparison) when(shown time.Time, own time.Duration) time.Time {
	// No zone is a day away from UTC, and none changes its clocks twice within two days.
	before, after := offset(shown.Add(-24*time.Hour).In(c.Zone)), offset(shown.Add(24*time.Hour).In(c.Zone))
	for _, o := range []time.Duration{own, before, after} {
		if t := shown.Add(-o); offset(t.In(c.Zone)) == o {
			return t
		}
	}
	return shown.Add(-before) // clocks skipped it
}

// offset is how far the time's zone is ahead of UTC then.
func offset(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}

// Windows names the windows that those named by ends are compared with, each by its end: the end a shift before, rounded to
// the nearest end of a window, the earlier of two. None lies before the epoch: 0 names no window.
func (c Comparison) Windows(step Step, ends []int64) []int64 {
	before := make([]int64, len(ends))
	for i, end := range ends {
		nearest := c.Before(end) + (int64(step)-1)/2
		before[i] = max(nearest-nearest%int64(step), 0)
	}
	return before
}

// Steady says whether a query's values are of one size whatever the step: a rate or a level, not what adds up within a window.
// Only such ones can be compared with what is kept at a longer step. The queries are those that its arithmetic names.
func (q Query) Steady(queries map[string]Query) bool {
	if q.Expr == "" {
		return q.Over == Last || q.Over == Avg || q.Over == Rate
	}
	_, operands, err := q.arithmetic(queries)
	for _, o := range operands {
		if !o.Steady(queries) {
			return false
		}
	}
	return err == nil
}
