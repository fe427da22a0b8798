// Package collect reads this host's metrics: processor, memory, disks, filesystems, network,
// temperatures and processes, under the names of the OpenTelemetry semantic conventions.
//
// gopsutil does the reading, but for processes: see process_linux.go. Each collector reads on a
// goroutine of its own, so one that hangs on a dead disk or fails does not delay the others.
package collect

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"telltale/ingest/wire"
)

// Config says how often and under whose eyes to collect.
type Config struct {
	Interval   time.Duration         // between two calls of Collect; 0 is one second
	Log        *slog.Logger          // nil is slog.Default()
	Registerer prometheus.Registerer // nil keeps the package's own metrics unregistered
}

// A Collector reads the host's metrics, one tick at a time. Collect is for one goroutine.
type Collector struct {
	log      *slog.Logger
	metrics  *metrics
	interval time.Duration
	bound    time.Duration // how long one Collect waits
	runners  []*runner
	tick     uint64
	timer    *time.Timer

	done    chan *runner // room for every runner, so that none blocks on reporting
	quit    chan struct{}
	stop    sync.Once
	running sync.WaitGroup
}

// maxWait is the most that a tick waits for its collectors: a window closes half a second after
// its end, and the rest of that time belongs to the way to the hub.
const maxWait = 200 * time.Millisecond

// New starts the collectors of this host, which idle until Collect is called. Close stops them.
func New(cfg Config) *Collector {
	return newCollector(cfg, hostSources())
}

func newCollector(cfg Config, sources []source) *Collector {
	if cfg.Interval <= 0 {
		cfg.Interval = time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	c := &Collector{
		log:      cfg.Log,
		metrics:  newMetrics(cfg.Registerer),
		interval: cfg.Interval,
		bound:    min(cfg.Interval/5, maxWait),
		timer:    time.NewTimer(time.Hour),
		done:     make(chan *runner, len(sources)),
		quit:     make(chan struct{}),
	}
	c.timer.Stop()
	for _, s := range sources {
		r := newRunner(s, cfg.Interval, c.metrics)
		c.runners = append(c.runners, r)
		c.running.Go(func() { r.run(c.quit, c.done) })
	}
	return c
}

// Collect appends the samples of the tick at now to dst and returns it. It is to be called once
// per interval and waits at most a fifth of it (200 ms at most): what a collector has not read
// by then comes with a later tick, under the time at which it was read. The same series is the
// same *wire.Series in every tick. The first tick yields no counters and no processor times.
func (c *Collector) Collect(now time.Time, dst []wire.Sample) []wire.Sample {
	dst = c.takeLate(dst)
	waiting := c.startDue()
	dst = c.await(waiting, dst)
	for _, r := range c.runners {
		switch {
		case r.ready:
			dst = c.take(r, now, dst)
			c.settle(r)
		case r.busy && r.startedTick == c.tick:
			c.late(r)
		}
	}
	c.tick++
	return dst
}

// takeLate appends what collectors of earlier ticks have read since.
func (c *Collector) takeLate(dst []wire.Sample) []wire.Sample {
	for {
		select {
		case r := <-c.done:
			dst = c.take(r, r.finished, dst)
		default:
			return dst
		}
	}
}

// startDue starts every idle collector whose turn it is and returns how many that are. One that
// still reads is passed over: a second call would only hang beside the first.
func (c *Collector) startDue() int {
	started := 0
	for _, r := range c.runners {
		if c.tick%r.ticks != 0 {
			continue
		}
		if r.busy {
			r.lates.Inc()
			continue
		}
		r.busy, r.startedTick = true, c.tick
		r.start <- struct{}{} // never blocks: it has room for one, and the runner is idle
		started++
	}
	return started
}

// await waits, within the bound, for this tick's collectors and marks them ready; their samples
// are taken afterwards in a fixed order, which keeps batches alike. Stragglers of earlier ticks
// that turn up meanwhile are appended.
func (c *Collector) await(waiting int, dst []wire.Sample) []wire.Sample {
	c.timer.Reset(c.bound)
	defer c.timer.Stop()
	for waiting > 0 {
		select {
		case r := <-c.done:
			if r.startedTick != c.tick {
				dst = c.take(r, r.finished, dst)
				continue
			}
			r.ready = true
			waiting--
		case <-c.timer.C:
			return dst
		case <-c.quit:
			return dst
		}
	}
	return dst
}

// take appends a runner's samples and leaves it idle.
func (c *Collector) take(r *runner, at time.Time, dst []wire.Sample) []wire.Sample {
	ts := at.UnixMilli()
	for _, s := range r.out.samples {
		s.TS = ts
		dst = append(dst, s)
	}
	if r.out.cut > 0 {
		r.cut.Add(float64(r.out.cut))
	}
	if r.err != nil {
		r.failures.Inc()
		c.trouble(r, "collector failed", slog.Any("err", r.err))
	}
	r.busy, r.ready = false, false
	return dst
}

func (c *Collector) late(r *runner) {
	r.lates.Inc()
	c.trouble(r, "collector is late, its samples are missing until it returns", slog.Duration("waited", c.bound))
}

// trouble logs the start of an episode; what follows until it ends is only counted.
func (c *Collector) trouble(r *runner, text string, detail slog.Attr) {
	if r.troubled {
		return
	}
	r.troubled = true
	c.log.LogAttrs(context.Background(), slog.LevelWarn, text, slog.String("collector", r.name), detail)
}

// settle ends an episode: with a reading that is both in time and complete. A late success does
// not end it, or a collector that is always a little late would fill the log.
func (c *Collector) settle(r *runner) {
	if !r.troubled || r.err != nil {
		return
	}
	r.troubled = false
	c.log.LogAttrs(context.Background(), slog.LevelInfo, "collector recovered", slog.String("collector", r.name))
}

// Close stops the collectors and waits for them until ctx ends. One that hangs inside the kernel
// cannot be stopped: then the error says so, and its goroutine ends when the kernel lets it go.
// Close may be called more than once.
func (c *Collector) Close(ctx context.Context) error {
	c.stop.Do(func() {
		close(c.quit)
		c.metrics.unregister()
	})
	idle := make(chan struct{})
	go func() { // ends with the last runner
		c.running.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop collecting: a collector has not returned: %w", context.Cause(ctx))
	}
}
