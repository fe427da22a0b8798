package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"
)

type doctorCommand struct {
	storeFlags   `embed:""`
	outsideFlags `embed:""`
	Engine       string        `help:"The embedded ClickHouse: its library, its program, or a folder with either." type:"path" placeholder:"PATH"`
	MinFree      int64         `help:"Floor of free room, in bytes, where no hub runs to tell its own." default:"1073741824" placeholder:"BYTES"`
	RetentionRaw time.Duration `help:"How long raw samples are kept, where no hub runs to tell." default:"72h"`
	Retention10s time.Duration `name:"retention-10s" env:"TELLTALE_RETENTION_10S" default:"336h" hidden:""`
	Retention1m  time.Duration `name:"retention-1m" env:"TELLTALE_RETENTION_1M" default:"2160h" hidden:""`
	Retention1h  time.Duration `name:"retention-1h" env:"TELLTALE_RETENTION_1H" default:"17520h" hidden:""`
	JSON         bool          `help:"Print JSON, for programs." name:"json" env:"-"`
}

// Help is shown below the command's usage.
func (c *doctorCommand) Help() string {
	return `Looks at versions, disk, parts, storing, tiers, clocks, limits, agents and backups, and says of each whether it
is well, in figures, and what to do where it is not. It asks the hub that runs on the data directory, or all hubs of
the NATS that --nats names; where none runs, it looks at what can be seen without one, also at the ClickHouse that
--clickhouse names. It changes nothing.

The exit code is that of a monitoring plugin: 0 all is well, 1 there are warnings, 2 there are failures, 3 the
command line is wrong or the examination was cut short.`
}

// Exit codes.
const (
	exitWarning = 1
	exitFailure = 2
	exitUnknown = 3
)

// exitError is an error that says all in its code.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Run examines, prints what it has found, and returns an exitError unless all is well.
func (c *doctorCommand) Run(ctx context.Context) error {
	all, err := c.facts(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return unknown(err)
	}
	var d diagnosis
	for _, f := range all {
		d.add(f)
	}
	if c.JSON {
		err = d.printJSON(os.Stdout)
	} else {
		err = d.printTable(os.Stdout, isTerminal(os.Stdout))
	}
	switch {
	case err != nil:
		return unknown(fmt.Errorf("print the findings: %w", err))
	case d.worst() == failing:
		return exitError(exitFailure)
	case d.worst() == warning:
		return exitError(exitWarning)
	}
	return nil
}

// unknown tells an error and returns the code of an examination that has none to tell.
func unknown(err error) error {
	fmt.Fprintf(os.Stderr, "telltale doctor: %v\n", err)
	return exitError(exitUnknown)
}

func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
