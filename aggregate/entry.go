package aggregate

import (
	"sync"
	"sync/atomic"
)

// entry is all the hub keeps of one series besides the columns of the tracks it is in.
type entry struct {
	id     SeriesID
	desc   *Series // guarded by Registry.mu; what it points to is read-only
	sender *sender
	place  int32 // in sender.entries; guarded by Registry.mu

	bound  bool          // Live has matched it against its tracks; guarded by Live.mu
	gone   bool          // it is being forgotten; guarded by Registry.mu
	seen   uint32        // the hub's clock at its last sample, in seconds; guarded by sender.mu
	given  atomic.Uint32 // the sender's turn in which the id was last given out
	tracks []binding     // guarded by Live.mu
	latest sample        // the newest by time; guarded by sender.mu
}

// sender is an agent as the registry sees it: a source of series.
type sender struct {
	agent   string
	entries []*entry     // in the order in which they became known, which mostly is the order within a batch; guarded by Registry.mu
	turn    uint32       // changes when nobody holds the ids given out before; guarded by Registry.mu
	held    atomic.Int32 // of the entries, those given out in this turn

	mu     sync.Mutex // one batch of the agent at a time; taken after Live.mu and Registry.mu
	strays []stray    // scratch of Apply; guarded by mu
}

// give notes that somebody holds the entry's id from now on. The caller holds Registry.mu, for reading at least.
func (e *entry) give() {
	if e.given.Swap(e.sender.turn) != e.sender.turn {
		e.sender.held.Add(1)
	}
}

// isHeld says whether somebody may hold the entry's id. The caller holds Registry.mu.
func (e *entry) isHeld() bool { return e.given.Load() == e.sender.turn }

// sample is one point of a series.
type sample struct {
	ts    int64 // ms since the Unix epoch
	value float64
}

// binding is a series' place in a track.
type binding struct {
	track *track
	pos   int32
}
