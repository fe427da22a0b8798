package ingest

import (
	"slices"
	"time"
)

// takeOver is a connection that another machine took over.
type takeOver struct {
	at    time.Time
	loser []string // its identity
}

// Two machines with one id take over from each other for ever. After so many times within
// so long, both are told.
const (
	takeOverLimit = 3
	takeOverTime  = time.Minute
)

// tookOverLocked notes that a connection takes over from another, and says whether two
// machines do so from each other: that is one whose epochs are others than those of the
// connection it took over from, and that lost its own to such a one before. A machine that
// comes back, on another way or newly started, finds its own epochs, or none that came back.
func (a *agent) tookOverLocked(loser, winner []string, now time.Time) bool {
	if overlap(loser, winner) {
		return false
	}
	a.takeOvers = slices.DeleteFunc(a.takeOvers, func(t takeOver) bool { return now.Sub(t.at) > takeOverTime })
	returned := slices.ContainsFunc(a.takeOvers, func(t takeOver) bool { return overlap(t.loser, winner) })
	if !returned {
		a.takeOvers = nil
	}
	a.takeOvers = append(a.takeOvers, takeOver{now, loser})
	if len(a.takeOvers) < takeOverLimit {
		return false
	}
	a.takeOvers = nil
	return true
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(name string) bool { return slices.Contains(b, name) })
}
