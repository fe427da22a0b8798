package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// ErrOtherServer says that an address leads to another ClickHouse than the others do.
var ErrOtherServer = errors.New("the addresses of --clickhouse must all lead to one server, " +
	"through proxies or other ports; several servers are a cluster (--clickhouse-cluster)")

// lookTimeout bounds how long an address is looked at before connections go to it.
const lookTimeout = 10 * time.Second

// addresses are several ways to one server. Connections go to the one that was good last, and when it fails
// to the next that leads to the same history. Whatever is asked to settle a doubt is therefore asked of the server that
// had the insert: another one, be it a replica, cannot know whether an insert of ours still runs.
type addresses struct {
	database string
	log      *slog.Logger

	mu      sync.Mutex // guards what follows; nothing waits while it is held
	history string     // the one they lead to, as historyAt names it; "" before there is one
	looked  bool       // at the current one
	current int        // place in clickhouse.Options.Addr
}

// OneServer lets the connections that are made by o, or by copies of it, fail over between its addresses. It does
// nothing where there is one address.
func OneServer(o *clickhouse.Options, log *slog.Logger) {
	if len(o.Addr) > 1 {
		o.DialStrategy = (&addresses{database: o.Auth.Database, log: log}).dial
	}
}

func (a *addresses) dial(ctx context.Context, _ int, o *clickhouse.Options, dial clickhouse.Dial) (clickhouse.DialResult, error) {
	current, looked := a.state()
	var failures []error
	for i := range o.Addr {
		at := (current + i) % len(o.Addr)
		if at != current || !looked {
			if err := a.look(ctx, o, o.Addr[at]); err != nil {
				failures = append(failures, fmt.Errorf("%s: %w", o.Addr[at], err))
				continue
			}
		}
		result, err := dial(ctx, o.Addr[at], o)
		if err == nil {
			a.goOver(at, o)
			return result, nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", o.Addr[at], err))
	}
	return clickhouse.DialResult{}, errors.Join(failures...)
}

func (a *addresses) state() (current int, looked bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current, a.looked
}

func (a *addresses) goOver(at int, o *clickhouse.Options) {
	a.mu.Lock()
	before := a.current
	a.current, a.looked = at, a.history != ""
	a.mu.Unlock()
	if before != at {
		a.log.Warn("ClickHouse is reached by another address", "from", o.Addr[before], "to", o.Addr[at])
	}
}

// look makes sure that an address leads to the history that the others lead to.
func (a *addresses) look(ctx context.Context, o *clickhouse.Options, address string) error {
	found, err := historyAt(ctx, o, address, a.database)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.history == "" {
		a.history = found
	}
	if found != a.history {
		return ErrOtherServer
	}
	return nil
}

// historyAt names the history that an address leads to: by its table raw, whose UUID no other server has. It is
// "" where there is none yet.
func historyAt(ctx context.Context, o *clickhouse.Options, address, database string) (string, error) {
	own := *o
	own.Addr, own.DialStrategy = []string{address}, nil
	own.Auth.Database = "" // it may be missing
	conn, err := clickhouse.Open(&own)
	if err != nil {
		return "", fmt.Errorf("open ClickHouse: %w", err)
	}
	defer func() { _ = conn.Close() }()
	// The caller may have used up its time on an address that does not answer; one that has left is heeded.
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel()
		}
	})()
	var uuids []string
	err = conn.QueryRow(look, "SELECT groupArray(toString(uuid)) FROM system.tables WHERE database = ? AND name = ?", database, rawTable).Scan(&uuids)
	if err != nil || len(uuids) == 0 {
		return "", err
	}
	return uuids[0], nil
}

// checkAddresses fails where an address of o leads to another history than the first that answers.
func checkAddresses(ctx context.Context, o *clickhouse.Options, log *slog.Logger) error {
	if len(o.Addr) < 2 {
		return nil
	}
	first, by := "", ""
	for _, address := range o.Addr {
		found, err := historyAt(ctx, o, address, o.Auth.Database)
		switch {
		case err != nil:
			log.Warn("an address of ClickHouse does not answer; it is used once it does", "address", address, "error", err)
		case by == "":
			first, by = found, address
		case found != first:
			return fmt.Errorf("%s is another server than %s: %w", address, by, ErrOtherServer)
		}
	}
	return nil
}
