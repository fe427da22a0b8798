package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The buckets; an outside cluster may hold those of other programs, hence the prefix.
const (
	usersBucket    = "telltale_users"
	tokensBucket   = "telltale_tokens"
	sessionsBucket = "telltale_sessions"
)

const (
	maxRecordBytes = 4 << 10
	maxBucketBytes = 64 << 20
)

// openBucket opens a bucket, or makes it. An existing one keeps its settings: a command
// line with other settings than the hub's must not change them.
func openBucket(ctx context.Context, js jetstream.JetStream, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	cfg.History, cfg.MaxValueSize, cfg.MaxBytes = 1, maxRecordBytes, maxBucketBytes
	kv, err := js.KeyValue(ctx, cfg.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = js.CreateKeyValue(ctx, cfg)
		if errors.Is(err, jetstream.ErrBucketExists) { // another hub was quicker
			kv, err = js.KeyValue(ctx, cfg.Bucket)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", cfg.Bucket, err)
	}
	return kv, nil
}

// create writes a record that must not be there yet (ErrExists), and waits until it is seen here.
func (c *cache[T]) create(ctx context.Context, key string, value T) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	revision, err := c.kv.Create(ctx, key, data)
	if errors.Is(err, jetstream.ErrKeyExists) {
		return ErrExists
	}
	if err != nil {
		return fmt.Errorf("write to bucket %s: %w", c.kv.Bucket(), err)
	}
	return c.await(ctx, revision)
}

// update replaces a record that must not have changed since it was read, and waits until that is seen here.
func (c *cache[T]) update(ctx context.Context, read *entry[T], value T) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	revision, err := c.kv.Update(ctx, read.key, data, read.revision)
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return fmt.Errorf("it was changed by another at the same time, try again: %w", err)
	}
	if err != nil {
		return fmt.Errorf("write to bucket %s: %w", c.kv.Bucket(), err)
	}
	return c.await(ctx, revision)
}

// remove deletes a record that must not have changed since it was read, and waits until that is seen here.
func (c *cache[T]) remove(ctx context.Context, read *entry[T]) error {
	if err := c.kv.Delete(ctx, read.key, jetstream.LastRevision(read.revision)); err != nil {
		return fmt.Errorf("delete from bucket %s: %w", c.kv.Bucket(), err)
	}
	select {
	case <-read.ctx.Done():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the change is stored but not yet seen here: %w", ctx.Err())
	case <-time.After(seenTimeout):
		return fmt.Errorf("the change is stored but was not seen here within %v", seenTimeout)
	}
}

// await returns when the watcher has come to a revision.
func (c *cache[T]) await(ctx context.Context, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, seenTimeout)
	defer cancel()
	for {
		c.mu.RLock()
		seen, moved := c.seen, c.moved
		c.mu.RUnlock()
		if seen >= revision {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("the change is stored but not yet seen here: %w", ctx.Err())
		}
	}
}

// untouched reports whether nothing was ever written to the bucket: deleted records leave
// a marker, so a bucket that was emptied is not taken for a new one.
func (c *cache[T]) untouched(ctx context.Context) (bool, error) {
	status, err := c.kv.Status(ctx)
	if err != nil {
		return false, fmt.Errorf("read state of bucket %s: %w", c.kv.Bucket(), err)
	}
	return status.Values() == 0, nil
}
