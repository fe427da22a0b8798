// Package self is the hub as an agent of its own: what it counts of itself goes the same way as
// everybody's samples, into the live state and, in the order of an epoch, to storage, only
// without a network.
package self

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"sync"
	"time"

	"telltale/ingest"
	"telltale/ingest/wire"
)

// ID is the id of the hub's own agent, and so the value of the label agent of its series.
const ID = "telltale"

// Interval is the time between two samples of the totals.
const Interval = time.Second

// phase is when in a second the tick is: late, as agents' ticks are, so that it tells of most of them.
const phase = 850 * time.Millisecond

// Sink is what of ingest.Sink an agent without a connection needs.
type Sink interface {
	Series(s wire.Series) (uint64, error)
	Admit(ctx context.Context, a wire.Agent) (map[string]uint64, error)
	Take(b *ingest.Batch) error
	TakeGap(g *ingest.Gap) error
	Live(b *ingest.Batch)
}

// Door is what the agents' door tells.
type Door interface {
	Totals() ingest.Totals
	TakeLags() []wire.Bin
	Agents() []ingest.AgentStatus
}

// Storage is how storing goes.
type Storage struct {
	UnstoredBytes int64         // memory held by samples that wait to be stored
	Waiting       time.Duration // how long the oldest of them has waited
	Behind        string        // why nothing more is taken for storing, one of Reasons; "" where all is well
	Others        bool          // it is not taken of other agents only
}

// Reasons are those of Storage.Behind.
var Reasons = []string{"slow", "disk_full", "starting"}

// Parts is what an Agent reads and where its samples go; all of it is required.
type Parts struct {
	Sink       Sink
	Door       Door
	Storage    func() Storage
	Attributes []wire.Label // facts about the hub
	Log        *slog.Logger
}

// Agent sends what the hub counts. While history is behind it holds its batches, as other agents
// do, but in memory: what a crash of the hub takes from it is not declared.
type Agent struct {
	parts   Parts
	queue   queue
	totals  ingest.Totals           // as of the last tick
	tallies map[string]ingest.Tally // as of the last round, of the agents there were
	dropped uint64                  // as of the last tick
	ticks   uint64
	last    int64 // time of the last batch in milliseconds since the Unix epoch

	stop     chan struct{}
	stopOnce sync.Once
	done     chan struct{}
}

// New makes an Agent; Run starts it.
func New(parts Parts) *Agent {
	var epoch [8]byte
	_, _ = rand.Read(epoch[:]) // never fails
	return &Agent{
		parts: parts, queue: queue{epoch: hex.EncodeToString(epoch[:])},
		stop: make(chan struct{}), done: make(chan struct{}),
	}
}

// Run sends a batch each second until ctx ends, or until Close, which has it send a last one.
func (a *Agent) Run(ctx context.Context) {
	defer close(a.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.stop:
			a.tick(ctx, time.Now())
			return
		case <-time.After(untilTick(time.Now())):
			a.tick(ctx, time.Now())
		}
	}
}

// Close ends Run once the last counts are on their way, and waits for that. Call it when the door
// is closed and before storage is. It may be called again.
func (a *Agent) Close() {
	a.stopOnce.Do(func() { close(a.stop) })
	<-a.done
}

func untilTick(now time.Time) time.Duration {
	next := now.Add(-phase).Truncate(Interval).Add(Interval + phase)
	return next.Sub(now)
}

// tick collects, shows, and sends what may be sent.
func (a *Agent) tick(ctx context.Context, now time.Time) {
	storage := a.parts.Storage()
	// A clock that was set back must not make two samples of one time.
	a.last = max(now.UnixMilli(), a.last+1)
	c := collection{sink: a.parts.Sink, batch: &ingest.Batch{Agent: ID, Epoch: a.queue.epoch}, ts: a.last}
	totals := a.parts.Door.Totals()
	c.totals(a.totals, totals)
	c.lags(a.parts.Door.TakeLags())
	c.storage(storage)
	c.counter("telltale.self.dropped", "{sample}", a.dropped, a.queue.dropped)
	a.totals, a.dropped = totals, a.queue.dropped
	if a.ticks%ticksPerRound == 0 {
		a.tallies = c.agents(a.tallies, a.parts.Door.Agents())
	}
	a.ticks++
	if c.err != nil && !a.queue.warned {
		a.queue.warned = true
		a.parts.Log.Warn("some of the hub's own series are left out", "error", c.err)
	}
	a.queue.add(c.batch)
	a.parts.Sink.Live(c.batch)
	if storage.Behind == "" || storage.Others {
		a.deliver(ctx)
	}
}

// admitTimeout bounds how long a tick waits for storage. It has answered a moment ago.
const admitTimeout = time.Second

// deliver sends what is held, in order, until there is no more room.
func (a *Agent) deliver(ctx context.Context) {
	if !a.queue.admitted {
		ctx, cancel := context.WithTimeout(ctx, admitTimeout)
		defer cancel()
		if _, err := a.parts.Sink.Admit(ctx, wire.Agent{ID: ID, Attributes: a.parts.Attributes}); err != nil {
			return // the next tick asks again
		}
		a.queue.admitted = true
	}
	a.queue.deliver(a.parts.Sink)
}
