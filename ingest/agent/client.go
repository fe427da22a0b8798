package agent

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"telltale/ingest/agent/spool"
	"telltale/ingest/wire"
)

// client keeps a connection to the hub and delivers the spool over it.
type client struct {
	config    Config
	url       string
	spool     *spool.Spool
	intervals chan time.Duration // capacity 1: the newest wish of the hub
	interval  atomic.Int64       // the one in force, as a time.Duration
	refused   atomic.Uint64      // samples that the hub did not take
	log       *slog.Logger
}

func newClient(config Config, held *spool.Spool) (*client, error) {
	address, err := hubURL(config.Hub)
	if err != nil {
		return nil, err
	}
	c := &client{
		config: config, url: address, spool: held,
		intervals: make(chan time.Duration, 1), log: config.Log.With("hub", address),
	}
	c.interval.Store(int64(config.Interval))
	return c, nil
}

// lastWords is how long a stopping agent waits for the newest to be acknowledged. The
// rest is in the spool.
const lastWords = 3 * time.Second

// run connects again and again until ctx ends, and lets the connection there is then go on
// until the newest is acknowledged, or lastWords have passed.
func (c *client) run(ctx context.Context) {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, cancel) })
	defer stop()
	var retry backoff
	for {
		welcomed, err := c.connect(ctx, hard)
		if ctx.Err() != nil {
			return
		}
		if welcomed {
			retry.reset()
		}
		if errors.Is(err, errNewConnection) {
			continue
		}
		c.disagree(err)
		wait := retry.next(err)
		c.log.Warn("no connection to the hub", "error", err, "retry_in", wait.Round(time.Millisecond),
			"waiting_batches", c.spool.Stats().Batches)
		if !sleep(ctx, wait) {
			return
		}
	}
}

// sleep returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// disagree opens a new epoch where hub and agent see a sequence differently, so that what
// comes next is delivered whatever is wrong with the old ones.
func (c *client) disagree(err error) {
	var closing *wire.CloseError
	if errors.As(err, &closing) && (closing.Code == wire.OutOfOrder || closing.Code == wire.StaleSeq) {
		c.log.Error("the hub does not agree on the sequence: going on in a new epoch", "error", err)
		c.spool.Rotate()
	}
}

// setInterval passes the hub's wish on, replacing one that was not heeded yet.
func (c *client) setInterval(d time.Duration) {
	if d < MinInterval {
		c.log.Warn("the hub asks for an interval that is too short", "interval", d)
		return
	}
	select {
	case <-c.intervals:
	default:
	}
	select {
	case c.intervals <- d:
	default:
	}
}
