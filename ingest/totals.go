package ingest

import (
	"maps"
	"slices"
	"sync"

	"telltale/ingest/wire"
)

// Totals is what all agents together have sent since the hub's start. Each sample received is
// stored, in flight, refused, a duplicate or live-only, unless its connection was closed over it.
type Totals struct {
	Received   uint64            // samples of all batches, those sent again included
	Stored     uint64            // samples
	Duplicates uint64            // samples of batches sent again that had been taken already
	LiveOnly   uint64            // samples that were shown and are to come again to be stored
	Refused    map[string]uint64 // samples, by reason
	Gaps       map[string]uint64 // gaps declared, by reason
	GapSamples map[string]uint64 // samples declared lost, by reason, as far as agents know their number

	Connected      int // agents that are connected
	LiveOnlyAgents int // of them, those whose batches are shown and not stored for the time being
	InFlight       int // batches taken and not yet stored
}

// Totals returns the present figures.
func (s *Server) Totals() Totals {
	m := s.metrics
	return Totals{
		Received: m.received.n.Load(), Stored: m.stored.n.Load(),
		Duplicates: m.duplicateSamples.n.Load(), LiveOnly: m.liveOnlySamples.n.Load(),
		Refused: m.refused.load(), Gaps: m.gaps.load(), GapSamples: m.gapSamples.load(),
		Connected: int(m.agents.n.Load()), LiveOnlyAgents: int(m.liveOnlyAgents.n.Load()), InFlight: int(m.inFlight.n.Load()),
	}
}

// TakeLags returns, as a sketch of seconds, how long the last sample of each batch stored
// since the call before took from its time to being stored.
func (s *Server) TakeLags() []wire.Bin { return s.metrics.lags.take() }

// lagSketch gathers values until they are taken. It cannot grow beyond the bins there are of
// the lags that retention allows, some thousand.
type lagSketch struct {
	mu   sync.Mutex
	bins map[int32]uint32
}

func (l *lagSketch) add(seconds float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bins == nil {
		l.bins = make(map[int32]uint32)
	}
	l.bins[wire.BinKey(seconds)]++
}

func (l *lagSketch) take() []wire.Bin {
	l.mu.Lock()
	defer l.mu.Unlock()
	bins := make([]wire.Bin, 0, len(l.bins))
	for _, key := range slices.Sorted(maps.Keys(l.bins)) {
		bins = append(bins, wire.Bin{Key: key, Count: l.bins[key]})
	}
	clear(l.bins)
	return bins
}

// gapReasons are those of the host agent; what other clients say is counted as otherReason.
var gapReasons = []string{
	"spool_full", "corrupt", "unclean_stop", "too_many_epochs", "frame_too_big", "stored_elsewhere", "disk_failed", otherReason,
}

const otherReason = "other"

// knownReason keeps the reasons that are counted apart few, whatever clients say.
func knownReason(reason string) string {
	if slices.Contains(gapReasons, reason) {
		return reason
	}
	return otherReason
}
