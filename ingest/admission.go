package ingest

import (
	"math/rand/v2"
	"sync"
	"time"
)

// admission lets agents in at a rate. Those beyond it are told when to come back, each
// later than the one before, so that they arrive at that rate, too.
type admission struct {
	perSecond float64 // and how many may come at once

	mu     sync.Mutex // guards what follows
	tokens float64
	filled time.Time
	line   time.Time // when the last of those turned away is to be back
}

// returning is the share of the rate at which those turned away are told to come back: the
// rest is left to those who come for the first time, or before their time.
const returning = 0.8

// longestWait bounds what an agent is told to wait.
const longestWait = 5 * time.Minute

func newAdmission(perSecond int) *admission {
	return &admission{perSecond: float64(perSecond), tokens: float64(perSecond)}
}

// enter lets one agent in, or returns when it may come back.
func (a *admission) enter(now time.Time) (wait time.Duration, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokens = min(a.perSecond, a.tokens+now.Sub(a.filled).Seconds()*a.perSecond)
	a.filled = now
	if a.tokens >= 1 {
		a.tokens--
		return 0, true
	}
	// The first to return must find a token, so the line begins a second from now.
	if begin := now.Add(time.Second); a.line.Before(begin) {
		a.line = begin
	}
	a.line = a.line.Add(time.Duration(float64(time.Second) / (a.perSecond * returning)))
	wait = a.line.Sub(now)
	if wait > longestWait {
		wait = longestWait/2 + rand.N(longestWait/2)
	}
	return wait, false
}
