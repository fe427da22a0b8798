package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"telltale/aggregate"
	"telltale/aggregate/engine"
	"telltale/aggregate/history"
	"telltale/dashboard"
	"telltale/dashboard/store"
	"telltale/ingest"
	"telltale/ingest/self"
	"telltale/ingest/wire"
	"telltale/stream"
	"telltale/web"
)

// openStore starts the embedded NATS, or dials the outside one, and makes the first admin and token.
func (h *hub) openStore(ctx context.Context) error {
	nc, err := h.connectNATS()
	if err != nil {
		return err
	}
	h.nats = nc
	config := store.DefaultConfig()
	config.Metrics = h.metrics
	if h.store, err = store.Open(ctx, nc, config, h.log); err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	h.onClose(h.store.Close)
	h.seeded, err = h.store.Seed(ctx, os.Getenv("TELLTALE_ADMIN_PASSWORD"), os.Getenv("TELLTALE_AGENT_TOKEN"))
	if err != nil {
		return fmt.Errorf("make the first user and token: %w", err)
	}
	return nil
}

func (h *hub) connectNATS() (*nats.Conn, error) {
	if h.config.Nats != "" {
		nc, err := store.Dial(h.config.Nats, h.log)
		if err != nil {
			return nil, err
		}
		h.onClose(nc.Close)
		return nc, nil
	}
	server, err := store.StartServer(h.config.Data, h.log)
	if err != nil {
		return nil, err
	}
	h.onClose(server.Close)
	nc, err := server.Connect()
	if err != nil {
		return nil, err
	}
	h.onClose(nc.Close)
	return nc, nil
}

// openClickHouse starts the embedded engine, or takes the outside server's address.
func (h *hub) openClickHouse(ctx context.Context) error {
	if h.config.Clickhouse != "" {
		var err error
		h.options, err = h.config.options(h.log)
		return err
	}
	e, err := startEngine(ctx, h.config.Data, h.config.Engine, h.config.EngineMemory, h.log, h.metrics)
	if err != nil {
		return err
	}
	h.onClose(func() { e.Close(context.Background()) })
	h.engine = e
	h.options, err = parseDSN(e.Addresses().DSN)
	return err
}

func startEngine(ctx context.Context, dataDir, path string, memoryBytes int64, log *slog.Logger, reg prometheus.Registerer) (*engine.Engine, error) {
	path, err := engine.Find(path)
	if err != nil {
		return nil, err
	}
	config := engine.Config{DataDir: dataDir, Path: path, MemoryBytes: memoryBytes}
	for _, name := range history.Readable {
		config.AnalystReads = append(config.AnalystReads, engine.Database+"."+name)
	}
	return engine.Start(ctx, config, log, reg)
}

// openTelemetry makes the path from the agents' door to live state and history.
func (h *hub) openTelemetry(context.Context) error {
	registry := aggregate.NewRegistry(aggregate.Limits{
		SeriesPerAgent: h.config.MaxAgentSeries, Series: h.config.MaxSeries, Own: self.ID,
	})
	h.live = aggregate.NewLive(aggregate.LiveConfig{}, registry)
	h.registry = registry
	registerStats(h.metrics, registry, h.live)

	var server history.Server // stays nil for an outside ClickHouse
	if h.engine != nil {
		server = h.engine
	}
	var err error
	h.writer, err = history.NewShards(h.options, history.Storing{
		Cluster: h.config.ClickhouseCluster, Server: server, Definitions: registry, OnStored: h.acknowledge,
		Config: history.Config{
			MaxUnstoredBytes: h.config.MaxUnstored, Retention: h.config.RetentionRaw, MinFreeBytes: h.config.MinFree,
			QuarantineDir: filepath.Join(h.config.Data, "quarantine"),
			Retention10s:  h.config.Retention10s, Retention1m: h.config.Retention1m, Retention1h: h.config.Retention1h,
		},
	}, h.metrics, h.log)
	if err != nil {
		return err
	}
	h.reader, err = history.NewReader(h.options, history.ReaderConfig{
		Cluster: h.config.ClickhouseCluster != "", Tiers: h.writer.TierStates, KeptRaw: h.config.RetentionRaw,
		Kept10s: h.config.Retention10s, Kept1m: h.config.Retention1m, Kept1h: h.config.Retention1h,
	}, h.metrics)
	if err != nil {
		return err
	}
	h.onClose(func() { _ = h.reader.Close() })

	config := ingest.DefaultConfig()
	config.PublicURL = h.config.PublicURL
	config.Retention = h.config.RetentionRaw
	config.ReservedID = self.ID
	to := &sink{registry, h.live, h.writer}
	tokens := &agentTokens{store: h.store.Tokens}
	if h.door, err = ingest.New(config, to, tokens, h.metrics, h.log); err != nil {
		return err
	}
	tokens.revoked = h.door.Revoke
	h.self = h.newSelf(to)
	return h.watchSpools()
}

// acknowledge has the door tell agents what is stored.
func (h *hub) acknowledge(stored []aggregate.Progress) {
	acks := make([]ingest.Stored, len(stored))
	for i, p := range stored {
		acks[i] = ingest.Stored(p)
	}
	h.door.Stored(acks)
}

func (h *hub) openDashboard(context.Context) error {
	analysts, err := h.openAnalysts()
	if err != nil {
		return err
	}
	viewers := stream.DefaultConfig()
	viewers.MaxViewers, viewers.MaxViewersPerUser = h.config.MaxViewers, h.config.MaxPerUser
	if h.streams, err = stream.Open(viewers, h.metrics, h.log); err != nil {
		return err
	}
	h.app, err = dashboard.New(dashboard.Config{
		PublicURL: h.config.PublicURL, TrustedProxies: h.config.TrustedProxies,
	}, dashboard.Parts{
		Store: h.store, Live: h.live, Streams: h.streams, History: past{h.reader}, Catalogue: analysts, Analysts: analysts,
		Events: events{h.reader, h.writer}, Agents: h.agentsAtTheDoor,
		Page: web.Files(), BuildID: web.BuildID(), Metrics: h.metrics, Checks: h.checks(), Register: h.door.Register,
		NotifyAgents: func(level, text string) { h.door.Broadcast(wire.Notice{Level: level, Text: text}) },
	}, h.log)
	return err
}

// checks are what /readyz asks.
func (h *hub) checks() []dashboard.Check {
	return []dashboard.Check{
		{Name: "hub", Ready: func() error {
			if h.stopping.Load() {
				return errors.New("the hub is stopping")
			}
			return nil
		}},
		{Name: "clickhouse", Ready: func() error {
			if h.engine != nil {
				return h.engine.Err()
			}
			return nil
		}},
		{Name: "history", Ready: h.writer.Ready},
	}
}

// agentsAtTheDoor is what the page shows of connected agents.
func (h *hub) agentsAtTheDoor() []dashboard.DoorAgent {
	statuses := h.door.Agents()
	agents := make([]dashboard.DoorAgent, len(statuses))
	for i, s := range statuses {
		agents[i] = dashboard.DoorAgent{ID: s.ID, Connected: s.Connected, LastBatch: s.LastBatch, Interval: s.Interval}
		if s.ClockTold && s.RoundTrip > 0 {
			agents[i].ClockOffset = &s.ClockOffset
		}
	}
	return agents
}
