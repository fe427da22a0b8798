// Package history keeps telemetry in ClickHouse: migrations, the writer of blocks, and queries.
package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"

	"telltale/aggregate"
)

// ErrFull says that the bound on unstored samples is reached: the sender keeps its batch and tries later.
var ErrFull = errors.New("the hub holds as many unstored samples as it may: ClickHouse is slow or away")

// ErrNotReady says that storage cannot yet vouch for what it holds; it passes.
var ErrNotReady = errors.New("the history is not ready")

// errClosed is the cause of waits that the writer's end cuts short.
var errClosed = errors.New("the history is closed")

// Config is what a Writer may be told. The zero value of a field stands for its default.
type Config struct {
	MaxUnstoredBytes int64         // bound on samples taken and not yet stored; default 512 MB
	MaxBlockRows     int           // a block is sealed at this size; default 500,000
	BlockInterval    time.Duration // or at this age; default 1 s
	Retention        time.Duration // raw samples inserted before are dropped, by whole days; default 3 days
	MinFreeBytes     int64         // with less room on ClickHouse's disk nothing more is stored; default 1 GB
	QuarantineDir    string        // where batches go that ClickHouse cannot take; required
	InsertTimeout    time.Duration // an insert that takes longer is in doubt; default 30 s
	KillTimeout      time.Duration // a server that cannot end an insert in time is restarted, where it is ours; default 30 s

	// Each tier's windows are dropped when they are older; defaults 14 days, 90 days, 2 years.
	Retention10s, Retention1m, Retention1h time.Duration
	TierGrace                              time.Duration // a window is summed up this long after its end; default 5 s
	MaxTierRows                            int           // stored rows that wait to be summed up; beyond it raw is read instead; default 2,000,000

	now       func() time.Time // for tests
	fillEvery time.Duration    // how often windows are looked at that no block brings to their end
}

