// Command telltale is the hub: it takes telemetry from agents, keeps it in ClickHouse and
// shows it live.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"telltale/aggregate/engine"
)

// version is set by the linker.
var version = "dev"

// commands is the command line. Every flag may also be given as TELLTALE_<FLAG> or as a key of
// the YAML file that --config names; the command line wins over the environment, that over the file.
type commands struct {
	Serve   serveCommand     `cmd:"" help:"Run the hub."`
	Token   tokenCommand     `cmd:"" help:"Create, list and revoke tokens."`
	User    userCommand      `cmd:"" help:"Create, list and delete users, and set their passwords."`
	Migrate migrateCommand   `cmd:"" help:"Bring the history's schema up to date and exit."`
	History historyCommand   `cmd:"" help:"Look after what is stored."`
	Backup  backupCommand    `cmd:"" help:"Write users, tokens and all of history to one file, also while a hub runs."`
	Restore restoreCommand   `cmd:"" help:"Make a data directory of a backup."`
	Doctor  doctorCommand    `cmd:"" help:"Say whether all is well with a hub, its ClickHouse and its agents, and what to do where it is not."`
	Version kong.VersionFlag `help:"Print the version and exit." env:"-"`
	Config  kong.ConfigFlag  `help:"YAML file with flags as keys, for example 'listen: 127.0.0.1:8080'." placeholder:"FILE" type:"existingfile"`
}

func main() {
	engine.RunChildIfAsked()
	os.Exit(exitCode(run(os.Args[1:])))
}

// exitCode says what went wrong, unless that is said already.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if code, said := errors.AsType[exitError](err); said {
		return int(code)
	}
	fmt.Fprintf(os.Stderr, "telltale: %v\n", err)
	if _, wrong := errors.AsType[*kong.ParseError](err); wrong {
		return exitUnknown
	}
	return 1
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Once the orderly stop has begun, a second signal ends the process at once.
	context.AfterFunc(ctx, stop)

	var cli commands
	parser, err := kong.New(&cli,
		kong.Name("telltale"),
		kong.Description("A live dashboard with its own telemetry ingest."),
		kong.DefaultEnvars("TELLTALE"),
		kong.Configuration(loadYAML),
		kong.Vars{"version": version},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.UsageOnError(),
	)
	if err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return err
	}
	err = parsed.Run(&effectiveConfig{parsed})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	return err
}
