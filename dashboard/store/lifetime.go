package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// makeRoom ends the user's least recently used session when there are too many.
func (s *Sessions) makeRoom(ctx context.Context, user string) error {
	var oldest *entry[sessionRecord]
	count := 0
	for _, e := range s.cache.all() {
		if e.value.User != user {
			continue
		}
		count++
		if oldest == nil || e.value.Used.Before(oldest.value.Used) {
			oldest = e
		}
	}
	if count < maxSessionsPerUser {
		return nil
	}
	err := s.finish(ctx, oldest.key, Replaced)
	if errors.Is(err, ErrNotFound) { // it ended meanwhile
		return nil
	}
	return err
}

// use moves a record's times on.
func (s *Sessions) use(r *sessionRecord) {
	r.Used = s.now().UTC()
	r.Expires = r.Used.Add(s.idle)
	if latest := r.Created.Add(s.lifetime); r.Expires.After(latest) {
		r.Expires = latest
	}
}

// touch writes down that a session was used, if that is due and nobody else does just now. It expects
// the revision it read: a session that was ended meanwhile stays ended. Its failure is no reason
// to turn the user away, so it is only logged.
func (s *Sessions) touch(ctx context.Context, key string) {
	e, ok := s.cache.get(key)
	if !ok || s.now().Sub(e.value.Used) < touchEvery || !s.beginTouch(key) {
		return
	}
	defer s.endTouch(key)
	record := e.value
	s.use(&record)
	revision, err := s.write(ctx, key, record, jetstream.WithExpectLastSequencePerSubject(e.revision))
	if err == nil {
		err = s.cache.await(ctx, revision)
	}
	if err != nil {
		s.log.Warn("the use of a session was not written down", "user", record.User, "error", err)
	}
}

func (s *Sessions) beginTouch(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.touching[key] {
		return false
	}
	s.touching[key] = true
	return true
}

func (s *Sessions) endTouch(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.touching, key)
}

// write publishes a record with a time to live of its own, which the key-value API
// offers for new keys only.
func (s *Sessions) write(ctx context.Context, key string, record sessionRecord, opts ...jetstream.PublishOpt) (uint64, error) {
	data, err := json.Marshal(record)
	if err != nil {
		return 0, fmt.Errorf("encode record: %w", err)
	}
	msg := &nats.Msg{Subject: "$KV." + sessionsBucket + "." + key, Data: data}
	left := max(record.Expires.Sub(s.now()), 0) + keepEnded
	ack, err := s.js.PublishMsg(ctx, msg, append(opts, jetstream.WithMsgTTL(left.Truncate(time.Second)))...)
	if err != nil {
		return 0, fmt.Errorf("write to bucket %s: %w", sessionsBucket, err)
	}
	return ack.Sequence, nil
}

// sweep ends the sessions that nothing but time or a change of their user ends.
func (s *Sessions) sweep(ctx context.Context) {
	defer close(s.done)
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, e := range s.cache.all() {
			if _, err := s.check(e.value); err != nil {
				s.cache.drop(e, err)
			}
		}
	}
}
