package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"telltale/ingest/agent"
	"telltale/ingest/agent/spool"
	"telltale/ingest/wire"
)

// sequenceAgentArg is the hidden first argument that makes the test's program an agent.
const sequenceAgentArg = "run-sequence-agent"

// newSequenceAgent makes the real agent, with a sequence for a host. The returned sequence's record is
// the caller's to close.
func newSequenceAgent(hub, id, dir string, interval time.Duration, lanes int, log *slog.Logger) (*agent.Agent, *sequence, error) {
	source, err := openSequence(dir, lanes)
	if err != nil {
		return nil, nil, err
	}
	a, err := agent.New(agent.Config{
		Hub: hub, Token: testToken, Agent: wire.Agent{ID: id}, Interval: interval,
		SpoolDir: dir, SpoolBytes: spool.DefaultBytes, Log: log,
	}, func(time.Duration) agent.Collector { return source })
	return a, source, err
}

// runSequenceAgent is an agent as a process of its own, with arguments HUB ID DIR INTERVAL. It ends when it
// is told to, or when its standard input does: then whoever started it is no more.
func runSequenceAgent(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("%d arguments, want 4", len(args))
	}
	interval, err := time.ParseDuration(args[3])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		stop()
	}()
	a, source, err := newSequenceAgent(args[0], args[1], args[2], interval, 2, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	defer func() { _ = source.record.Close() }()
	return a.Run(ctx)
}
