package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"

	"telltale/aggregate/engine"
	"telltale/aggregate/engine/enginetest"
	"telltale/dashboard/store"
	"telltale/ingest/wire"
)

// intake is the way of samples through a hub, from the agents' door to the engine of the
// tests, wired as the hub wires it. It can be ended in the middle of whatever it does, and begun again.
type intake struct {
	t       *testing.T
	store   *store.Store
	engine  *engine.Engine // nil: an outside server
	cluster string
	options *clickhouse.Options
	conn    driver.Conn // independent of the hub's

	mu  sync.Mutex
	run *intakeRun
}

// intakeRun is one run of it.
type intakeRun struct {
	hub    *hub
	url    string
	app    *fiber.App
	cut    context.CancelFunc
	stored chan error
	served chan error
}

func newIntake(t *testing.T) *intake {
	t.Helper()
	in := newIntakeAt(t, enginetest.DSN(t))
	in.engine = enginetest.Engine(t)
	return in
}

func newIntakeAt(t *testing.T, dsn string) *intake {
	t.Helper()
	t.Setenv("TELLTALE_AGENT_TOKEN", testToken)
	t.Setenv("TELLTALE_ADMIN_PASSWORD", "a-password-for-tests")
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	in := &intake{t: t, options: options, conn: conn}
	first := in.newHub()
	if err := first.openStore(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(first.close)
	in.store = first.store
	return in
}

func (in *intake) newHub() *hub {
	return &hub{
		config: &serveCommand{
			storeFlags: storeFlags{Data: in.t.TempDir()}, outsideFlags: outsideFlags{ClickhouseCluster: in.cluster},
			MaxUnstored: 64 << 20, RetentionRaw: 72 * time.Hour, MinFree: 1,
		},
		log: slog.New(slog.NewTextHandler(in.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), metrics: prometheus.NewRegistry(),
		store: in.store, options: in.options, engine: in.engine,
	}
}

// begin starts a run.
func (in *intake) begin() {
	in.t.Helper()
	r := &intakeRun{hub: in.newHub(), stored: make(chan error, 1), served: make(chan error, 1)}
	if err := r.hub.openTelemetry(in.t.Context()); err != nil {
		in.t.Fatal(err)
	}
	r.app = fiber.New(fiber.Config{DisableStartupMessage: true})
	r.hub.door.Register(r.app)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		in.t.Fatal(err)
	}
	r.url = "ws://" + listener.Addr().String() + wire.Path
	ctx, cut := context.WithCancel(context.Background())
	r.cut = cut
	go func() { r.stored <- r.hub.writer.Run(ctx) }()
	go func() { r.served <- r.app.Listener(listener) }()
	in.mu.Lock()
	in.run = r
	in.mu.Unlock()
}

// crash ends the run where it is: what is on its way to storage is in doubt or lost.
func (in *intake) crash() {
	in.t.Helper()
	r := in.current()
	r.cut()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_ = r.hub.door.Close(ctx) // its error is that batches are pending
	if err := r.app.ShutdownWithTimeout(time.Minute); err != nil {
		in.t.Error(err)
	}
	if err := <-r.served; err != nil {
		in.t.Error(err)
	}
	if err := <-r.stored; err != nil && !errors.Is(err, context.Canceled) {
		in.t.Error(err)
	}
	r.hub.close()
}

func (in *intake) current() *intakeRun {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.run
}
