package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"telltale/ingest/wire"
)

// agentsCommand is the command line of 'agents'.
type agentsCommand struct {
	Hub      string        `help:"Address of the hub, as ws://HOST:PORT or wss://HOST." placeholder:"URL" required:""`
	Token    string        `help:"Agent token. Better given as TELLTALE_TOKEN: others on this host see the command line." placeholder:"TOKEN" required:""`
	Agents   int           `help:"How many agents." default:"100"`
	Series   int           `help:"How many series each agent has." default:"100"`
	Interval time.Duration `help:"Time between two samples of a series." default:"1s"`
	Prefix   string        `help:"What the agents' names begin with; two runs at once need two." default:"bench"`
	Seed     uint64        `help:"Of the values: the same seed gives the same ones." default:"1"`
	Wait     time.Duration `help:"How long to wait at the end for what is not acknowledged yet." default:"10s"`

	loadFlags `embed:""`
}

// Validate names the flag that cannot work.
func (c *agentsCommand) Validate() error {
	limits := wire.DefaultLimits()
	switch {
	case c.Agents < 1:
		return fmt.Errorf("--agents %d: at least one", c.Agents)
	case c.Series < 1 || c.Series > limits.SamplesPerBatch:
		return fmt.Errorf("--series %d: 1 to %d, which is what a batch may hold", c.Series, limits.SamplesPerBatch)
	case c.Interval < 100*time.Millisecond:
		return fmt.Errorf("--interval %v: at least 100ms", c.Interval)
	}
	if refusal := limits.CheckHello(&wire.Hello{Agent: wire.Agent{ID: agentID(c.Prefix, c.Agents-1)}}); refusal != nil {
		return fmt.Errorf("--prefix %q: %s", c.Prefix, refusal.Message)
	}
	if _, err := doorOf(c.Hub); err != nil {
		return err
	}
	return c.loadFlags.Validate()
}

// Run puts the load on the hub and prints the figures.
func (c *agentsCommand) Run(ctx context.Context, out console) error {
	if err := checkFiles(c.Agents); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	m, err := newMeter(c.PID)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	f, err := newFleet(c, m)
	if err != nil {
		return err
	}
	f.startTicking()
	present, err := c.drive(ctx, f, c.Agents, out)
	f.stopTicking()
	r := f.report(present)
	return errors.Join(err, out.print(r, c.JSON), r.failure())
}

func agentID(prefix string, i int) string { return fmt.Sprintf("%s-%05d", prefix, i) }

// doorOf returns the address of the hub's door for agents.
func doorOf(hub string) (string, error) {
	u, err := url.Parse(hub)
	if err != nil {
		return "", fmt.Errorf("--hub: %w", err)
	}
	u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	if u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
		return "", fmt.Errorf("--hub %q: use ws://HOST:PORT or wss://HOST", hub)
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + wire.Path
	return u.String(), nil
}
