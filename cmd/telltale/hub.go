package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"telltale/aggregate"
	"telltale/aggregate/engine"
	"telltale/aggregate/history"
	"telltale/dashboard"
	"telltale/dashboard/store"
	"telltale/ingest"
	"telltale/ingest/self"
	"telltale/stream"
)

// hub is everything a running hub holds. It is opened from the bottom up and closed in reverse.
type hub struct {
	config   *serveCommand
	log      *slog.Logger
	metrics  *prometheus.Registry
	closers  []func() // in the order of opening
	stopping atomic.Bool

	store    *store.Store
	seeded   store.Seeded
	engine   *engine.Engine // nil with an outside ClickHouse
	options  *clickhouse.Options
	reader   *history.Reader
	writer   *history.Shards
	live     *aggregate.Live
	door     *ingest.Server
	self     *self.Agent
	streams  *stream.Hub
	app      *dashboard.App
	listener net.Listener
	nats     *nats.Conn
	registry *aggregate.Registry
	started  time.Time
}

func openHub(ctx context.Context, c *serveCommand, log *slog.Logger) (h *hub, err error) {
	h = &hub{config: c, log: log, metrics: prometheus.NewRegistry(), started: time.Now()}
	h.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	steps := []func(context.Context) error{h.lock, h.openStore, h.openClickHouse, h.openTelemetry, h.openDashboard, h.listen}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			h.close()
			return nil, err
		}
	}
	return h, nil
}

func (h *hub) onClose(f func()) { h.closers = append(h.closers, f) }

func (h *hub) close() {
	for len(h.closers) > 0 {
		last := len(h.closers) - 1
		h.closers[last]()
		h.closers = h.closers[:last]
	}
}

func (h *hub) lock(context.Context) error {
	lock, err := engine.LockDataDir(h.config.Data)
	if err != nil {
		return err
	}
	h.onClose(func() { _ = lock.Close() })
	return nil
}

func (h *hub) listen(context.Context) error {
	listener, err := net.Listen("tcp", h.config.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w (choose another address with --listen)", err)
	}
	h.onClose(func() { _ = listener.Close() })
	h.listener = listener
	if h.config.TLSCert == "" {
		return nil
	}
	certificate, err := tls.LoadX509KeyPair(h.config.TLSCert, h.config.TLSKey)
	if err != nil {
		return fmt.Errorf("load the TLS certificate: %w", err)
	}
	h.listener = tls.NewListener(listener, &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12,
	})
	return nil
}

// run serves until ctx ends or a part fails, and then stops in order.
func (h *hub) run(ctx context.Context) error {
	defer h.close()
	// The parts outlive ctx: an orderly stop needs them all.
	parts, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	group, failed := errgroup.WithContext(parts)
	group.Go(func() error { return h.writer.Run(failed) })
	group.Go(func() error { h.app.Run(failed); return nil })
	group.Go(func() error { h.watchStorage(failed); return nil })
	group.Go(func() error { h.self.Run(failed); return nil })
	group.Go(func() error { h.noteClocks(failed); return nil })
	group.Go(func() error { h.answerDoctors(failed); return nil })
	group.Go(func() error { return h.app.Fiber().Listener(h.listener) })
	h.printAddresses()

	select {
	case <-ctx.Done():
		h.log.Info("stopping; a second signal stops at once")
	case <-failed.Done():
		h.log.Error("stopping, since a part has failed", "error", context.Cause(failed))
	}
	stopErr := h.stop(cut)
	if err := group.Wait(); err != nil && !errors.Is(err, errStopped) {
		return err
	}
	return stopErr
}

var errStopped = errors.New("the hub has stopped")

// stop ends the parts from the outside in: no new agents, acknowledge what was taken, store the
// rest, tell the viewers, close the port.
func (h *hub) stop(cut context.CancelCauseFunc) error {
	began := time.Now()
	h.stopping.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), h.config.StopTimeout)
	defer cancel()
	err := h.door.Close(ctx)
	h.self.Close()
	h.writer.Close()
	err = errors.Join(err, h.streams.Close(ctx), h.app.Fiber().ShutdownWithContext(ctx))
	cut(errStopped)
	h.log.Info("stopped", "after", time.Since(began).Round(time.Millisecond), "error", err)
	return err
}

// watchStorage turns storing off while history is behind: agents then keep what they send for the
// live dashboards, and send it again when it is back. On a cluster that is so for each shard's own agents.
func (h *hub) watchStorage(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before := map[*history.Writer]string{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		behind := map[*history.Writer]string{}
		for _, w := range h.writer.Each() {
			if reason := w.Behind(); reason != "" {
				behind[w] = reason
			}
		}
		if maps.Equal(behind, before) {
			continue
		}
		before = behind
		h.door.SetLiveOnlyOf(func(agent string) bool { return behind[h.writer.Of(agent)] != "" })
		if len(behind) > 0 {
			h.log.Warn("history is behind; dashboards go on live, agents keep what they send", "reasons", slices.Collect(maps.Values(behind)))
		} else {
			h.log.Info("history is no longer behind; agents send what they kept")
		}
	}
}
