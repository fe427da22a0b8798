package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// loadFlags are what both kinds of load are told.
type loadFlags struct {
	Duration time.Duration `help:"How long to measure, from when all are connected." default:"60s"`
	Ramp     time.Duration `help:"Time over which they connect; 0 is a millisecond for each." default:"0s"`
	PID      []int         `name:"pid" help:"Process whose CPU time and memory to report; may be repeated. The hub and its ClickHouse are two processes." placeholder:"PID" sep:"none"`
	JSON     bool          `name:"json" help:"Print the figures as JSON on standard output; the table goes to standard error."`
}

// Validate names the flag that cannot work.
func (l *loadFlags) Validate() error {
	if l.Duration <= 0 {
		return fmt.Errorf("--duration %v: measure for a positive time", l.Duration)
	}
	if l.Ramp < 0 {
		return fmt.Errorf("--ramp %v is negative", l.Ramp)
	}
	return nil
}

// crowd is a load: members that connect to the hub, of one kind.
type crowd interface {
	// member is one of them from its first connection until ctx ends. An error, which no
	// other try would mend, ends the whole run.
	member(ctx context.Context, i int) error

	connected() int

	// begin and end bound the time that is measured. begin may wait until the load is
	// steady, and returns when ctx ends.
	begin(ctx context.Context)
	end()

	// drain waits for what is still under way. It returns when ctx ends.
	drain(ctx context.Context)

	progress() string
}

// settleTime is how long after the ramp the last ones may take to be connected: a hub that
// starts asks its storage how far every agent has come.
const settleTime = 30 * time.Second

// drive runs n members through ramp, measurement and drain. Where ctx ends, it ends early
// and what was measured so far counts. The error is the one that a member ended with.
func (l *loadFlags) drive(ctx context.Context, c crowd, n int, out console) (present int, err error) {
	// Members outlive ctx: what was sent is to be acknowledged.
	alive, leave := context.WithCancelCause(context.WithoutCancel(ctx))
	working, stop := context.WithCancel(alive)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	var members sync.WaitGroup
	stopProgress := showProgress(out, c)
	launch(working, n, l.ramp(n), func(i int) {
		members.Go(func() {
			if err := c.member(alive, i); err != nil {
				leave(err)
			}
		})
	})
	await(working, settleTime, func() bool { return c.connected() == n })
	if c.connected() > 0 {
		c.begin(working)
		sleep(working, l.Duration)
		present = c.connected()
		c.end()
		c.drain(alive)
	}
	stopProgress()
	leave(context.Canceled)
	members.Wait()
	if cause := context.Cause(alive); !errors.Is(cause, context.Canceled) {
		return present, cause
	}
	return present, nil
}

func (l *loadFlags) ramp(n int) time.Duration {
	if l.Ramp > 0 {
		return l.Ramp
	}
	return time.Duration(n) * time.Millisecond
}

// launch starts n members evenly over ramp.
func launch(ctx context.Context, n int, ramp time.Duration, start func(i int)) {
	begun := time.Now()
	for i := range n {
		if !sleep(ctx, time.Until(begun.Add(ramp*time.Duration(i)/time.Duration(n)))) {
			return
		}
		start(i)
	}
}

// sleep returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// await looks every few milliseconds whether the condition holds, for at most limit.
func await(ctx context.Context, limit time.Duration, condition func() bool) {
	for end := time.Now().Add(limit); !condition() && time.Now().Before(end); {
		if !sleep(ctx, 20*time.Millisecond) {
			return
		}
	}
}

// showProgress writes a line each second, over the one before, until stop is called.
func showProgress(out console, c crowd) (stop func()) {
	if !out.live {
		return func() {}
	}
	done := make(chan struct{})
	var shown sync.WaitGroup
	shown.Go(func() {
		second := time.NewTicker(time.Second)
		defer second.Stop()
		for begun := time.Now(); ; {
			select {
			case <-second.C:
				fmt.Fprintf(out.err, "\r\033[K%3.0f s  %s", time.Since(begun).Seconds(), c.progress())
			case <-done:
				fmt.Fprint(out.err, "\r\033[K")
				return
			}
		}
	})
	return func() {
		close(done)
		shown.Wait()
	}
}

// rate turns a growing count into the growth since it was last asked.
type rate struct{ before int64 }

func (r *rate) of(count *atomic.Int64) int64 {
	now := count.Load()
	growth := now - r.before
	r.before = now
	return growth
}
