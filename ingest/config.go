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

	// ReservedID is the hub's own agent id, which no other agent may have. Empty: none.
	ReservedID string

	Limits wire.Limits

	HelloTimeout time.Duration // from the upgrade to the hello
	PingEvery    time.Duration
	IdleTimeout  time.Duration // without a frame or a pong; several pings long
	WriteTimeout time.Duration // of one write; a client that reads nothing lasts as long
	RetryAfter   time.Duration // when an agent turned away for load may come back, or storage is asked again, at least

	// StallTimeout is how long a connection is not read because its window is full. After
	// it, its batches are shown and not stored.
	StallTimeout time.Duration

	// LiveOnlyTime is how long an agent for whose batches there was no room stays live-only
	// at least: each end of it costs the agent an epoch.
	LiveOnlyTime time.Duration

	// ResumeTimeout is how long, after live-only, an agent may go on with batches whose
	// predecessors are not stored, before it is closed so that it begins where it must.
	ResumeTimeout time.Duration

	// AdmitTimeout is how long an agent's welcome waits for storage to say how far it has
	// the agent's epochs. After it, the agent is live-only until storage says so.
	AdmitTimeout time.Duration

	// AdmissionRate is how many agents may connect per second, and at once.
	AdmissionRate int
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
		RetryAfter:   5 * time.Second,
		StallTimeout: 10 * time.Second,
		LiveOnlyTime: 10 * time.Second,

		ResumeTimeout: 30 * time.Second,
		AdmitTimeout:  5 * time.Second,
		AdmissionRate: 500,
	}
}

// Validate names the first field that cannot work.
func (c *Config) Validate() error {
	for name, d := range map[string]time.Duration{
		"Retention": c.Retention, "HelloTimeout": c.HelloTimeout, "PingEvery": c.PingEvery,
		"WriteTimeout": c.WriteTimeout, "StallTimeout": c.StallTimeout, "RetryAfter": c.RetryAfter,
		"LiveOnlyTime": c.LiveOnlyTime, "ResumeTimeout": c.ResumeTimeout, "AdmitTimeout": c.AdmitTimeout,
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
	if c.AdmissionRate < 1 {
		return fmt.Errorf("ingest config: AdmissionRate is %d, it must be positive", c.AdmissionRate)
	}
	if _, err := url.Parse(c.PublicURL); err != nil {
		return fmt.Errorf("ingest config: public URL: %w", err)
	}
	return nil
}
