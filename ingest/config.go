package ingest

import (
	"fmt"
	"net/url"
	"time"

	"telltale/ingest/wire"
)

// Config is how a Server treats its agents.
type Config struct {
	// PublicURL is where browsers reach the hub: an Origin that is allowed beside the
	// request's own host. Empty: none.
	PublicURL string

	// Retention is how old a sample may be.
	Retention time.Duration

	Limits wire.Limits

	HelloTimeout time.Duration // from the upgrade to the hello
	PingEvery    time.Duration
	IdleTimeout  time.Duration // without a frame or a pong; several pings long
	WriteTimeout time.Duration // of one write; a client that reads nothing lasts as long
	StallTimeout time.Duration // how long a connection waits for room in flight
	RetryAfter   time.Duration // when an agent turned away for load may come back
}

// DefaultConfig is what a hub uses.
func DefaultConfig() Config {
	return Config{
		Retention:    3 * 24 * time.Hour,
		Limits:       wire.DefaultLimits(),
		HelloTimeout: 10 * time.Second,
		PingEvery:    25 * time.Second,
		IdleTimeout:  60 * time.Second,
		WriteTimeout: 10 * time.Second,
		StallTimeout: 60 * time.Second,
		RetryAfter:   5 * time.Second,
	}
}

// Validate names the first field that cannot work.
func (c *Config) Validate() error {
	for name, d := range map[string]time.Duration{
		"Retention": c.Retention, "HelloTimeout": c.HelloTimeout, "PingEvery": c.PingEvery,
		"WriteTimeout": c.WriteTimeout, "StallTimeout": c.StallTimeout, "RetryAfter": c.RetryAfter,
	} {
		if d <= 0 {
			return fmt.Errorf("ingest config: %s is %v, it must be positive", name, d)
		}
	}
	if c.IdleTimeout <= c.PingEvery {
		return fmt.Errorf("ingest config: IdleTimeout %v must be longer than PingEvery %v", c.IdleTimeout, c.PingEvery)
	}
	if c.Limits.MaxInFlight < 1 || c.Limits.FrameBytes < 1 || c.Limits.SamplesPerBatch < 1 {
		return fmt.Errorf("ingest config: limits must be positive: %+v", c.Limits)
	}
	if _, err := url.Parse(c.PublicURL); err != nil {
		return fmt.Errorf("ingest config: public URL: %w", err)
	}
	return nil
}
