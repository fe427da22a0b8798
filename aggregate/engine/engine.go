package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The two users of the embedded engine.
const (
	WriterUser  = "telltale" // the hub itself; may do everything
	AnalystUser = "analyst"  // reads what Config.AnalystReads names
)

// Database is where all of Telltale's tables and views are. The engine starts without it.
const Database = "telltale"

const (
	defaultMemoryBytes = 2 << 30
	lockPatience       = 15 * time.Second
	readyPatience      = 60 * time.Second
)

// Config says where and how the engine runs.
type Config struct {
	DataDir string // the hub's data directory; the engine has its folder "clickhouse" in it
	Path    string // from Find

	TCPPort  int // of the native protocol, on loopback; 0 for that of the last start, or any free one
	HTTPPort int // likewise

	// MemoryBytes is the most memory the engine takes; 0 for 2 GiB. It never takes more than
	// 40 % of the machine's.
	MemoryBytes int64

	// AnalystReads lists the views and tables the analyst may read, each as "telltale.samples". One that
	// does not exist yet does no harm.
	AnalystReads []string
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case c.DataDir == "" || c.Path == "":
		return errors.New("the engine needs a data directory and the engine's path")
	case c.TCPPort < 0 || c.TCPPort > 65535 || c.HTTPPort < 0 || c.HTTPPort > 65535:
		return fmt.Errorf("the engine's ports %d and %d must be from 0 to 65535", c.TCPPort, c.HTTPPort)
	case c.MemoryBytes != 0 && c.MemoryBytes < 256<<20:
		return fmt.Errorf("the engine's memory limit of %d bytes is too small: give it at least 256 MiB", c.MemoryBytes)
	}
	return nil
}

// Engine is a supervised ClickHouse process. All methods may be called at any time, by any
// goroutine.
type Engine struct {
	cfg   Config
	dir   folder
	id    identity
	log   *slog.Logger
	relay *relay

	restarts prometheus.Counter
	failures prometheus.Counter
	closing  context.Context // ends when Close is called
	close    context.CancelFunc
	hurry    context.Context // ends when Close's own context does
	hurryUp  context.CancelFunc
	done     chan struct{} // closed when the supervisor has ended

	mu      sync.Mutex    // guards all below
	current *process      // nil where none runs
	err     error         // why the engine cannot serve; nil when it can
	runs    int           // counts the times it became ready
	wanted  bool          // a restart was asked for: no back-off
	changed chan struct{} // closed, and replaced, when any of these changes
}

var errStarting = errors.New("the engine is starting")

// ErrClosed is the state of an engine after Close.
var ErrClosed = errors.New("the engine is closed")

// Start starts the engine and returns when it answers queries. It waits up to 15 s for a
// previous engine to leave the directory. The data directory must be locked by this process.
// From then on the engine is restarted whenever it dies, with increasing pauses, until Close.
func Start(ctx context.Context, cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.MemoryBytes == 0 {
		cfg.MemoryBytes = defaultMemoryBytes
	}
	dataDir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("find the data directory: %w", err)
	}
	e := &Engine{cfg: cfg, dir: folderOf(dataDir), log: log,
		done: make(chan struct{}), changed: make(chan struct{}), err: errStarting}
	e.register(reg)
	e.closing, e.close = context.WithCancel(context.Background())
	e.hurry, e.hurryUp = context.WithCancel(context.Background())
	if err := e.prepare(ctx, filepath.Join(dataDir, identityName)); err != nil {
		return nil, err
	}

	first := make(chan error, 1)
	go e.supervise(ctx, first)
	if err := <-first; err != nil {
		<-e.done
		return nil, err
	}
	return e, nil
}

