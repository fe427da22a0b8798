package ingest

import (
	"maps"
	"time"

	"telltale/ingest/wire"
)

// Tally counts what an agent has sent since the hub first heard of it, or since it last
// forgot it for having left.
type Tally struct {
	Received   uint64 // samples of all batches, those sent again included
	Stored     uint64 // samples
	Refused    map[wire.Reason]uint64
	Duplicates uint64 // samples of batches sent again that had been taken already
	LiveOnly   uint64 // samples that were shown and are to come again to be stored
	Gaps       uint64 // gaps declared
	GapSamples uint64 // samples declared lost, as far as the agent knows their number

	// Lag is how long the newest sample of the batch stored last took from its time to
	// being stored.
	Lag time.Duration
}

// AgentStatus is one agent as the hub sees it now.
type AgentStatus struct {
	ID        string
	Connected bool
	Since     time.Time // of the connection
	LastBatch time.Time // zero: none on this connection
	Interval  time.Duration
	InFlight  int  // batches taken and not yet stored
	Window    int  // how many may be in flight
	LiveOnly  bool // its batches are shown and not stored for the time being

	// ClockOffset is how far the agent's clock was ahead of the hub's at hello, half the
	// round trip taken off; zero where the agent does not tell its time.
	ClockOffset time.Duration
	ClockTold   bool // the agent tells its time

	// RoundTrip is the shortest time a ping took; zero before the first.
	RoundTrip time.Duration

	Tally
}

func (a *agent) status() AgentStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	st := AgentStatus{ID: a.id, InFlight: a.inFlight, Tally: a.tally}
	st.Refused = maps.Clone(a.tally.Refused)
	if s := a.owner; s != nil && a.welcomed {
		slow := s.pace.current()
		st.Connected, st.Since, st.Interval = true, s.since, s.interval
		st.Window, st.LiveOnly = slow.MaxInFlight, slow.LiveOnly
		st.ClockOffset, st.ClockTold, st.RoundTrip = s.clock.offset(), s.clock.told, s.clock.roundTrip()
		if ms := s.lastBatch.Load(); ms > 0 {
			st.LastBatch = time.UnixMilli(ms)
		}
	}
	return st
}

// countReceived counts a batch of so many samples.
func (a *agent) countReceived(samples int) {
	a.mu.Lock()
	a.tally.Received += uint64(samples)
	a.mu.Unlock()
	a.metrics.received.add(uint64(samples))
}

// countTaken counts what a batch that was taken holds.
func (a *agent) countTaken(samples uint64, refused map[wire.Reason]int) {
	a.metrics.samples.Add(float64(samples))
	if len(refused) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for reason, n := range refused {
		a.countRefusedLocked(reason, uint64(n))
	}
}

func (a *agent) countRefusedLocked(reason wire.Reason, samples uint64) {
	if a.tally.Refused == nil {
		a.tally.Refused = make(map[wire.Reason]uint64)
	}
	a.tally.Refused[reason] += samples
	a.metrics.refused[string(reason)].add(samples)
}

func (a *agent) countDuplicate(samples int) {
	a.mu.Lock()
	a.tally.Duplicates += uint64(samples)
	a.mu.Unlock()
	a.metrics.duplicateSamples.add(uint64(samples))
}

func (a *agent) countGap(g *Gap) {
	a.mu.Lock()
	a.tally.Gaps++
	a.tally.GapSamples += g.Count
	a.mu.Unlock()
	reason := knownReason(g.Reason)
	a.metrics.gaps[reason].add(1)
	a.metrics.gapSamples[reason].add(g.Count)
	a.metrics.gapBatches.Add(float64(g.ToSeq - g.Seq + 1))
}

func (a *agent) countLiveOnly(samples int) {
	a.mu.Lock()
	a.tally.LiveOnly += uint64(samples)
	a.mu.Unlock()
	a.metrics.liveOnlyBatches.Inc()
	a.metrics.liveOnlySamples.add(uint64(samples))
}

func (a *agent) countStoredLocked(b *pendingBatch) {
	a.tally.Stored += b.samples
	a.metrics.stored.add(b.samples)
	if b.ts != 0 {
		a.tally.Lag = time.Since(time.UnixMilli(b.ts))
		a.metrics.lag.Observe(a.tally.Lag.Seconds())
		a.metrics.lags.add(a.tally.Lag.Seconds())
	}
}
