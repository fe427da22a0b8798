package store

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// A watcher that was away misses nothing: what is gone without a trace ends, the rest goes on.
func TestWatcherThatWasAway(t *testing.T) {
	nc := connectTo(t, startTestServer(t, t.TempDir()))
	ctx := t.Context()
	js, err := jetstream.New(nc)
	must(t, err)
	kv, err := openBucket(ctx, js, jetstream.KeyValueConfig{Bucket: "numbers", Replicas: 1})
	must(t, err)
	over := func(n int) error {
		if n < 0 {
			return Expired
		}
		return nil
	}
	c := newCache(nc, kv, over, ErrRevoked, testLog(t))
	follow := func() (stop func()) {
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan error)
		go func() { done <- c.follow(ctx) }()
		return func() {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("follow returned %v", err)
			}
		}
	}
	put := func(key, value string) {
		t.Helper()
		_, err := kv.PutString(ctx, key, value)
		must(t, err)
	}
	holds := func(key string, want int) func() bool {
		return func() bool {
			e, ok := c.get(key)
			return ok && e.value == want
		}
	}

	stop := follow()
	put("gone", "1")
	put("over", "2")
	put("stays", "3")
	eventually(t, "all are there", holds("stays", 3))
	stop()
	gone, _ := c.get("gone")
	over2, _ := c.get("over")
	stays, _ := c.get("stays")

	put("over", "-2")
	put("stays", "4")
	must(t, kv.Delete(ctx, "gone"))
	must(t, kv.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(-1))) // nothing is left to tell of it
	if keys, err := kv.Keys(ctx); err != nil || len(keys) != 2 {
		t.Fatalf("keys are %v, %v", keys, err)
	}
	stop = follow()
	defer stop()
	eventually(t, "the change came", holds("stays", 4))
	wantEnd(t, gone.ctx, ErrRevoked)
	wantEnd(t, over2.ctx, Expired)
	if stays.ctx.Err() != nil || c.size() != 1 {
		t.Errorf("%d entries, the one that stays: %v", c.size(), stays.ctx.Err())
	}
}
