package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

const (
	shortestPause = 250 * time.Millisecond
	longestPause  = 30 * time.Second
	steadyAfter   = time.Minute // a run this long starts the pauses anew
	slowStart     = 2 * time.Second
)

// supervise runs the engine until Close, and reports on first whether it started at all;
// startup bounds only that first attempt.
func (e *Engine) supervise(startup context.Context, first chan<- error) {
	defer close(e.done)
	defer e.set(nil, ErrClosed)
	// The kernel ends the engine together with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	starting, stopWaiting := context.WithCancelCause(e.closing)
	release := context.AfterFunc(startup, func() { stopWaiting(context.Cause(startup)) })
	child, err := e.launch(starting)
	release()
	stopWaiting(nil)
	first <- err
	if err != nil {
		return
	}
	for pause := shortestPause; ; {
		began := time.Now()
		if child != nil {
			select {
			case <-child.exited:
				err = e.obituary(child)
			case <-e.closing.Done():
				child.stop(e.hurry)
				return
			}
		}
		e.set(nil, err)
		if time.Since(began) > steadyAfter {
			pause = shortestPause
		}
		wait := pause/2 + rand.N(pause/2)
		e.log.Error("the embedded clickhouse is down", "error", err, "restart_in", wait)
		if !e.pause(wait) {
			return
		}
		pause = min(2*pause, longestPause)
		e.restarts.Inc()
		child, err = e.launch(e.closing)
	}
}

// pause waits, unless a restart is asked for, and reports false when the engine is to close.
func (e *Engine) pause(wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		e.mu.Lock()
		wanted, changed := e.wanted, e.changed
		e.wanted = false
		e.mu.Unlock()
		if wanted {
			return e.closing.Err() == nil
		}
		select {
		case <-timer.C:
			return true
		case <-changed:
		case <-e.closing.Done():
			return false
		}
	}
}

// launch starts a process and returns it when it answers queries. Otherwise none is left.
func (e *Engine) launch(ctx context.Context) (*process, error) {
	began := time.Now()
	if err := awaitEngineLock(ctx, e.dir.store(), lockPatience); err != nil {
		return nil, err
	}
	e.relay.takeTail()
	child, err := startProcess(e.cfg.Path, e.dir, e.id, e.relay)
	if err != nil {
		return nil, err
	}
	e.set(child, errStarting)
	if err := e.awaitReady(ctx, child); err != nil {
		child.stop(ctx)
		e.set(nil, err)
		return nil, err
	}
	e.set(child, nil)
	e.log.Info("embedded clickhouse is ready", "pid", child.pid(), "tcp", e.Addresses().TCP,
		"http", e.Addresses().HTTP, "engine", e.cfg.Path, "took", time.Since(began).Round(time.Millisecond))
	return child, nil
}

// awaitReady signs in until that works, so that a stranger who listens on the port is not
// taken for the engine.
func (e *Engine) awaitReady(ctx context.Context, child *process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyPatience, fmt.Errorf("the engine does not answer after %v", readyPatience))
	defer cancel()
	options, err := clickhouse.ParseDSN(e.Addresses().DSN)
	if err != nil {
		return fmt.Errorf("reach the engine: %w", err)
	}
	options.Auth.Database = "" // Database may not exist yet
	options.MaxOpenConns = 1
	connection, err := clickhouse.Open(options)
	if err != nil {
		return fmt.Errorf("reach the engine: %w", err)
	}
	defer func() { _ = connection.Close() }()

	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	slow := time.NewTicker(slowStart)
	defer slow.Stop()
	for {
		err := connection.Ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-child.exited:
			return e.obituary(child)
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-slow.C:
			e.log.Warn("still waiting for the embedded clickhouse", "pid", child.pid(), "last_error", err)
		case <-retry.C:
		}
	}
}

// obituary says why a process ended, in the engine's own last words.
func (e *Engine) obituary(child *process) error {
	err := fmt.Errorf("the engine (process %d) ended: %w", child.pid(), child.err)
	if words := e.relay.takeTail(); words != "" {
		err = fmt.Errorf("%w: %s", err, words)
	}
	return err
}

// set changes the state that the other methods see.
func (e *Engine) set(child *process, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current, e.err = child, err
	if err == nil {
		e.runs++
	}
	if errors.Is(err, errStarting) {
		e.wanted = false
	}
	e.notifyLocked()
}

// notifyLocked wakes everyone who waits for a change.
func (e *Engine) notifyLocked() {
	close(e.changed)
	e.changed = make(chan struct{})
}
