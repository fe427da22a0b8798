package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"telltale/aggregate"
	"telltale/aggregate/history"
	"telltale/ingest"
	"telltale/ingest/self"
)

const (
	doctorSubject = "telltale.doctor" // a request on it is answered with facts
	// examineTimeout bounds what a hub asks of ClickHouse for a doctor; answerTimeout is how long the doctor waits.
	examineTimeout = 6 * time.Second
	answerTimeout  = 20 * time.Second
	maxDoctors     = 8 // requests that wait; more are dropped, which NATS logs
)

// answerDoctors gathers facts for whoever asks over NATS, one after the other, until ctx ends.
func (h *hub) answerDoctors(ctx context.Context) {
	asked, err := h.nats.SubscribeSync(doctorSubject)
	if err == nil {
		defer func() { _ = asked.Unsubscribe() }()
		err = asked.SetPendingLimits(maxDoctors, -1)
	}
	if err != nil {
		h.log.Warn("no doctor can ask this hub", "error", err)
		return
	}
	var past hourly
	for ctx.Err() == nil {
		past.note(time.Now(), readCounts(h.metrics))
		h.answerDoctorsFor(ctx, asked, &past)
	}
}

// answerDoctorsFor answers for a minute.
func (h *hub) answerDoctorsFor(ctx context.Context, asked *nats.Subscription, past *hourly) {
	minute, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for minute.Err() == nil {
		request, err := asked.NextMsgWithContext(minute)
		switch {
		case err == nil:
			h.answerDoctor(ctx, request, past)
		case errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription):
			<-minute.Done() // the hub is stopping, or nobody can ask any more
		}
	}
}

func (h *hub) answerDoctor(ctx context.Context, request *nats.Msg, past *hourly) {
	f := h.gather(ctx, past)
	f.Sent = time.Now()
	answer, err := json.Marshal(f)
	if err == nil {
		err = request.Respond(answer)
	}
	if err != nil {
		h.log.Warn("answering a doctor", "error", err)
	}
}

// gather is what the hub sees. It takes no longer than examineTimeout.
func (h *hub) gather(ctx context.Context, past *hourly) *facts {
	ctx, cancel := context.WithTimeoutCause(ctx, examineTimeout, fmt.Errorf("no answer within %v", examineTimeout))
	defer cancel()
	c := h.config
	f := &facts{
		Machine:      gatherMachine(c.Data, c.Engine, h.engine == nil),
		MinFreeBytes: uint64(c.MinFree),
		Kept:         keptBy(c.RetentionRaw, c.Retention10s, c.Retention1m, c.Retention1h),
	}
	f.Hub = h.gatherOwn(past)
	f.examine(ctx, h.options, c.ClickhouseCluster)
	if f.History == nil {
		f.Hub.LagError = "ClickHouse does not answer"
	} else {
		f.Hub.gatherLag(ctx, h.reader)
	}
	f.Hub.gatherAgents(f.History, h.door.Agents())
	return f
}

func keptBy(raw, tier10s, tier1m, tier1h time.Duration) map[string]time.Duration {
	return map[string]time.Duration{"raw": raw, "tier_10s": tier10s, "tier_1m": tier1m, "tier_1h": tier1h}
}

// gatherOwn is what the hub knows without asking anybody.
func (h *hub) gatherOwn(past *hourly) *hubFacts {
	now, read := time.Now(), readCounts(h.metrics)
	host, err := os.Hostname()
	if err != nil {
		host = "hub"
	}
	limits := h.registry.Limits()
	own := &hubFacts{
		Name: fmt.Sprintf("%s (%s)", host, h.listener.Addr()), Version: version, PID: os.Getpid(), Started: h.started, Now: now,
		Storage: storageFacts{
			Behind: h.writer.Behind(), UnstoredBytes: h.writer.UnstoredBytes(), MaxBytes: h.config.MaxUnstored,
			Waiting: h.writer.Waiting(), Failure: h.writer.Failure(), Away: h.writer.Away(),
		},
		Tiers: h.writer.Tiers(),
		Series: seriesFacts{
			Series: h.registry.Stats().Series, Limit: limits.Series, AgentLimit: limits.SeriesPerAgent, Largest: h.registry.Largest(maxExamples),
		},
		Load: loadFacts{
			Viewers: int(read["telltale_stream_viewers"]), MaxViewers: h.config.MaxViewers, Connected: int(read["telltale_ingest_agents"]),
			OpenFiles: int(read["process_open_fds"]), MaxFiles: int(read["process_max_fds"]),
		},
		Embedded: h.engine != nil,
	}
	own.LastHour, own.Since = past.since(now, h.started, read)
	if err := h.writer.Ready(); err != nil {
		own.Storage.NotReady = err.Error()
	}
	if h.engine != nil && h.engine.Err() != nil {
		own.EngineErr = h.engine.Err().Error()
	}
	return own
}

