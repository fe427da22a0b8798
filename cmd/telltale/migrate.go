package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/ClickHouse/clickhouse-go/v2"

	"telltale/aggregate/engine"
	"telltale/aggregate/history"
)

type migrateCommand struct {
	Data       string `help:"Data directory of the embedded ClickHouse." default:"data" type:"path" placeholder:"DIR"`
	Clickhouse string `help:"Outside ClickHouse, clickhouse://user:password@host:9000/telltale." placeholder:"DSN"`
	Engine     string `help:"The embedded ClickHouse: its library, its program, or a folder with either." type:"path" placeholder:"PATH"`
}

// Run migrates and exits; 'serve' does the same at every start.
func (c *migrateCommand) Run(ctx context.Context) error {
	log := slog.Default()
	dsn := c.Clickhouse
	if dsn == "" {
		lock, err := engine.LockDataDir(c.Data)
		if err != nil {
			return err
		}
		defer func() { _ = lock.Close() }()
		e, err := startEngine(ctx, c.Data, c.Engine, 0, log, nil)
		if err != nil {
			return err
		}
		defer e.Close(context.WithoutCancel(ctx))
		dsn = e.Addresses().DSN
	}
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		return fmt.Errorf("--clickhouse: %w", err)
	}
	return history.Migrate(ctx, options, log)
}
