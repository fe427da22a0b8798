package aggregate

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Step is the length of a window in milliseconds: one of Steps.
type Step int64

// The steps there are.
const (
	Second      Step = 1000
	TenSeconds       = 10 * Second
	Minute           = 60 * Second
	FiveMin          = 5 * Minute
	QuarterHour      = 15 * Minute
	Hour             = 60 * Minute
	SixHours         = 6 * Hour
	Day              = 24 * Hour
)

// Steps lists every step, shortest first.
var Steps = []Step{Second, TenSeconds, Minute, FiveMin, QuarterHour, Hour, SixHours, Day}

var stepNames = []string{"1s", "10s", "1m", "5m", "15m", "1h", "6h", "1d"}

func (s Step) String() string {
	i := slices.Index(Steps, s)
	if i < 0 {
		return fmt.Sprintf("Step(%dms)", int64(s))
	}
	return stepNames[i]
}

// ParseStep reads a step's name.
func ParseStep(name string) (Step, error) {
	i := slices.Index(stepNames, name)
	if i < 0 {
		return 0, fmt.Errorf("unknown step %q: use one of %s", name, strings.Join(stepNames, " "))
	}
	return Steps[i], nil
}

// Duration is the step's length.
func (s Step) Duration() time.Duration { return time.Duration(s) * time.Millisecond }

// Windows are [start, end), aligned to the Unix epoch and named by their end. Within this package they are
// counted: window w of a step is [w*step, (w+1)*step).

// window is the number of the window that the time ts (ms) lies in; ts is not negative.
func (s Step) window(ts int64) int64 { return ts / int64(s) }

// end is the end of window w, in ms: its name outside.
func (s Step) end(w int64) int64 { return (w + 1) * int64(s) }

// WindowEnd names the window that the time ts (ms since the epoch, not negative) lies in.
func (s Step) WindowEnd(ts int64) int64 { return s.end(s.window(ts)) }

// CarriedWindows is for how many windows the last value of a gauge stands in for a missing one:
// floor(2.5 * interval / step). After them the series has no value.
func (s Step) CarriedWindows(interval time.Duration) int64 {
	return int64(5 * interval / (2 * s.Duration()))
}
