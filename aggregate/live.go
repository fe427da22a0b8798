package aggregate

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// LiveConfig sets up a Live.
type LiveConfig struct {
	Delay   time.Duration // from a window's end until it closes; default 500 ms
	Idle    time.Duration // after which a series of a detached agent is forgotten; default 1 h
	Strays  int           // bound on samples that wait for Advance because they are late, early or of a new series; default 1,000,000 (48 MB)
	Queries int           // bound on distinct queries watched; default 10,000
}

// DefaultLiveConfig returns the defaults.
func DefaultLiveConfig() LiveConfig {
	return LiveConfig{Delay: 500 * time.Millisecond, Idle: time.Hour, Strays: 1_000_000, Queries: 10_000}
}

// Live evaluates queries as samples come in. Samples go into the columns of the queries that read their series
// (see track); once a window has closed, the queries' results are computed from its column, at a cost of
// the series they read. A sample that has no open column, because it is late or early or its series is new, waits
// for the next Advance: this way each column has one writer at a time and no sample takes a lock of its own.
//
// Live takes every sample it is given: samples sent twice must have been sorted out before.
type Live struct {
	config   LiveConfig
	registry *Registry

	work sync.Mutex // Advance, Watch and all that reads results: one at a time; taken first
	mu   sync.RWMutex
	// mu guards the structure of tracks and their open columns. Senders hold it for reading, whoever shapes tracks
	// for writing. Closed columns and panels are guarded by work alone, so that samples flow while queries are
	// computed.

	tracks   map[string]*track   // by selection
	byMetric map[string][]*track // the same
	panels   map[string]*panel   // by key
	formulas []*panel            // of panels, those that depend on others
	turn     uint64
	last     int64 // the time (ms) of the last Advance
	swept    int64 // the time (ms) of the last sweep
	scratch  scratch

	clock atomic.Uint32 // seconds, as of the last Advance

	straysMu sync.Mutex // taken last
	strays   []stray

	counters liveCounters
}

type liveCounters struct{ samples, unknown, late, tooLate, overflow, unsuited atomic.Uint64 }

// LiveStats is what a Live has done so far and holds at present.
type LiveStats struct {
	Samples  uint64 // rows taken
	Unknown  uint64 // rows of series that the registry does not have
	Late     uint64 // samples that amended a closed window; counted per selection that reads them
	TooLate  uint64 // samples whose window is no longer kept, which only history shows; counted likewise
	Overflow uint64 // samples left out because too many waited, or from too far in the future
	Unsuited uint64 // series left out because the query does not suit their kind
	Queries  int    // distinct queries watched
	Places   int    // of series in selections
}

// NewLive makes a Live over the series of a registry, which serves this one only. Zero values in config take their defaults.
func NewLive(config LiveConfig, registry *Registry) *Live {
	defaults := DefaultLiveConfig()
	if config.Delay <= 0 {
		config.Delay = defaults.Delay
	}
	if config.Idle <= 0 {
		config.Idle = defaults.Idle
	}
	if config.Strays <= 0 {
		config.Strays = defaults.Strays
	}
	if config.Queries <= 0 {
		config.Queries = defaults.Queries
	}
	return &Live{
		config:   config,
		registry: registry,
		tracks:   map[string]*track{},
		byMetric: map[string][]*track{},
		panels:   map[string]*panel{},
	}
}

// Run advances each second, just when windows close, until the context ends. After each step it calls
// advanced, from which watches can be read.
func (l *Live) Run(ctx context.Context, advanced func(now time.Time)) {
	for {
		now := time.Now()
		next := now.Add(-l.config.Delay).Truncate(time.Second).Add(time.Second + l.config.Delay)
		select {
		case <-ctx.Done():
			return
		case <-time.After(next.Sub(now)):
		}
		now = time.Now()
		l.Advance(now)
		advanced(now)
	}
}

// Stats returns the present figures.
func (l *Live) Stats() LiveStats {
	l.work.Lock()
	defer l.work.Unlock()
	c := &l.counters
	stats := LiveStats{
		Samples: c.samples.Load(), Unknown: c.unknown.Load(), Late: c.late.Load(), TooLate: c.tooLate.Load(),
		Overflow: c.overflow.Load(), Unsuited: c.unsuited.Load(), Queries: len(l.panels),
	}
	for _, t := range l.tracks {
		stats.Places += len(t.entries)
	}
	return stats
}
