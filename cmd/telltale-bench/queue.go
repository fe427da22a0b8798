package main

import "time"

// queue is an epoch with what of it is not acknowledged.
type queue struct {
	epoch   string
	first   uint64      // seq of held[0]
	held    []heldBatch // not acknowledged
	sent    uint64      // last seq sent, since the connection or the last end of live-only began
	reached uint64      // last seq ever sent
}

type heldBatch struct {
	tick   time.Time
	values []int32 // hundredths
}

func newQueue() *queue { return &queue{epoch: randomID(), first: 1} }

// made is the seq of the last batch made.
func (q *queue) made() uint64 { return q.first + uint64(len(q.held)) - 1 }

// acknowledged is the last seq that was.
func (q *queue) acknowledged() uint64 { return q.first - 1 }

func (q *queue) inFlight() int { return int(q.sent - min(q.sent, q.acknowledged())) }

// rewind has all sent again that is not acknowledged.
func (q *queue) rewind() { q.sent = q.acknowledged() }

const (
	// burst is how many batches of an outage are sent at once, as if they were fresh.
	burst = 5

	// backlogSpeed is how much faster than they came the batches of an outage are sent.
	backlogSpeed = 10

	// maxQueues leaves room below the hub's bound on epochs.
	maxQueues = 24
)

// allowance is how many batches of the backlog may be sent now.
type allowance struct {
	batches float64
	at      time.Time
}

// refill adds what has come to an agent with such an interval since it was last called.
func (a *allowance) refill(now time.Time, interval time.Duration) {
	a.batches = min(backlogSpeed, a.batches+backlogSpeed*now.Sub(a.at).Seconds()/interval.Seconds())
	a.at = now
}
