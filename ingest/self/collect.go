package self

import (
	"maps"
	"slices"

	"telltale/ingest"
	"telltale/ingest/wire"
)

// sourceLabel names the agent that a series of the hub is about: the label agent names who sends.
const sourceLabel = "source"

// ticksPerRound is how many ticks apart the samples of single agents are: with 10,000 agents
// they are as many as those of 800 agents at one second.
const ticksPerRound = 10

// collection makes the batch of one tick.
type collection struct {
	sink  Sink
	batch *ingest.Batch
	ts    int64
	err   error // the last series that could not be made known
}

// totals has what all agents together sent since the tick before.
func (c *collection) totals(before, now ingest.Totals) {
	c.counter("telltale.ingest.samples.received", "{sample}", before.Received, now.Received)
	c.counter("telltale.ingest.samples.stored", "{sample}", before.Stored, now.Stored)
	c.counter("telltale.ingest.samples.duplicate", "{sample}", before.Duplicates, now.Duplicates)
	c.counter("telltale.ingest.samples.live_only", "{sample}", before.LiveOnly, now.LiveOnly)
	c.counters("telltale.ingest.samples.refused", "{sample}", before.Refused, now.Refused)
	c.counters("telltale.gaps.declared", "{gap}", before.Gaps, now.Gaps)
	c.counters("telltale.gaps.samples", "{sample}", before.GapSamples, now.GapSamples)
	c.gauge("telltale.ingest.in_flight", "{batch}", float64(now.InFlight))
	c.gauge("telltale.agents.connected", "{agent}", float64(now.Connected))
	c.gauge("telltale.agents.live_only", "{agent}", float64(now.LiveOnlyAgents))
}

func (c *collection) counters(metric, unit string, before, now map[string]uint64) {
	for _, reason := range slices.Sorted(maps.Keys(now)) {
		c.counter(metric, unit, before[reason], now[reason], wire.Label{Name: "reason", Value: reason})
	}
}

// lags is a distribution: one row for each bin.
func (c *collection) lags(bins []wire.Bin) {
	if len(bins) == 0 {
		return
	}
	id, ok := c.series(wire.Series{Metric: "telltale.ingest.lag", Kind: wire.Distribution, Unit: "s", Interval: Interval}, nil)
	if !ok {
		return
	}
	for _, bin := range bins {
		c.append(id, wire.BinValue(bin.Key), bin.Count)
	}
}

func (c *collection) storage(s Storage) {
	c.gauge("telltale.history.unstored", "By", float64(s.UnstoredBytes))
	c.gauge("telltale.history.waiting", "s", s.Waiting.Seconds())
	for _, reason := range Reasons {
		behind := 0.0
		if s.Behind == reason {
			behind = 1
		}
		c.gauge("telltale.history.behind", "1", behind, wire.Label{Name: "reason", Value: reason})
	}
}

// agents has what single agents sent since the round before, and returns the tallies to compare
// the next round with. Of what is mostly 0 only the increases are sent.
func (c *collection) agents(before map[string]ingest.Tally, statuses []ingest.AgentStatus) map[string]ingest.Tally {
	tallies := make(map[string]ingest.Tally, len(statuses))
	for i := range statuses {
		s := &statuses[i]
		tallies[s.ID] = s.Tally
		was := before[s.ID]
		if was.Received > s.Received {
			was = ingest.Tally{} // the agent was forgotten meanwhile, and counted anew
		}
		c.agent(s, was)
	}
	return tallies
}

func (c *collection) agent(s *ingest.AgentStatus, was ingest.Tally) {
	source := wire.Label{Name: sourceLabel, Value: s.ID}
	c.counter("telltale.ingest.agent.received", "{sample}", was.Received, s.Received, source)
	c.counter("telltale.ingest.agent.stored", "{sample}", was.Stored, s.Stored, source)
	c.gauge("telltale.ingest.agent.in_flight", "{batch}", float64(s.InFlight), source)
	if s.Lag > 0 {
		c.gauge("telltale.ingest.agent.lag", "s", s.Lag.Seconds(), source)
	}
	if s.ClockTold && s.RoundTrip > 0 {
		c.gauge("telltale.ingest.agent.clock_offset", "s", s.ClockOffset.Seconds(), source)
	}
	c.increase("telltale.ingest.agent.duplicate", "{sample}", was.Duplicates, s.Duplicates, source)
	c.increase("telltale.ingest.agent.live_only", "{sample}", was.LiveOnly, s.Tally.LiveOnly, source)
	c.increase("telltale.ingest.agent.gaps", "{gap}", was.Gaps, s.Gaps, source)
	c.increase("telltale.ingest.agent.gap_samples", "{sample}", was.GapSamples, s.GapSamples, source)
	for _, reason := range slices.Sorted(maps.Keys(s.Refused)) {
		c.increase("telltale.ingest.agent.refused", "{sample}", was.Refused[reason], s.Refused[reason],
			wire.Label{Name: "reason", Value: string(reason)}, source)
	}
}

func (c *collection) increase(metric, unit string, before, now uint64, labels ...wire.Label) {
	if now > before {
		c.counter(metric, unit, before, now, labels...)
	}
}

func (c *collection) counter(metric, unit string, before, now uint64, labels ...wire.Label) {
	c.sample(wire.Series{Metric: metric, Kind: wire.Counter, Unit: unit}, float64(now-before), labels)
}

func (c *collection) gauge(metric, unit string, value float64, labels ...wire.Label) {
	c.sample(wire.Series{Metric: metric, Unit: unit}, value, labels)
}

func (c *collection) sample(s wire.Series, value float64, labels []wire.Label) {
	s.Interval = Interval
	if len(labels) > 0 && labels[len(labels)-1].Name == sourceLabel {
		s.Interval = ticksPerRound * Interval
	}
	if id, ok := c.series(s, labels); ok {
		c.append(id, value, 1)
	}
}

// series makes a series known, each time anew: one that was idle for long is forgotten, and its
// id must not be remembered here. Labels come sorted by name, and "agent" is before all of them.
func (c *collection) series(s wire.Series, labels []wire.Label) (id uint64, ok bool) {
	s.Labels = append([]wire.Label{{Name: wire.AgentLabel, Value: ID}}, labels...)
	id, err := c.sink.Series(s)
	if err != nil {
		c.err = err
	}
	return id, err == nil
}

func (c *collection) append(series uint64, value float64, n uint32) {
	c.batch.Series = append(c.batch.Series, series)
	c.batch.TS = append(c.batch.TS, c.ts)
	c.batch.Value = append(c.batch.Value, value)
	c.batch.N = append(c.batch.N, n)
}
