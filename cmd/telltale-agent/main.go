// Command telltale-agent reads this host's metrics every second and delivers them to a hub.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Once the orderly stop has begun, a second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:]))
}

// The command's exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // it ran, and did not end as it should
	exitUsage  = 2 // it was told something that cannot work
)

func run(ctx context.Context, args []string) int {
	var o options
	parser, err := kong.New(&o,
		kong.Name("telltale-agent"),
		kong.Description("Reads this host's metrics and delivers them to a Telltale hub. "+
			"What the hub has not stored is held and sent again. Exit codes: 0 stopped, 1 failed, 2 wrong usage."),
		kong.DefaultEnvars("TELLTALE"),
		kong.Vars{"version": version, "state": defaultState()},
		kong.Exit(os.Exit),
	)
	if err != nil {
		fmt.Fprintf(os.Stderr, "telltale-agent: command line: %v\n", err)
		return exitUsage
	}
	if _, err := parser.Parse(args); err != nil {
		fmt.Fprintf(os.Stderr, "telltale-agent: %v\n", err)
		return exitUsage
	}
	app, err := newApp(ctx, &o, os.Stderr)
	if err != nil {
		fmt.Fprintf(os.Stderr, "telltale-agent: %v\n", err)
		return exitUsage
	}
	if err := app.run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "telltale-agent: %v\n", err)
		return exitFailed
	}
	return exitDone
}
