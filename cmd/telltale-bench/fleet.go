package main

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"telltale/ingest/wire"
)

// fleet is many agents. Each has one goroutine, which reads; a few senders tick for all.
type fleet struct {
	door     string
	token    string
	interval time.Duration
	wait     time.Duration
	series   []*wire.Series
	agents   []*agent
	heldMost int // batches that one agent holds unacknowledged; at the bound its ticks are skipped

	dialer  websocket.Dialer
	traffic traffic
	counts  fleetCounts
	trouble trouble
	lag     histogram // from a sample's tick to its ack
	late    histogram // from a tick to when it was sent: this tool's own part of lag
	meter   *meter
	acked   rate

	measureFrom atomic.Int64 // microseconds since the Unix epoch: ticks from here on count in lag and late
	first, last mark         // of the time measured

	over    atomic.Bool // nothing new is made any more
	ticking sync.WaitGroup
	stop    context.Context // of the senders, whose lifetime is the fleet's
	quit    context.CancelFunc
}

// fleetCounts are of the whole run, in samples unless said otherwise.
type fleetCounts struct {
	connected, connections     atomic.Int64 // now; ever
	made, settled              atomic.Int64 // batches: ticked; acknowledged or lost
	sent, resent, acknowledged atomic.Int64
	skipped, lost              atomic.Int64
}

// mark is the counts at one time.
type mark struct {
	at                 time.Time
	acknowledged, sent int64
	traffic            int64 // bytes sent
}

// heldSamples bounds what the agents hold together: 200 MB.
const heldSamples = 50_000_000

func newFleet(c *agentsCommand, m *meter) (*fleet, error) {
	door, err := doorOf(c.Hub)
	if err != nil {
		return nil, err
	}
	f := &fleet{
		door: door, token: c.Token, interval: c.Interval, wait: c.Wait, series: describe(c.Series), meter: m,
		heldMost: max(heldSamples/(c.Agents*c.Series), 4),
	}
	f.dialer = f.newDialer()
	f.measureFrom.Store(math.MaxInt64)
	f.agents = make([]*agent, c.Agents)
	for i := range f.agents {
		f.agents[i] = newAgent(f, i, agentID(c.Prefix, i), newWalk(c.Seed, uint64(i), c.Series))
	}
	f.stop, f.quit = context.WithCancel(context.Background())
	return f, nil
}

// senders is how many goroutines tick. More than there are CPUs, so that one that waits for
// a hub to read does not hold up every agent.
const senders = 4

func (f *fleet) startTicking() {
	for s := range min(senders, len(f.agents)) {
		f.ticking.Go(func() { f.tick(s) })
	}
}

// stopTicking may be called again.
func (f *fleet) stopTicking() {
	f.quit()
	f.ticking.Wait()
}

// slack is how much later than due a sender wakes, and then serves all that are due: waking
// for each of ten thousand agents would cost more than what they send.
const slack = time.Millisecond

// tick ticks for every senders-th agent. Agents' phases lie evenly over the interval.
func (f *fleet) tick(from int) {
	samples := &scratch{samples: make([]wire.Sample, len(f.series))}
	for base := time.Now().Truncate(f.interval).Add(f.interval); ; base = base.Add(f.interval) {
		for i := from; i < len(f.agents); i += senders {
			due := base.Add(f.interval * time.Duration(i) / time.Duration(len(f.agents)))
			if wait := time.Until(due); wait > 0 && !sleep(f.stop, wait+slack) || f.stop.Err() != nil {
				return
			}
			f.agents[i].tick(due, samples)
		}
	}
}

func (f *fleet) member(ctx context.Context, i int) error { return f.agents[i].run(ctx) }

func (f *fleet) connected() int { return int(f.counts.connected.Load()) }

func (f *fleet) begin(ctx context.Context) {
	sleep(ctx, 2*f.interval) // from here on, acks come as fast as samples go
	f.meter.begin()
	f.first = f.mark()
	f.measureFrom.Store(f.first.at.UnixMicro())
}

func (f *fleet) end() {
	f.last = f.mark()
	f.meter.end()
	f.over.Store(true)
}

func (f *fleet) mark() mark {
	return mark{
		at: time.Now(), acknowledged: f.counts.acknowledged.Load(),
		sent: f.counts.sent.Load() + f.counts.resent.Load(), traffic: f.traffic.sent.Load(),
	}
}

func (f *fleet) drain(ctx context.Context) {
	await(ctx, f.wait, func() bool { return f.outstanding() == 0 })
}

// outstanding is how many samples wait for an acknowledgement.
func (f *fleet) outstanding() int64 {
	return (f.counts.made.Load() - f.counts.settled.Load()) * int64(len(f.series))
}

func (f *fleet) progress() string {
	return fmt.Sprintf("%d of %d agents connected  %s samples/s acknowledged  %s outstanding  %s refused  %d disconnects",
		f.connected(), len(f.agents), grouped(f.acked.of(&f.counts.acknowledged)), grouped(f.outstanding()),
		grouped(f.trouble.refusals()), f.trouble.disconnected())
}

// measured says whether a tick counts in the latencies.
func (f *fleet) measured(due time.Time) bool { return due.UnixMicro() >= f.measureFrom.Load() }
