package agent

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"telltale/ingest/agent/spool"
	"telltale/ingest/wire"
)

// Collector reads the host.
type Collector interface {
	// Collect appends the samples of the tick at now. It is called once per interval.
	Collect(now time.Time, dst []wire.Sample) []wire.Sample

	// Close stops it and waits for that until ctx ends.
	Close(ctx context.Context) error
}

// Agent collects and delivers.
type Agent struct {
	config    Config
	collector func(interval time.Duration) Collector
}

// New makes an Agent; collector makes what reads the host, anew when the hub changes the
// interval. The error says what is wrong with the config.
func New(config Config, collector func(interval time.Duration) Collector) (*Agent, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Agent{config: config, collector: collector}, nil
}

// Run collects and delivers until ctx ends; then it waits a little for the newest to be
// acknowledged. What is not stays in the spool for the next start; an error says what could
// not be kept there.
func (a *Agent) Run(ctx context.Context) error {
	held, err := spool.Open(spool.Config{Dir: a.config.SpoolDir, Bytes: a.config.SpoolBytes, Log: a.config.Log})
	if err != nil {
		return fmt.Errorf("opening the spool: %w", err)
	}
	client, err := newClient(a.config, held)
	if err != nil {
		return errors.Join(err, held.Close())
	}
	delivering, stop := context.WithCancel(context.WithoutCancel(ctx))
	delivered := make(chan struct{})
	go func() {
		defer close(delivered)
		client.run(delivering)
	}()
	a.collect(ctx, client)
	stop() // only now: the last tick is to be delivered too
	<-delivered
	err = held.Close()
	stats := held.Stats()
	a.config.Log.Info("stopped", "acknowledged_batches", stats.Acknowledged, "kept_batches", stats.Batches,
		"dropped_samples", stats.Dropped, "gaps", stats.Gaps)
	return err
}

// collect adds a batch to the spool at every tick.
func (a *Agent) collect(ctx context.Context, c *client) {
	interval := a.config.Interval
	collector := a.collector(interval)
	defer func() { a.closeCollector(collector) }()
	var own ownMetrics
	expected := 0
	wait := untilTick(time.Now(), interval, a.config.Agent.ID)
	for {
		select {
		case <-ctx.Done():
			return
		case changed := <-c.intervals:
			if changed != interval {
				interval = changed
				c.interval.Store(int64(interval))
				a.closeCollector(collector)
				collector = a.collector(interval)
			}
			wait = untilTick(time.Now(), interval, a.config.Agent.ID)
			continue
		case <-time.After(wait):
		}
		// The spool keeps the samples, so each tick has memory of its own.
		samples := collector.Collect(time.Now(), make([]wire.Sample, 0, expected))
		samples = own.collect(time.Now(), c.spool.Stats(), c.refused.Load(), samples)
		expected = len(samples)
		c.spool.Add(samples)
		if wait = untilTick(time.Now(), interval, a.config.Agent.ID); wait < interval/4 {
			wait += interval // the clock was set back a little: this tick has been
		}
	}
}

// collectorStop is how long a collector that hangs is waited for.
const collectorStop = 2 * time.Second

func (a *Agent) closeCollector(c Collector) {
	ctx, cancel := context.WithTimeout(context.Background(), collectorStop)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		a.config.Log.Warn("stopping the collectors", "error", err)
	}
}

// spread is the end part of an interval over which agents spread: late enough that a
// window's samples are there when it closes, wide enough that they do not speak at once.
const spread = 400 * time.Millisecond

// untilTick returns how long after now the agent's next tick is. Ticks are a whole interval
// apart, on a grid that all agents share, shifted by a phase of the agent's own.
func untilTick(now time.Time, interval time.Duration, id string) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))
	width := min(spread, interval)
	phase := interval - width + time.Duration(h.Sum64()%uint64(width))
	since := time.Duration(now.UnixNano()-int64(phase)) % interval
	return interval - since
}
