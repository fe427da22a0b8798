package history

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// flights runs a reading once for all who ask for the same at the same time. It ends when the last of them leaves.
type flights struct {
	shared  prometheus.Counter // those who joined
	running sync.WaitGroup

	mu     sync.Mutex // guards what follows
	byKey  map[string]*flight
	closed bool
}

type flight struct {
	callers int
	cancel  context.CancelCauseFunc
	done    chan struct{} // closed when the two below are set
	groups  []groupValues
	err     error
}

// do returns what read returns; the groups are shared, and so read-only. Identical keys must mean identical readings.
func (f *flights) do(ctx context.Context, key string, read func(context.Context) ([]groupValues, error)) ([]groupValues, error) {
	own, err := f.join(ctx, key, read)
	if err != nil {
		return nil, err
	}
	defer f.leave(key, own)
	select {
	case <-own.done:
		return own.groups, own.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// join finds the flight with this key, or starts it. The flight goes on when the caller who started it leaves.
func (f *flights) join(ctx context.Context, key string, read func(context.Context) ([]groupValues, error)) (*flight, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errClosed
	}
	if own := f.byKey[key]; own != nil {
		own.callers++
		f.shared.Inc()
		return own, nil
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	ctx, stop := context.WithTimeoutCause(ctx, readTimeout, errTooSlow)
	own := &flight{callers: 1, cancel: cancel, done: make(chan struct{})}
	f.byKey[key] = own
	f.running.Go(func() {
		defer stop()
		own.groups, own.err = read(ctx)
		f.land(key, own)
	})
	return own, nil
}

// land lets nobody join any more: who asks from now on wants newer data.
func (f *flights) land(key string, own *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgetLocked(key, own)
	close(own.done)
}

func (f *flights) leave(key string, own *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if own.callers--; own.callers == 0 {
		f.forgetLocked(key, own)
		own.cancel(nil)
	}
}

func (f *flights) forgetLocked(key string, own *flight) {
	if f.byKey[key] == own {
		delete(f.byKey, key)
	}
}

// close ends all flights and waits for them.
func (f *flights) close() {
	f.mu.Lock()
	f.closed = true
	for _, own := range f.byKey {
		own.cancel(errClosed)
	}
	f.mu.Unlock()
	f.running.Wait()
}