// lagMinutes is how far back lags are looked at.
const lagMinutes = 5

// gatherLag reads how long samples took to be stored.
func (own *hubFacts) gatherLag(ctx context.Context, reader *history.Reader) {
	to := own.Now.Truncate(time.Minute).Add(time.Minute)
	answer, err := reader.Query(ctx, history.Request{
		Queries: map[string]aggregate.Query{"lag": {Metric: "telltale.ingest.lag", Agg: aggregate.AggP99}},
		From:    to.Add(-lagMinutes * time.Minute).UnixMilli(), To: to.UnixMilli(), Step: aggregate.Minute,
	})
	if err != nil {
		own.LagError = err.Error()
		return
	}
	for _, values := range answer.Results["lag"].Values {
		for _, seconds := range values {
			if !math.IsNaN(seconds) {
				own.LagP99 = append(own.LagP99, seconds)
			}
		}
	}
}

const (
	silentIntervals  = 3
	silentAtLeast    = 10 * time.Second // of an agent that is connected
	silentAwayAtOnce = 5 * time.Minute  // of one that is not
	silentGone       = 7 * 24 * time.Hour
	clockOff         = time.Second
)

// gatherAgents picks out the agents that somebody should look at. known is nil where ClickHouse does not answer: then it is
// those at the door only.
func (own *hubFacts) gatherAgents(known *history.Health, door []ingest.AgentStatus) {
	a := &own.Agents
	atDoor := map[string]bool{}
	for i := range door {
		if s := &door[i]; s.Connected {
			atDoor[s.ID] = true
			a.Known++
			a.connected(s, own.Now)
		}
	}
	if known != nil {
		for i := range known.Agents {
			if k := &known.Agents[i]; k.ID != self.ID && !atDoor[k.ID] {
				a.Known++
				a.away(k, own.Now)
			}
		}
	}
	slices.SortFunc(a.Silent, func(x, y silentAgent) int { return cmp.Or(cmp.Compare(x.For, y.For), cmp.Compare(x.Agent, y.Agent)) })
	slices.SortFunc(a.Clocks, func(x, y agentClock) int {
		return cmp.Or(cmp.Compare(y.Ahead.Abs(), x.Ahead.Abs()), cmp.Compare(x.Agent, y.Agent))
	})
	slices.SortFunc(a.Refusing, func(x, y refusedAgent) int {
		return cmp.Or(cmp.Compare(y.Samples, x.Samples), cmp.Compare(x.Agent, y.Agent), cmp.Compare(x.Reason, y.Reason))
	})
	a.SilentAll, a.ClocksAll = len(a.Silent), len(a.Clocks)
	a.Silent, a.Clocks, a.Refusing = firstOf(a.Silent), firstOf(a.Clocks), firstOf(a.Refusing)
}

func firstOf[T any](all []T) []T { return all[:min(maxExamples, len(all))] }

// connected looks at an agent that is at the door.
func (a *agentFacts) connected(s *ingest.AgentStatus, now time.Time) {
	last := s.LastBatch
	if last.IsZero() {
		last = s.Since
	}
	if silent := now.Sub(last); silent > max(silentIntervals*s.Interval, silentAtLeast) {
		a.Silent = append(a.Silent, silentAgent{s.ID, silent.Round(time.Second), true})
	}
	if s.ClockTold && s.RoundTrip > 0 && s.ClockOffset.Abs() > clockOff {
		a.Clocks = append(a.Clocks, agentClock{s.ID, s.ClockOffset})
	}
	for reason, samples := range s.Refused {
		a.Refusing = append(a.Refusing, refusedAgent{s.ID, string(reason), samples})
	}
}

// away looks at an agent that is not connected.
func (a *agentFacts) away(k *history.AgentHealth, now time.Time) {
	silent := now.Sub(k.LastSeen)
	switch {
	case silent > silentGone:
		a.Gone++
		return
	case silent > max(silentIntervals*k.Interval, silentAwayAtOnce):
		a.Silent = append(a.Silent, silentAgent{k.ID, silent.Round(time.Second), false})
	}
	if k.ClockOffset != nil && k.ClockOffset.Abs() > clockOff {
		a.Clocks = append(a.Clocks, agentClock{k.ID, *k.ClockOffset})
	}
}
