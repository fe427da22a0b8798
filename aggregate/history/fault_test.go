package history

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// A moment of storing a block: before a table's insert (all before it is synced), with the
// insert open on the server and no row sent, or with the table's rows stored and no answer heard yet.
type moment struct{ when, table string }

const (
	before  = "before"
	sending = "sending"
	sent    = "sent"
)

// acknowledging is the moment after all of it.
var acknowledging = moment{"acknowledging", "all"}

func moments() []moment {
	all := []moment{acknowledging}
	for _, table := range []string{"known_series", "known_agents", "declared_gaps", "progress", rawTable} {
		all = append(all, moment{before, table}, moment{sending, table}, moment{sent, table})
	}
	return all
}

// fault stops a writer once at a moment, until the test has done its harm.
type fault struct {
	at      moment
	reached chan struct{} // closed once the writer stands there
	harmed  chan error    // then: what the step comes to; nil: it goes on, as far as it can

	mu    sync.Mutex
	armed bool
}

func newFault(at moment) *fault {
	return &fault{at: at, reached: make(chan struct{}), harmed: make(chan error, 1)}
}

func (f *fault) arm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = true
}

func (f *fault) strike(at moment) error {
	f.mu.Lock()
	struck := f.armed && f.at == at
	if struck {
		f.armed = false
	}
	f.mu.Unlock()
	if !struck {
		return nil
	}
	close(f.reached)
	return <-f.harmed
}

// faultyConn is a connection whose inserts a fault may strike.
type faultyConn struct {
	driver.Conn
	fault *fault
}

func (c faultyConn) PrepareBatch(ctx context.Context, query string, opts ...driver.PrepareBatchOption) (driver.Batch, error) {
	table := strings.Fields(query)[2]
	if err := c.fault.strike(moment{before, table}); err != nil {
		return nil, err
	}
	batch, err := c.Conn.PrepareBatch(ctx, query, opts...)
	return faultyBatch{batch, table, c.fault}, err
}

type faultyBatch struct {
	driver.Batch
	table string
	fault *fault
}

func (b faultyBatch) Send() error {
	if err := b.fault.strike(moment{sending, b.table}); err != nil {
		return errors.Join(err, b.Abort())
	}
	return errors.Join(b.Batch.Send(), b.fault.strike(moment{sent, b.table}))
}

// way is how a writer reaches ClickHouse. Cut, it is as if the hub's process had died: the
// server finds its client gone, in the middle of whatever it was doing.
type way struct {
	address, to string
	running     sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil: down
	conns    []net.Conn
}

// through returns the options of a connection to o's server that can be cut.
func through(t *testing.T, o *clickhouse.Options) (*clickhouse.Options, *way) {
	t.Helper()
	w := &way{address: "127.0.0.1:0", to: o.Addr[0]}
	w.up(t)
	t.Cleanup(func() {
		w.down()
		w.running.Wait()
	})
	own := *o
	own.Addr = []string{w.address}
	return &own, w
}

// up opens the way, at the address that it has had before.
func (w *way) up(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.listener, w.address = listener, listener.Addr().String()
	w.mu.Unlock()
	w.running.Go(func() { w.accept(listener) })
}

// down refuses new connections and cuts those there are.
func (w *way) down() {
	w.mu.Lock()
	listener := w.listener
	w.listener = nil
	w.mu.Unlock()
	if listener != nil {
		_ = listener.Close()
	}
	w.cut()
}

func (w *way) accept(listener net.Listener) {
	for {
		in, err := listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", w.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		w.mu.Lock()
		open := w.listener == listener
		w.conns = append(w.conns, in, out)
		w.mu.Unlock()
		w.running.Go(func() { forward(out, in) })
		w.running.Go(func() { forward(in, out) })
		if !open { // down has not seen it
			w.cut()
		}
	}
}

func forward(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}

func (w *way) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range w.conns {
		_ = conn.Close()
	}
	w.conns = nil
}
