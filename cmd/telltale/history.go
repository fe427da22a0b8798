package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"telltale/aggregate/history"
)

type historyCommand struct {
	Rebuild rebuildCommand `cmd:"" help:"Sum up a range of time anew, from raw as far as that reaches. It may be done any number of times, also while a hub runs."`
}

type rebuildCommand struct {
	clickhouseFlags `embed:""`
	From            time.Time `help:"Begin of the range, for example 2026-01-31T00:00:00Z." required:"" placeholder:"TIME"`
	To              time.Time `help:"End of the range; now, if none is given." placeholder:"TIME"`
}

// Validate checks what flags say together.
func (c *rebuildCommand) Validate() error {
	if !c.To.IsZero() && !c.From.Before(c.To) {
		return fmt.Errorf("--from=%s is not before --to=%s", c.From.Format(time.RFC3339), c.To.Format(time.RFC3339))
	}
	return c.outsideFlags.Validate()
}

// Run rebuilds, with a line for each part of it.
func (c *rebuildCommand) Run(ctx context.Context) error {
	to := c.To
	if to.IsZero() {
		to = time.Now()
	}
	options, done, err := c.reach(ctx, slog.Default())
	if err != nil {
		return err
	}
	defer done()
	servers, err := history.Servers(ctx, options, c.ClickhouseCluster)
	if err != nil {
		return err
	}
	for i, server := range servers {
		err := history.Rebuild(ctx, server, c.From, to, func(p history.RebuildProgress) {
			fmt.Printf("%3d %%  %s  %s to %s  in %v\n", (100*i+p.Percent)/len(servers), p.Tier,
				p.From.UTC().Format(time.DateTime), p.To.UTC().Format(time.DateTime), p.Took.Round(time.Millisecond))
		})
		if err != nil {
			return err
		}
	}
	return nil
}
