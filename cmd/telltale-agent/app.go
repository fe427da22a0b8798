package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/alecthomas/kong"

	"telltale/ingest/agent"
	"telltale/ingest/agent/collect"
	"telltale/ingest/wire"
)

// options is the command line. Every flag may also be given as TELLTALE_<FLAG>.
type options struct {
	Hub      string            `help:"Address of the hub, as ws://HOST:PORT or wss://HOST." placeholder:"URL" required:""`
	Token    string            `help:"Agent token, made on the hub with 'telltale token create'. Better given as an environment variable: others on this host see the command line." placeholder:"TOKEN" required:""`
	Interval time.Duration     `help:"Time between two samples of a metric." default:"1s"`
	ID       string            `name:"id" help:"Name of this agent, unique on the hub. Default: the host's name at the first start." placeholder:"NAME"`
	Label    map[string]string `help:"Label to add to every series; may be repeated." placeholder:"K=V" mapsep:","`
	Spool    string            `help:"Directory for what must outlive a restart: this agent's id, and the samples that no hub has stored yet." default:"${state}" placeholder:"DIR" type:"path"`

	SpoolBytes  int64   `help:"How much of them to hold; the oldest are dropped first, and declared." default:"${spool_bytes}" placeholder:"BYTES"`
	BacklogRate float64 `help:"Ticks a second to send of what an outage has left, beside the fresh ones. 0 is ten times as fast as they came." default:"0" placeholder:"N"`

	LogLevel slog.Level       `help:"Least level to log: debug, info, warn or error." default:"info"`
	Version  kong.VersionFlag `help:"Print the version and exit." env:"-"`
}

// defaultState is where services keep their state: what systemd says, else the usual place.
func defaultState() string {
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		return dir
	}
	if os.Geteuid() == 0 {
		return "/var/lib/telltale-agent"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "telltale-agent")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return filepath.Join(os.TempDir(), "telltale-agent")
	}
	return filepath.Join(home, ".local", "state", "telltale-agent")
}

type app struct{ agent *agent.Agent }

func newApp(ctx context.Context, o *options, logTo io.Writer) (*app, error) {
	log := slog.New(slog.NewTextHandler(logTo, &slog.HandlerOptions{Level: o.LogLevel}))
	id, err := o.identity(log)
	if err != nil {
		return nil, err
	}
	config := agent.Config{
		Hub: o.Hub, Token: o.Token, Interval: o.Interval, Log: log,
		SpoolDir: o.Spool, SpoolBytes: o.SpoolBytes, BacklogRate: o.BacklogRate,
		Agent: wire.Agent{ID: id, Labels: sorted(o.Label), Attributes: collect.HostFacts(ctx)},
	}
	a, err := agent.New(config, func(interval time.Duration) agent.Collector {
		return collect.New(collect.Config{Interval: interval, Log: log})
	})
	if err != nil {
		return nil, err
	}
	log.Info("starting", "version", version, "id", id, "hub", o.Hub, "interval", o.Interval, "labels", o.Label, "spool", o.Spool)
	return &app{agent: a}, nil
}

// identity returns the id given, else the one that is kept.
func (o *options) identity(log *slog.Logger) (string, error) {
	if o.ID != "" {
		return o.ID, nil
	}
	id, err := agent.Identity(o.Spool)
	if id != "" && err != nil {
		log.Warn("the agent will have another id if this host is renamed", "error", err)
		err = nil
	}
	return id, err
}

func sorted(labels map[string]string) []wire.Label {
	var list []wire.Label
	for name, value := range labels {
		list = append(list, wire.Label{Name: name, Value: value})
	}
	wire.SortLabels(list)
	return list
}

func (a *app) run(ctx context.Context) error {
	return a.agent.Run(ctx)
}
