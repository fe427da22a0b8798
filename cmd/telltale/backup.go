package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"telltale/aggregate/engine"
	"telltale/aggregate/history"
	"telltale/dashboard/store"
)

type backupCommand struct {
	storeFlags     `embed:""`
	Engine         string `help:"The embedded ClickHouse: its library, its program, or a folder with either." type:"path" placeholder:"PATH"`
	WithoutHistory bool   `help:"Users and tokens only: an outside ClickHouse is backed up by its own means."`
	File           string `arg:"" help:"File to write; it must not exist." type:"path"`
}

// Run writes users, tokens and all of history to one file, also while a hub runs.
func (c *backupCommand) Run(ctx context.Context) error {
	if _, err := os.Stat(c.File); err == nil {
		return fmt.Errorf("%s exists already: name another file", c.File)
	}
	scratch, err := makeScratch(c.Data)
	if err != nil {
		return err
	}
	defer scratch.remove()
	if !c.WithoutHistory {
		if err := c.backupHistory(ctx, scratch.history()); err != nil {
			return fmt.Errorf("back up the history: %w", err)
		}
	}
	records, err := c.backupStore(ctx, scratch.store())
	if err != nil {
		return fmt.Errorf("back up users and tokens: %w", err)
	}
	head := backupHead{Version: version, Created: time.Now().UTC(), Records: records, History: !c.WithoutHistory}
	size, err := scratch.pack(c.File, head)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %s, with %d users and tokens\n", c.File, megabytes(size), records)
	if err := (backupNote{Time: head.Created, File: c.File, History: head.History}).write(c.Data); err != nil {
		slog.Warn("the backup is whole, but 'telltale doctor' will not know of it", "error", err)
	}
	return nil
}

func (c *backupCommand) backupHistory(ctx context.Context, path string) error {
	own := clickhouseFlags{Data: c.Data, Engine: c.Engine}
	options, done, err := own.reach(ctx, slog.Default())
	if err != nil {
		return err
	}
	defer done()
	return history.Backup(ctx, options, path, showProgress("history"))
}

func (c *backupCommand) backupStore(ctx context.Context, path string) (records int, err error) {
	nc, done, err := c.connect(slog.Default())
	if err != nil {
		return 0, err
	}
	defer done()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	records, err = store.Export(ctx, nc, file)
	return records, errors.Join(err, file.Close())
}

type restoreCommand struct {
	storeFlags `embed:""`
	Engine     string `help:"The embedded ClickHouse: its library, its program, or a folder with either." type:"path" placeholder:"PATH"`
	File       string `arg:"" help:"File that 'telltale backup' wrote." type:"existingfile"`
}

// Run makes a data directory of a backup. The directory must not be used by anything yet.
func (c *restoreCommand) Run(ctx context.Context) error {
	if entries, err := os.ReadDir(c.Data); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: restore into a new data directory with --data", c.Data)
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	scratch, err := makeScratch(c.Data)
	if err != nil {
		return err
	}
	defer scratch.remove()
	head, err := scratch.unpack(c.File)
	if err != nil {
		return err
	}
	if head.History {
		if err := c.restoreHistory(ctx, scratch.history()); err != nil {
			return fmt.Errorf("restore the history: %w", err)
		}
	}
	records, err := c.restoreStore(ctx, scratch.store())
	if err != nil {
		return fmt.Errorf("restore users and tokens: %w", err)
	}
	if records != head.Records {
		return fmt.Errorf("the backup says it has %d users and tokens, and has %d: take another one", head.Records, records)
	}
	fmt.Printf("%s: restored what telltale %s had on %s; start the hub with --data %s\n",
		c.Data, head.Version, head.Created.Format(time.RFC3339), c.Data)
	return nil
}

func (c *restoreCommand) restoreHistory(ctx context.Context, path string) error {
	own := clickhouseFlags{Data: c.Data, Engine: c.Engine}
	options, done, err := own.start(ctx, slog.Default())
	if err != nil {
		return err
	}
	defer done()
	return history.Restore(ctx, options, path, showProgress("history"))
}

func (c *restoreCommand) restoreStore(ctx context.Context, path string) (records int, err error) {
	nc, done, err := c.connect(slog.Default())
	if err != nil {
		return 0, err
	}
	defer done()
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	return store.Import(ctx, nc, file)
}

// showProgress prints a line for each report.
func showProgress(what string) func(history.BackupProgress) {
	began := time.Now()
	return func(p history.BackupProgress) {
		share := 100.0
		if p.Total > 0 {
			share = 100 * float64(p.Done) / float64(p.Total)
		}
		fmt.Fprintf(os.Stderr, "%3.0f %%  %s  %s of %s  after %v\n", share, what,
			megabytes(int64(p.Done)), megabytes(int64(p.Total)), time.Since(began).Round(time.Second))
	}
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

// scratch is a folder where ClickHouse may read and write, for the parts of a backup file.
type scratch string

func makeScratch(dataDir string) (scratch, error) {
	folder, err := engine.BackupFolder(dataDir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("make a folder for the backup: %w", err)
	}
	made, err := os.MkdirTemp(folder, "")
	if err != nil {
		return "", fmt.Errorf("make a folder for the backup: %w", err)
	}
	return scratch(made), nil
}

func (s scratch) remove() { _ = os.RemoveAll(string(s)) }

func (s scratch) history() string { return filepath.Join(string(s), historyPart) }
func (s scratch) store() string   { return filepath.Join(string(s), storePart) }
