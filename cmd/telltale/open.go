package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"

	"telltale/aggregate/engine"
	"telltale/dashboard/store"
)

// storeFlags say where users, tokens and sessions are.
type storeFlags struct {
	Data string `help:"Data directory." default:"data" type:"path" placeholder:"DIR"`
	Nats string `help:"Outside NATS server or cluster, nats://host:4222; the embedded one when empty." placeholder:"URL"`
}

// withStore runs f on the store: that of the outside NATS, or of the hub running on the data
// directory, or, where none runs, of a server started for the moment.
func (s *storeFlags) withStore(ctx context.Context, log *slog.Logger, f func(*store.Store) error) error {
	nc, done, err := s.connect(log)
	if err != nil {
		return err
	}
	defer done()
	st, err := store.Open(ctx, nc, store.DefaultConfig(), log)
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	defer st.Close()
	return f(st)
}

func (s *storeFlags) connect(log *slog.Logger) (*nats.Conn, func(), error) {
	if s.Nats != "" {
		nc, err := store.Dial(s.Nats, log)
		if err != nil {
			return nil, nil, err
		}
		return nc, nc.Close, nil
	}
	nc, err := store.DialData(s.Data, log)
	if err == nil {
		return nc, nc.Close, nil
	}
	if !errors.Is(err, store.ErrNoHub) {
		return nil, nil, err
	}
	lock, err := engine.LockDataDir(s.Data)
	if err != nil {
		return nil, nil, err
	}
	server, err := store.StartServer(s.Data, log)
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	nc, err = server.Connect()
	if err != nil {
		server.Close()
		return nil, nil, errors.Join(err, lock.Close())
	}
	return nc, func() {
		nc.Close()
		server.Close()
		_ = lock.Close()
	}, nil
}