func (e *Engine) register(reg prometheus.Registerer) {
	e.restarts = prometheus.NewCounter(prometheus.CounterOpts{Name: "telltale_engine_restarts_total",
		Help: "Times the embedded ClickHouse was started again."})
	e.failures = prometheus.NewCounter(prometheus.CounterOpts{Name: "telltale_engine_errors_total",
		Help: "Errors the embedded ClickHouse reported, other than those of queries."})
	up := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "telltale_engine_up",
		Help: "1 while the embedded ClickHouse answers queries."}, func() float64 {
		if e.Err() == nil {
			return 1
		}
		return 0
	})
	reg.MustRegister(e.restarts, e.failures, up)
	e.relay = newRelay(e.log, e.failures)
}

// prepare settles passwords and ports and writes the configuration. The ports are looked at
// when a previous engine, which may listen on them, has left.
func (e *Engine) prepare(ctx context.Context, identityFile string) (err error) {
	if err := awaitEngineLock(ctx, e.dir.store(), lockPatience); err != nil {
		return err
	}
	if e.id, err = loadIdentity(identityFile); err != nil {
		return err
	}
	if err := e.id.choosePorts(e.cfg.TCPPort, e.cfg.HTTPPort); err != nil {
		return err
	}
	if err := e.dir.writeConfig(e.cfg, e.id); err != nil {
		return err
	}
	return e.id.save(identityFile)
}

// Addresses is how to reach the engine. It stays the same as long as the Engine lives.
type Addresses struct {
	DSN             string // native protocol, as the writer: clickhouse://telltale:...@127.0.0.1:9000/telltale
	AnalystDSN      string // native protocol, as the analyst
	TCP             string // host:port of the native protocol
	HTTP            string // http://127.0.0.1:8123
	AnalystPassword string // of AnalystUser
}

// Addresses returns how to reach the engine.
func (e *Engine) Addresses() Addresses { return e.id.addresses() }

func (id identity) addresses() Addresses {
	tcp := net.JoinHostPort(loopback, strconv.Itoa(id.TCPPort))
	dsn := func(user, password string) string {
		address := url.URL{Scheme: "clickhouse", User: url.UserPassword(user, password), Host: tcp, Path: "/" + Database}
		return address.String()
	}
	return Addresses{
		DSN: dsn(WriterUser, id.Password), AnalystDSN: dsn(AnalystUser, id.AnalystPassword), TCP: tcp,
		HTTP: "http://" + net.JoinHostPort(loopback, strconv.Itoa(id.HTTPPort)), AnalystPassword: id.AnalystPassword,
	}
}

// BackupFolder is where the engine of a data directory may write backups to, and read them from: an absolute path.
func BackupFolder(dataDir string) (string, error) {
	absolute, err := filepath.Abs(dataDir)
	if err != nil {
		return "", fmt.Errorf("find the data directory: %w", err)
	}
	return folderOf(absolute).backup(), nil
}

// StorePath is the folder that holds the engine's data; the paths in system.tables are below it.
func (e *Engine) StorePath() string { return e.dir.store() }

// PID is the engine's process, or 0 while none runs.
func (e *Engine) PID() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == nil {
		return 0
	}
	return e.current.pid()
}

// Err is nil while the engine answers queries, and says otherwise why it does not.
func (e *Engine) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// Restart kills the engine at once and returns when its successor answers queries. Whatever
// it was doing is cut off: all or nothing of an insert is stored.
func (e *Engine) Restart(ctx context.Context) error {
	e.mu.Lock()
	runs, current := e.runs, e.current
	e.wanted = true
	e.notifyLocked()
	e.mu.Unlock()
	if current != nil {
		current.kill()
	}
	for {
		e.mu.Lock()
		changed, err, again := e.changed, e.err, e.runs > runs
		e.mu.Unlock()
		if again || errors.Is(err, ErrClosed) {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("restart the engine: %w", context.Cause(ctx))
		}
	}
}

// Close ends the engine and returns when it is gone. It lets the engine finish what it is
// doing for up to 10 s, or until ctx ends, and then kills it. It may be called again.
func (e *Engine) Close(ctx context.Context) {
	e.close()
	select {
	case <-e.done:
	case <-ctx.Done():
		e.hurryUp()
		<-e.done
	}
	e.hurryUp()
}
