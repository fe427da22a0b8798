package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"

	"telltale/aggregate/engine"
	"telltale/aggregate/history"
)

type migrateCommand struct {
	clickhouseFlags `embed:""`
}

// Help is shown below the command's usage.
func (c *migrateCommand) Help() string {
	return `A hub does the same at every start; this is for doing it beforehand. It prints a line for each migration, may be
repeated, and goes on where it was cut off. A history that a newer telltale has made is refused and left as it is. With
the embedded ClickHouse no hub may run.`
}

// Run migrates and exits; 'serve' does the same at every start.
func (c *migrateCommand) Run(ctx context.Context) error {
	log := slog.Default()
	options, done, err := c.start(ctx, log)
	if err != nil {
		return err
	}
	defer done()
	migrate := history.Migrate
	if c.ClickhouseCluster != "" {
		migrate = func(ctx context.Context, o *clickhouse.Options, log *slog.Logger) error {
			return history.MigrateCluster(ctx, o, c.ClickhouseCluster, log)
		}
	}
	if err := migrate(ctx, options, log); err != nil {
		return err
	}
	fmt.Printf("the history has schema %d, the newest that this telltale knows\n", history.SchemaVersion())
	return nil
}

// clickhouseFlags say where the history is.
type clickhouseFlags struct {
	outsideFlags `embed:""`
	Data         string `help:"Data directory of the embedded ClickHouse." default:"data" type:"path" placeholder:"DIR"`
	Engine       string `help:"The embedded ClickHouse: its library, its program, or a folder with either." type:"path" placeholder:"PATH"`
}

// start returns the way to the outside ClickHouse, or starts the embedded one, for which no hub must run.
func (c *clickhouseFlags) start(ctx context.Context, log *slog.Logger) (*clickhouse.Options, func(), error) {
	if c.Clickhouse != "" {
		options, err := c.options(log)
		return options, func() {}, err
	}
	lock, err := engine.LockDataDir(c.Data)
	if err != nil {
		return nil, nil, err
	}
	e, err := startEngine(ctx, c.Data, c.Engine, 0, log, prometheus.NewRegistry())
	if err != nil {
		_ = lock.Close()
		return nil, nil, err
	}
	done := func() {
		e.Close(context.WithoutCancel(ctx))
		_ = lock.Close()
	}
	options, err := parseDSN(e.Addresses().DSN)
	if err != nil {
		done()
		return nil, nil, err
	}
	return options, done, nil
}

// reach is start, but for the embedded ClickHouse of a hub that runs: then it is that one's.
func (c *clickhouseFlags) reach(ctx context.Context, log *slog.Logger) (*clickhouse.Options, func(), error) {
	if c.Clickhouse == "" {
		addresses, err := engine.RunningOn(c.Data)
		if err != nil {
			return nil, nil, err
		}
		if addresses != nil {
			options, err := parseDSN(addresses.DSN)
			return options, func() {}, err
		}
	}
	return c.start(ctx, log)
}
