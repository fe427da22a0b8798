package dashboard

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// recentKept is how long an answer of history serves: every page asks for it now and then, and it
// changes rarely.
const recentKept = 5 * time.Second

// recent remembers what history said last, so that many pages ask it once. While history is away
// it serves what it had.
type recent[T any] struct {
	forgotten atomic.Uint64 // counts the calls of forget

	mu     sync.Mutex // held while one asks: the others wait for the answer
	asked  time.Time
	since  uint64 // forgotten when it was asked
	loaded bool
	value  T
	err    error // of the last time it was asked
}

func (r *recent[T]) get(ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.forgotten.Load(); r.asked.IsZero() || now != r.since || time.Since(r.asked) >= recentKept {
		value, err := ask(ctx)
		r.asked, r.since, r.err = time.Now(), now, err
		if err == nil {
			r.value, r.loaded = value, true
		}
	}
	if !r.loaded {
		var none T
		return none, r.err
	}
	return r.value, nil
}

// forget has whoever comes next ask history, and not be told what was before. It does not wait for who asks now.
func (r *recent[T]) forget() { r.forgotten.Add(1) }
