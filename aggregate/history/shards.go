package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"telltale/aggregate"
)

// Storing is what Writers need.
type Storing struct {
	Cluster     string // the servers' name for the cluster that keeps the history; "": one server keeps it
	Server      Server // nil for an outside ClickHouse
	Definitions AllDefinitions
	// OnStored is called from Run with the epochs that came further; it must not block.
	OnStored func([]aggregate.Progress)
	Config   Config // each shard has an equal part of MaxUnstoredBytes
}

// Shards stores the history, all of an agent by one Writer: the only one, or on a cluster that of the agent's shard. A
// shard that is away keeps its own agents waiting and no others.
//
// An agent that no shard has goes to the one that the hash of its id names. Where it is once it stays, also when shards are
// added: one that is not at home is looked for on all of them. The shard that knows it takes it, whether the others answer or
// not; one that no shard knows is not admitted until all have answered.
type Shards struct {
	options *clickhouse.Options
	storing Storing
	metrics prometheus.Registerer
	log     *slog.Logger
	spread  atomic.Pointer[spread] // empty until a cluster has said which shards it has
}

// spread is the writers, in the order of the shards' numbers.
type spread struct {
	writers []*Writer
	shards  []Shard // of the writers; nil with one writer, as places
	places  *places
}

// NewShards returns what stores to the database of o, or to the cluster that o leads to. Nothing is stored before Run.
func NewShards(o *clickhouse.Options, storing Storing, reg prometheus.Registerer, log *slog.Logger) (*Shards, error) {
	s := &Shards{options: o, storing: storing, metrics: reg, log: log}
	s.spread.Store(&spread{})
	if storing.Cluster != "" {
		return s, nil
	}
	w, err := NewWriter(o, storing.Server, storing.Definitions, storing.OnStored, storing.Config, reg, log)
	if err != nil {
		return nil, err
	}
	s.spread.Store(&spread{writers: []*Writer{w}})
	return s, nil
}

// Run brings the schema up to date, waiting for a ClickHouse that is away, and stores until ctx ends or Close has emptied
// the queues.
func (s *Shards) Run(ctx context.Context) error {
	if s.storing.Cluster == "" {
		return s.runWriter(ctx, s.spread.Load().writers[0], s.log, func() error { return Migrate(ctx, s.options, s.log) })
	}
	var c Cluster
	err := s.untilDone(ctx, s.log, func() (err error) {
		c, err = ReadCluster(ctx, s.options, s.storing.Cluster)
		return err
	})
	if err != nil {
		return err
	}
	sp, err := s.open(c)
	if err != nil {
		return err
	}
	s.spread.Store(sp)
	group, ctx := errgroup.WithContext(ctx)
	for i, shard := range c.Shards {
		for r, address := range shard.Replicas {
			log := s.log.With("shard", shard.Number, "server", address)
			migrate := func() error { return c.migrate(ctx, s.options, shard, address, log) }
			if r == 0 {
				group.Go(func() error { return s.runWriter(ctx, sp.writers[i], log, migrate) })
			} else {
				group.Go(func() error { return s.untilDone(ctx, log, migrate) })
			}
		}
	}
	return group.Wait()
}

// open makes the writers of a cluster.
func (s *Shards) open(c Cluster) (*spread, error) {
	sp := &spread{shards: c.Shards, places: newPlaces(s.storing.Definitions, len(c.Shards))}
	for i, shard := range c.Shards {
		number := strconv.Itoa(int(shard.Number))
		cfg := s.storing.Config.withDefaults()
		cfg.MaxUnstoredBytes /= int64(len(c.Shards))
		cfg.QuarantineDir = filepath.Join(cfg.QuarantineDir, "shard-"+number)
		w, err := NewWriter(shardOptions(s.options, shard.Replicas[0]), nil, definitionsOf{sp.places, i}, s.storing.OnStored, cfg,
			prometheus.WrapRegistererWith(prometheus.Labels{"shard": number}, s.metrics), s.log.With("shard", number))
		if err != nil {
			return nil, fmt.Errorf("shard %s: %w", number, err)
		}
		sp.writers = append(sp.writers, w)
	}
	return sp, nil
}

func (s *Shards) runWriter(ctx context.Context, w *Writer, log *slog.Logger, migrate func() error) error {
	if err := s.untilDone(ctx, log, migrate); err != nil {
		return err
	}
	return w.Run(ctx)
}

// untilDone calls f with a growing pause until it succeeds, ctx ends, or a newer program is found to have been at work.
func (s *Shards) untilDone(ctx context.Context, log *slog.Logger, f func() error) error {
	for pause := minRetry; ; pause = min(2*pause, maxRetry) {
		err := f()
		if err == nil || errors.Is(err, ErrNewerSchema) {
			return err
		}
		log.Warn("the history waits for ClickHouse", "error", err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// Close takes no more batches and lets Run end once all that were taken are stored.
func (s *Shards) Close() {
	for _, w := range s.spread.Load().writers {
		w.Close()
	}
}

// Admit is Writer.Admit of the agent's shard.
func (s *Shards) Admit(ctx context.Context, agent string, labels, attributes map[string]string) (map[string]uint64, error) {
	w, err := s.place(ctx, agent)
	if err != nil {
		return nil, err
	}
	return w.Admit(ctx, agent, labels, attributes)
}

// place returns the writer of the agent's shard, which it may have to look for.
func (s *Shards) place(ctx context.Context, agent string) (*Writer, error) {
	if w := s.Of(agent); w != nil {
		return w, nil
	}
	sp := s.spread.Load()
	if len(sp.writers) == 0 {
		return nil, ErrNotReady
	}
	first := home(agent, len(sp.writers))
	var unanswered error
	for i := range sp.writers {
		at := (first + i) % len(sp.writers)
		knows, err := sp.writers[at].knows(ctx, agent)
		if knows {
			sp.places.put(agent, at)
			return sp.writers[at], nil
		}
		unanswered = cmp.Or(unanswered, err)
	}
	if unanswered != nil {
		return nil, unanswered // it may be there
	}
	sp.places.put(agent, first)
	return sp.writers[first], nil
}

// Of returns the writer that an admitted agent's samples go to; nil: it is not admitted, or this hub has not been told the
// shards yet.
func (s *Shards) Of(agent string) *Writer {
	sp := s.spread.Load()
	if sp.places == nil {
		return cmp.Or(sp.writers...)
	}
	if at, admitted := sp.places.find(agent); admitted {
		return sp.writers[at]
	}
	return nil
}

// Take is Writer.Take of the agent's shard.
func (s *Shards) Take(b *aggregate.Batch) error {
	w := s.Of(b.Agent)
	if w == nil {
		return fmt.Errorf("agent %s has not been admitted", b.Agent)
	}
	return w.Take(b)
}

// TakeGap is Writer.TakeGap of the agent's shard.
func (s *Shards) TakeGap(g *aggregate.Gap) error {
	w := s.Of(g.Agent)
	if w == nil {
		return fmt.Errorf("agent %s has not been admitted", g.Agent)
	}
	return w.TakeGap(g)
}

// ClockOffset is Writer.ClockOffset of the agent's shard.
func (s *Shards) ClockOffset(agent string, ahead time.Duration) {
	if w := s.Of(agent); w != nil {
		w.ClockOffset(agent, ahead)
	}
}

// Forget is Writer.Forget of the agent's shard.
func (s *Shards) Forget(agent string) {
	w := s.Of(agent)
	if w == nil {
		return
	}
	w.Forget(agent)
	if sp := s.spread.Load(); sp.places != nil {
		sp.places.forget(agent)
	}
}
