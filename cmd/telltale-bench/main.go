// Command telltale-bench puts load on a hub, as agents or as viewers do, and measures what
// becomes of it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the linker.
var version = "dev"

// commands is the command line. Every flag may also be given as TELLTALE_<FLAG>.
type commands struct {
	Agents  agentsCommand    `cmd:"" help:"Be many agents: send samples, and see that each is acknowledged."`
	Viewers viewersCommand   `cmd:"" help:"Be many viewers: follow a dashboard, and see that each gets every window in time."`
	Version kong.VersionFlag `help:"Print the version and exit."`
}

// The command's exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // it ran, and something was lost, refused or never connected
	exitUsage  = 2 // it was told something that cannot work
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// An interrupted run ends early, with its figures; a second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], console{out: os.Stdout, err: os.Stderr, live: isTerminal(os.Stderr)}))
}

// console is where a command writes.
type console struct {
	out, err io.Writer
	live     bool // err is a terminal: show the progress
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// errUsage marks what the command line should not have said.
var errUsage = errors.New("see telltale-bench --help")

func run(ctx context.Context, args []string, c console) int {
	var cli commands
	parser, err := kong.New(&cli,
		kong.Name("telltale-bench"),
		kong.Description("Puts load on a Telltale hub and measures it. "+
			"Exit codes: 0 all went well, 1 something was lost, refused or not connected, 2 wrong usage."),
		kong.DefaultEnvars("TELLTALE"),
		kong.Vars{"version": version},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(c),
		kong.Writers(c.out, c.err),
		kong.Exit(os.Exit),
	)
	if err != nil {
		return fail(c, exitUsage, fmt.Errorf("command line: %w", err))
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return fail(c, exitUsage, err)
	}
	switch err := parsed.Run(); {
	case errors.Is(err, errUsage):
		return fail(c, exitUsage, err)
	case err != nil:
		return fail(c, exitFailed, err)
	}
	return exitDone
}

func fail(c console, code int, err error) int {
	fmt.Fprintf(c.err, "telltale-bench: %v\n", err)
	return code
}
