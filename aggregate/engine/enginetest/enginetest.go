// Package enginetest gives tests a real embedded ClickHouse: one for each test binary, with
// a fresh database for each test.
package enginetest

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"

	"telltale/aggregate/engine"
)

var shared struct {
	sync.Mutex // guards all below
	dir        string
	engine     *engine.Engine
	err        error
	databases  int
}

// Main is for TestMain, as its only statement: it runs the tests, ends the engine they
// used, and then calls each of the checks, such as one for leaked goroutines, whose error
// fails the run. It never returns.
func Main(m *testing.M, checks ...func() error) {
	engine.RunChildIfAsked()
	code := m.Run()
	stop()
	for _, check := range checks {
		if err := check(); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// Engine returns the test binary's engine, which the first call starts. Where there is none
// to start, the test fails with the remedy.
func Engine(t testing.TB) *engine.Engine {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.engine == nil && shared.err == nil {
		shared.err = startLocked()
	}
	if shared.err != nil {
		t.Fatalf("start an engine for the tests: %v", shared.err)
	}
	return shared.engine
}

// DSN returns the address of a fresh and empty database, with the rights to do anything in
// it. It is dropped when the test ends.
func DSN(t testing.TB) string {
	t.Helper()
	address, err := url.Parse(Engine(t).Addresses().DSN)
	if err != nil {
		t.Fatalf("read the engine's address: %v", err)
	}
	shared.Lock()
	shared.databases++
	name := fmt.Sprintf("test_%d", shared.databases)
	shared.Unlock()

	execute(t, "CREATE DATABASE "+name+" ENGINE = Atomic")
	t.Cleanup(func() { execute(t, "DROP DATABASE IF EXISTS "+name+" SYNC") })
	address.Path = "/" + name
	return address.String()
}

func execute(t testing.TB, query string) {
	t.Helper()
	options, err := clickhouse.ParseDSN(Engine(t).Addresses().DSN)
	if err != nil {
		t.Fatalf("read the engine's address: %v", err)
	}
	options.Auth.Database = "" // the database of the address need not exist
	connection, err := clickhouse.Open(options)
	if err != nil {
		t.Fatalf("reach the engine: %v", err)
	}
	defer func() { _ = connection.Close() }()
	if err := connection.Exec(context.Background(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func startLocked() error {
	path, err := engine.Find("")
	if err != nil {
		return err
	}
	if shared.dir, err = os.MkdirTemp("", "telltale-engine-"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	shared.engine, err = engine.Start(ctx, engine.Config{DataDir: shared.dir, Path: path}, log, prometheus.NewRegistry())
	return err
}

func stop() {
	shared.Lock()
	defer shared.Unlock()
	if shared.engine != nil {
		shared.engine.Close(context.Background())
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
}