func (c Config) withDefaults() Config {
	if c.MaxUnstoredBytes == 0 {
		c.MaxUnstoredBytes = 512 << 20
	}
	if c.MaxBlockRows == 0 {
		c.MaxBlockRows = 500_000
	}
	if c.BlockInterval == 0 {
		c.BlockInterval = time.Second
	}
	if c.Retention == 0 {
		c.Retention = 72 * time.Hour
	}
	if c.MinFreeBytes == 0 {
		c.MinFreeBytes = 1 << 30
	}
	if c.InsertTimeout == 0 {
		c.InsertTimeout = 30 * time.Second
	}
	if c.Retention10s == 0 {
		c.Retention10s = 14 * 24 * time.Hour
	}
	if c.Retention1m == 0 {
		c.Retention1m = 90 * 24 * time.Hour
	}
	if c.Retention1h == 0 {
		c.Retention1h = 2 * 365 * 24 * time.Hour
	}
	if c.TierGrace == 0 {
		c.TierGrace = 5 * time.Second
	}
	if c.MaxTierRows == 0 {
		c.MaxTierRows = 2_000_000
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.fillEvery == 0 {
		c.fillEvery = time.Second
	}
	if c.KillTimeout == 0 {
		c.KillTimeout = 30 * time.Second
	}
	return c
}

// Server is the ClickHouse the writer stores to, where the hub runs it itself.
type Server interface {
	// Restart ends a server that no longer answers and starts it again.
	Restart(ctx context.Context) error
	// StorePath is the folder that the paths in system.tables are relative to, where they are.
	StorePath() string
}

// Definitions is where the series come from that blocks refer to.
type Definitions interface {
	// TakeNew hands over the series made known since the last call.
	TakeNew() []*aggregate.Series
	// Series returns the series with this id. It is read-only.
	Series(id aggregate.SeriesID) (*aggregate.Series, bool)
}

// Writer stores batches as blocks, in order, one insert at a time, and says when a batch is stored.
//
// Its queue is bounded in bytes (Config.MaxUnstoredBytes); at the bound Take refuses. A block is
// tried until it is stored: what was taken is either stored or, when the hub ends, in doubt, and
// then settled by the next hub before it admits anyone.
type Writer struct {
	cfg         Config
	log         *slog.Logger
	conn        driver.Conn
	database    string
	server      Server // nil where ClickHouse is not ours
	definitions Definitions
	onStored    func([]aggregate.Progress)
	hub         uint32 // new at every start
	admissions  *admissions
	metrics     *metrics
	sorter      sorter
	sorted      rows     // of the block being stored
	folders     sync.Map // of tables, by name, []string, for syncTable; they stay where they are
	filler      *filler

	wake chan struct{} // buffered, 1: there may be a block to store

	mu        sync.Mutex // guards what follows; nothing waits while it is held
	ready     bool
	closing   bool
	open      *block
	sealed    []*block
	blocks    uint32    // the last block number given out
	lowDisk   bool      // ClickHouse's disk has less room than it should
	behind    bool      // see Behind
	unstored  int64     // bytes in open, sealed and the block being stored
	storing   time.Time // when the block being stored was opened; zero: none is
	agents    map[string]*agentState
	newAgents []agentRow
	free      rows      // memory of the last stored block, for the next open one
	followed  time.Time // when the last stored block was sealed
	failure   *Failure  // the last failure to store a block
}

// NewWriter returns a writer for the database of o, which Migrate has prepared. server is nil for
// an outside ClickHouse. onStored is called from Run with the epochs that came further; it must not block.
func NewWriter(o *clickhouse.Options, server Server, definitions Definitions, onStored func([]aggregate.Progress),
	cfg Config, reg prometheus.Registerer, log *slog.Logger,
) (*Writer, error) {
	conn, err := clickhouse.Open(writerOptions(o))
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	w := &Writer{
		cfg: cfg.withDefaults(), log: log, conn: conn, database: o.Auth.Database, server: server,
		definitions: definitions, onStored: onStored,
		wake:   make(chan struct{}, 1),
		agents: make(map[string]*agentState),
	}
	w.filler = newFiller(w)
	w.admissions = newAdmissions(w.lookupAgents)
	w.metrics = newMetrics(reg, w)
	return w, nil
}

// writerOptions adds what storing relies on to the options of a connection.
func writerOptions(o *clickhouse.Options) *clickhouse.Options {
	own := *o
	own.Compression = compressionTo(o.Addr)
	own.DialTimeout = 5 * time.Second
	own.Settings = clickhouse.Settings{
		"async_insert":       0, // on by default since 26.3, and it acknowledges what it has not stored
		"insert_deduplicate": 0, // loses data when killed between its log and the part; markers do this work
		// A server that waits for a silent client notices a KILL after these seconds.
		"receive_timeout": 5,
		"poll_interval":   1,
	}
	return &own
}

// compressionTo is none towards this machine itself, where copying costs less than packing and unpacking.
func compressionTo(addresses []string) *clickhouse.Compression {
	for _, address := range addresses {
		host, _, _ := net.SplitHostPort(address)
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
		}
	}
	return &clickhouse.Compression{Method: clickhouse.CompressionNone}
}

