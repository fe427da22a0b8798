// Package agent is the agent's end: it collects at a steady beat, holds what it has
// collected until a hub acknowledges it, and keeps a connection to that hub.
package agent

import (
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"telltale/ingest/agent/spool"
	"telltale/ingest/wire"
)

// Config is what an agent is told.
type Config struct {
	Hub      string // ws://host:port or wss://...; http and https mean the same
	Token    string
	Agent    wire.Agent
	Interval time.Duration // between two ticks; at least MinInterval

	SpoolDir   string // holds batches until they are acknowledged
	SpoolBytes int64  // what of them it holds at most; the oldest go first

	// BacklogRate bounds how many batches a second are sent of what an outage has left,
	// beside the fresh ones. 0 is ten times as fast as they came.
	BacklogRate float64

	Log *slog.Logger
}

// MinInterval is the fastest beat of an agent.
const MinInterval = 100 * time.Millisecond

// Validate names what cannot work.
func (c *Config) Validate() error {
	if _, err := hubURL(c.Hub); err != nil {
		return err
	}
	if c.Token == "" {
		return fmt.Errorf("no token: make one on the hub with 'telltale token create', and give it as --token or TELLTALE_TOKEN")
	}
	if strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("the token has characters that no token has: was it cut or quoted?")
	}
	if c.Interval < MinInterval || c.Interval > 24*time.Hour {
		return fmt.Errorf("interval %v: use %v to 24h", c.Interval, MinInterval)
	}
	if c.SpoolDir == "" {
		return fmt.Errorf("no directory for the spool: name one with --spool")
	}
	if c.SpoolBytes < spool.MinBytes {
		return fmt.Errorf("a spool of %d bytes is too small: give --spool-bytes %d or more", c.SpoolBytes, spool.MinBytes)
	}
	if !(c.BacklogRate >= 0 && c.BacklogRate <= 1e6) {
		return fmt.Errorf("backlog rate %v: use 0 (ten times the interval's) to 1000000 batches a second", c.BacklogRate)
	}
	limits := wire.DefaultLimits()
	hello := wire.Hello{Agent: c.Agent}
	hello.Agent.Labels = slices.Clone(c.Agent.Labels)
	hello.Agent.Attributes = slices.Clone(c.Agent.Attributes)
	if err := limits.CheckHello(&hello); err != nil {
		return fmt.Errorf("%s", err.Message)
	}
	return nil
}

// hubURL returns the address of the hub's door.
func hubURL(hub string) (string, error) {
	u, err := url.Parse(hub)
	if err != nil {
		return "", fmt.Errorf("hub: %w", err)
	}
	switch u.Scheme {
	case "ws", "wss":
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	default:
		return "", fmt.Errorf("hub %q: use ws://HOST:PORT or wss://HOST", hub)
	}
	if u.Host == "" {
		return "", fmt.Errorf("hub %q names no host: use ws://HOST:PORT or wss://HOST", hub)
	}
	if u.RawQuery != "" || u.User != nil {
		return "", fmt.Errorf("hub: a URL with a password or a query ends up in logs: give the token as --token or TELLTALE_TOKEN")
	}
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), wire.Path) + wire.Path
	return u.String(), nil
}
