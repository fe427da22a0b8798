// Package store keeps users, tokens and sessions in NATS JetStream key-value buckets:
// in a server inside this process, or in an outside cluster that several hubs share.
//
// What is read on every request or connection is answered from memory. Each bucket has
// a watcher that keeps its copy right, so that a revocation made by another process is
// seen within moments; while NATS is away, the last known state is served. Secrets
// are kept only as hashes: argon2id of passwords, SHA-256 of random tokens and cookies.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// ErrExists is returned when a user or a token is made that is already there.
var ErrExists = errors.New("it exists already")

// ErrNotFound is returned for a user, token or session that is not there.
var ErrNotFound = errors.New("not found")

// ErrClosed is the cause of the context of every token and session once the store is closed.
var ErrClosed = errors.New("the store is closed")

// openTimeout bounds Open, also for a caller without a deadline.
const openTimeout = 15 * time.Second

// Config is what an operator may set.
type Config struct {
	// Replicas of each bucket on the servers of an outside cluster, 1 to 5. It counts
	// when a bucket is made; an existing one keeps what it has.
	Replicas int
	// SessionIdle ends a session that was not used for so long.
	SessionIdle time.Duration
	// SessionLifetime ends a session that is so old, used or not.
	SessionLifetime time.Duration
	// Metrics takes the package's metrics; nil registers none.
	Metrics prometheus.Registerer

	now func() time.Time
}

// DefaultConfig is one replica, sessions of 12 hours idle and 7 days in all.
func DefaultConfig() Config {
	return Config{Replicas: 1, SessionIdle: 12 * time.Hour, SessionLifetime: 7 * 24 * time.Hour}
}

const (
	minSessionIdle     = 5 * touchEvery
	maxSessionLifetime = 90 * 24 * time.Hour
)

// Validate says which setting is wrong and what it may be.
func (c Config) Validate() error {
	switch {
	case c.Replicas < 1 || c.Replicas > 5:
		return fmt.Errorf("replicas is %d: use 1 to 5", c.Replicas)
	case c.SessionIdle < minSessionIdle:
		return fmt.Errorf("session idle time is %v: use at least %v", c.SessionIdle, minSessionIdle)
	case c.SessionLifetime < c.SessionIdle || c.SessionLifetime > maxSessionLifetime:
		return fmt.Errorf("session lifetime is %v: use at least the idle time (%v) and at most %v",
			c.SessionLifetime, c.SessionIdle, maxSessionLifetime)
	}
	return nil
}

// Store is the open buckets. All of it may be used concurrently.
type Store struct {
	Users    *Users
	Tokens   *Tokens
	Sessions *Sessions
}

// Open creates what is missing, loads everything into memory and goes on watching.
// The connection stays the caller's; close the store before it.
func Open(ctx context.Context, nc *nats.Conn, cfg Config, log *slog.Logger) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if cfg.now == nil {
		cfg.now = time.Now
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	var s Store
	if err := s.open(ctx, js, cfg, log); err != nil {
		s.Close()
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.registerSizes(cfg.Metrics)
	return &s, nil
}

func (s *Store) open(ctx context.Context, js jetstream.JetStream, cfg Config, log *slog.Logger) (err error) {
	if s.Users, err = openUsers(ctx, js, cfg, log); err != nil {
		return err
	}
	if s.Tokens, err = openTokens(ctx, js, cfg, log); err != nil {
		return err
	}
	s.Sessions, err = openSessions(ctx, js, s.Users, cfg, log)
	return err
}

// Close ends the watchers and the contexts of tokens and sessions, and waits. It may be called again.
func (s *Store) Close() {
	if s.Sessions != nil {
		s.Sessions.close()
	}
	if s.Tokens != nil {
		s.Tokens.cache.close()
	}
	if s.Users != nil {
		s.Users.cache.close()
	}
}

func (s *Store) registerSizes(reg prometheus.Registerer) {
	gauge := func(name, help string, size func() int) {
		promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return float64(size()) })
	}
	gauge("telltale_store_users", "Users that can sign in.", s.Users.cache.size)
	gauge("telltale_store_tokens", "Tokens that are valid.", s.Tokens.cache.size)
	gauge("telltale_store_sessions", "Sessions that are signed in.", s.Sessions.cache.size)
}
