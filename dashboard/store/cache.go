package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	watchTimeout = 5 * time.Second // to set up a watcher
	watchRetry   = time.Second     // from its end to the next one
	drainTimeout = time.Second     // from stopping it to the end of its channel
	seenTimeout  = 5 * time.Second // from a write to its appearance in memory
)

var errWatchEnded = errors.New("the watcher was ended by the connection")

// entry is one valid record. Only its value and revision are ever replaced, as a new entry.
type entry[T any] struct {
	key      string
	value    T
	revision uint64
	ctx      context.Context // done when the record stands no longer; the cause says why
	end      context.CancelCauseFunc
}

// cache is a bucket in memory. Its watcher is the only one to change it, in the order of
// the bucket's revisions; who writes to the bucket then waits until the watcher came by.
type cache[T any] struct {
	nc      *nats.Conn
	kv      jetstream.KeyValue
	log     *slog.Logger
	over    func(T) error // why a record that is present stands no longer; nil while it does
	removed error         // the cause when a record is gone

	mu      sync.RWMutex // guards the fields below
	entries map[string]*entry[T]
	seen    uint64        // the newest revision applied
	moved   chan struct{} // closed and replaced when seen moves

	ready     chan struct{} // closed when all that was there is in
	readyOnce sync.Once
	stop      context.CancelFunc
	done      chan struct{}
}

// openCache loads the bucket and watches it until close.
func openCache[T any](ctx context.Context, nc *nats.Conn, kv jetstream.KeyValue, over func(T) error, removed error, log *slog.Logger) (*cache[T], error) {
	c := newCache(nc, kv, over, removed, log)
	lifetime, stop := context.WithCancel(context.Background())
	c.stop = stop
	go c.run(lifetime)
	select {
	case <-c.ready:
		return c, nil
	case <-ctx.Done():
		c.close()
		return nil, fmt.Errorf("load bucket %s: %w", kv.Bucket(), ctx.Err())
	}
}

func newCache[T any](nc *nats.Conn, kv jetstream.KeyValue, over func(T) error, removed error, log *slog.Logger) *cache[T] {
	return &cache[T]{
		nc:      nc,
		kv:      kv,
		log:     log.With("bucket", kv.Bucket()),
		over:    over,
		removed: removed,
		entries: map[string]*entry[T]{},
		moved:   make(chan struct{}),
		ready:   make(chan struct{}),
		done:    make(chan struct{}),
	}
}

func (c *cache[T]) close() {
	c.stop()
	<-c.done
}

// run keeps a watcher going; one that ends is replaced, and everything read again.
func (c *cache[T]) run(ctx context.Context) {
	defer close(c.done)
	defer c.endAll()
	for {
		err := c.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue
		}
		c.log.Warn("watching a bucket of the store stopped, trying again", "error", err)
		select {
		case <-time.After(watchRetry):
		case <-ctx.Done():
			return
		}
	}
}

// follow applies all that is in the bucket and then every change, until the watcher ends. It returns nil
// to be called again at once when the connection was lost and is back: the watcher would notice by itself
// that its server forgot it, but was seen to need 20 s.
func (c *cache[T]) follow(ctx context.Context) error {
	back := c.nc.StatusChanged(nats.CONNECTED)
	defer c.nc.RemoveStatusListener(back)
	// The context given to the watcher ends it, too: a deadline for setting it up must not stay in force.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	late := time.AfterFunc(watchTimeout, cancel)
	w, err := c.kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("watch bucket %s: %w", c.kv.Bucket(), err)
	}
	late.Stop()
	defer drain(w)
	c.mu.Lock()
	c.seen = 0 // a bucket that was made anew counts from the start
	c.mu.Unlock()
	listed := map[string]bool{} // what is there at the start; nil once that is known
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-back:
			return nil
		case e, open := <-w.Updates():
			switch {
			case !open:
				return errWatchEnded
			case e == nil:
				c.dropUnlisted(listed)
				listed = nil
				c.readyOnce.Do(func() { close(c.ready) })
				continue
			case listed != nil:
				listed[e.Key()] = true
			}
			c.apply(e)
		}
	}
}

// drain stops a watcher and reads what it may be blocked on sending, until it closes its channel.
// One that was ended in the moment of its making never does.
func drain(w jetstream.KeyWatcher) {
	_ = w.Stop()
	for {
		select {
		case _, open := <-w.Updates():
			if !open {
				return
			}
		case <-time.After(drainTimeout):
			return
		}
	}
}

// apply takes over one change of the bucket.
func (c *cache[T]) apply(change jetstream.KeyValueEntry) {
	value, ended := c.read(change)
	key := change.Key()
	c.mu.Lock()
	old := c.entries[key]
	switch {
	case ended != nil:
		delete(c.entries, key)
	case old != nil:
		c.entries[key] = &entry[T]{key, value, change.Revision(), old.ctx, old.end}
	default:
		ctx, end := context.WithCancelCause(context.Background())
		c.entries[key] = &entry[T]{key, value, change.Revision(), ctx, end}
	}
	c.seen = max(c.seen, change.Revision())
	close(c.moved)
	c.moved = make(chan struct{})
	c.mu.Unlock()
	if ended != nil && old != nil {
		old.end(ended)
	}
}

func (c *cache[T]) read(change jetstream.KeyValueEntry) (value T, ended error) {
	if change.Operation() != jetstream.KeyValuePut {
		return value, c.removed
	}
	if err := json.Unmarshal(change.Value(), &value); err != nil {
		c.log.Error("a record of the store cannot be read and is ignored", "key", change.Key(), "error", err)
		return value, c.removed
	}
	return value, c.over(value)
}

// dropUnlisted ends what went away while nothing was watching.
func (c *cache[T]) dropUnlisted(listed map[string]bool) {
	c.mu.RLock()
	var gone []*entry[T]
	for key, e := range c.entries {
		if !listed[key] {
			gone = append(gone, e)
		}
	}
	c.mu.RUnlock()
	for _, e := range gone {
		c.drop(e, c.removed)
	}
}

// drop ends an entry here, before or without a change of the bucket; not one that
// was replaced meanwhile, as its successor shares the context.
func (c *cache[T]) drop(e *entry[T], cause error) {
	c.mu.Lock()
	current := c.entries[e.key] == e
	if current {
		delete(c.entries, e.key)
	}
	c.mu.Unlock()
	if current {
		e.end(cause)
	}
}

func (c *cache[T]) endAll() {
	for _, e := range c.all() {
		c.drop(e, ErrClosed)
	}
}

func (c *cache[T]) get(key string) (*entry[T], bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.entries[key]
	return e, ok
}

func (c *cache[T]) all() []*entry[T] {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := make([]*entry[T], 0, len(c.entries))
	for _, e := range c.entries {
		all = append(all, e)
	}
	return all
}

func (c *cache[T]) size() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.entries)
}
