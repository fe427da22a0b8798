package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// viewersCommand is the command line of 'viewers'.
type viewersCommand struct {
	Hub       string        `help:"Address of the hub, as http://HOST:PORT or https://HOST. One of 127.0.0.x serves more than 20,000 viewers from several source addresses." placeholder:"URL" required:""`
	User      string        `help:"User to sign in as; all streams are this user's." default:"admin"`
	Password  string        `help:"The user's password. Better given as TELLTALE_PASSWORD: others on this host see the command line." placeholder:"PASSWORD" required:""`
	Viewers   int           `help:"How many viewers." default:"100"`
	Dashboard string        `help:"Dashboard to follow." default:"overview"`
	Delay     time.Duration `help:"How long after its end the hub closes a window; latency counts from there." default:"500ms"`

	loadFlags `embed:""`
}

// Validate names the flag that cannot work.
func (c *viewersCommand) Validate() error {
	if c.Viewers < 1 || c.Viewers > 250*perSource {
		return fmt.Errorf("--viewers %d: 1 to %d", c.Viewers, 250*perSource)
	}
	if c.Delay < 0 {
		return fmt.Errorf("--delay %v is negative", c.Delay)
	}
	if _, err := siteOf(c.Hub); err != nil {
		return err
	}
	return c.loadFlags.Validate()
}

// siteOf returns the address of the hub's pages, without a slash at its end.
func siteOf(hub string) (*url.URL, error) {
	u, err := url.Parse(hub)
	if err != nil {
		return nil, fmt.Errorf("--hub: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("--hub %q: use http://HOST:PORT or https://HOST", hub)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// Run signs in, puts the load on the hub and prints the figures.
func (c *viewersCommand) Run(ctx context.Context, out console) error {
	if err := checkFiles(c.Viewers); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	m, err := newMeter(c.PID)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	site, err := siteOf(c.Hub)
	if err != nil {
		return err
	}
	cookie, err := signIn(ctx, site, c.User, c.Password)
	if err != nil {
		return err
	}
	a := newAudience(c, site, cookie, m)
	present, err := c.drive(ctx, a, c.Viewers, out)
	r := a.report(present)
	return errors.Join(err, out.print(r, c.JSON), r.failure())
}