// Run stores blocks until ctx ends or Close has emptied the queue. It first settles what
// earlier hubs left in doubt; only then does Admit answer.
func (w *Writer) Run(ctx context.Context) error {
	defer func() { _ = w.conn.Close() }()
	if err := w.begin(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var asking sync.WaitGroup
	asking.Go(func() { w.admissions.run(ctx) })
	asking.Go(func() { w.keepHouse(ctx) })
	asking.Go(func() { w.filler.run(ctx) })
	asking.Go(func() { (&repairer{f: w.filler, windows: minRepairWindows}).run(ctx) })
	defer asking.Wait()
	defer cancel(errClosed)

	for {
		b, err := w.next(ctx)
		if b == nil {
			return err
		}
		if err := w.store(ctx, b); err != nil {
			return err
		}
	}
}

// begin settles the past and opens the writer.
func (w *Writer) begin(ctx context.Context) error {
	var hub uint32
	err := w.retry(ctx, func() (err error) {
		if err = w.settlePast(ctx); err == nil {
			hub, err = w.newHubNumber(ctx)
		}
		return err
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hub = hub
	w.ready = true
	w.followed = w.cfg.now()
	w.filler.start(w.followed)
	w.log.Info("the history is ready", "hub", hub)
	return nil
}

// newHubNumber draws a number that no marker in storage carries.
func (w *Writer) newHubNumber(ctx context.Context) (uint32, error) {
	for {
		hub := 1 + rand.Uint32N(maxHub)
		var used uint64
		err := w.conn.QueryRow(ctx, `SELECT (SELECT count() FROM raw WHERE series BETWEEN ? AND ?)
			+ (SELECT count() FROM tier_progress WHERE hub = ?)`, markerID(hub, 0), markerID(hub, 1<<32-1), hub).Scan(&used)
		if err != nil {
			return 0, fmt.Errorf("draw a hub number: %w", err)
		}
		if used == 0 {
			return hub, nil
		}
	}
}

// Ready says whether agents can be admitted, and if not, why.
func (w *Writer) Ready() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ready {
		return ErrNotReady
	}
	return nil
}

// Take copies a batch into the open block. Its agent must have been admitted, and its seq must
// follow the last one taken of its epoch.
func (w *Writer) Take(b *aggregate.Batch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, err := w.makeRoomLocked(b.Agent, b.Epoch, b.Rows())
	if err != nil {
		return err
	}
	w.open.add(b, e)
	return nil
}

// TakeGap takes a declared gap in the place of the batches that are lost.
func (w *Writer) TakeGap(g *aggregate.Gap) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, err := w.makeRoomLocked(g.Agent, g.Epoch, 0)
	if err != nil {
		return err
	}
	gap := *g
	w.open.addGap(&gap, e)
	return nil
}

// makeRoomLocked counts rows that come in against the bound and sees to an open block for them.
func (w *Writer) makeRoomLocked(agent, epoch string, rows int) (*epochState, error) {
	if !w.ready || w.closing {
		return nil, ErrNotReady
	}
	state := w.agents[agent]
	if state == nil {
		return nil, fmt.Errorf("agent %s has not been admitted", agent)
	}
	size := int64(rows)*rowBytes + passBytes
	if w.unstored+size > w.cfg.MaxUnstoredBytes {
		w.metrics.full.Inc()
		return nil, ErrFull
	}
	w.unstored += size
	if w.open != nil && w.open.rows.len()+rows > w.cfg.MaxBlockRows {
		w.sealLocked()
	}
	if w.open == nil {
		w.openLocked()
	}
	e := state.epochs[epoch]
	if e == nil {
		e = &epochState{}
		state.epochs[epoch] = e
	}
	return e, nil
}

func (w *Writer) openLocked() {
	w.open = &block{opened: time.Now(), rows: w.free}
	w.open.rows.reset()
	w.free = rows{}
	w.signal()
}

func (w *Writer) sealLocked() {
	b := w.open
	w.open = nil
	// One day for the whole block: the partition is the day of insertion, not that of the samples.
	b.sealed = w.cfg.now()
	b.day = b.sealed.UTC().Truncate(24 * time.Hour)
	b.series = w.definitions.TakeNew()
	b.agents, w.newAgents = w.newAgents, nil
	w.sealed = append(w.sealed, b)
	w.signal()
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// next waits for the next block to store. It returns nil when the writer is closed and empty, or ctx has ended.
func (w *Writer) next(ctx context.Context) (*block, error) {
	for {
		b, wait, done := w.poll()
		if b != nil || done {
			return b, nil
		}
		if err := w.sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// poll returns the next sealed block, or how long to wait for one (0: until woken).
func (w *Writer) poll() (b *block, wait time.Duration, done bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.storing = time.Time{}
	if w.open != nil && len(w.sealed) == 0 {
		age := time.Since(w.open.opened)
		if age < w.cfg.BlockInterval && !w.closing {
			return nil, w.cfg.BlockInterval - age, false
		}
		w.sealLocked()
	}
	if len(w.sealed) == 0 {
		return nil, 0, w.closing
	}
	b = w.sealed[0]
	w.sealed = w.sealed[1:]
	w.storing = b.opened
	return b, 0, false
}

func (w *Writer) sleep(ctx context.Context, wait time.Duration) error {
	var after <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-w.wake:
	case <-after:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// storedUntil returns a time such that all samples that were taken before are stored, and the filler knows.
func (w *Writer) storedUntil() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unstored == 0 {
		w.followed = w.cfg.now()
	}
	return w.followed
}

// Close takes no more batches and lets Run end once all that were taken are stored.
func (w *Writer) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closing = true
	w.signal()
}
