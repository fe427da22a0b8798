package ingest

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"telltale/ingest/wire"
)

// maxSkew is how far the clocks may be apart: further, every sample would be too new, or
// stand in the wrong place of every chart.
const maxSkew = time.Minute

// clock compares an agent's clock with the hub's.
type clock struct {
	told    bool          // the agent tells its time
	ahead   time.Duration // the agent's clock at hello, less ours when the hello came
	started time.Time     // of what pings carry
	best    atomic.Int64  // the shortest round trip in nanoseconds; 0 before the first
}

// compare notes the agent's time in milliseconds since the Unix epoch, 0 where it tells none.
func (c *clock) compare(agentTime int64) error {
	if agentTime == 0 {
		return nil
	}
	now := time.Now()
	// In milliseconds first: a wild time would overflow a Duration.
	if ms := agentTime - now.UnixMilli(); ms > maxSkew.Milliseconds() || ms < -maxSkew.Milliseconds() {
		return wire.Closef(wire.ClockSkew, "the agent's clock says %s, the hub's %s: set it, or run NTP",
			time.UnixMilli(agentTime).UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	c.told, c.ahead = true, time.UnixMilli(agentTime).Sub(now)
	return nil
}

// ping returns what a ping carries, to come back in the pong.
func (c *clock) ping() []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(time.Since(c.started)))
}

// pong takes what a pong brought back. One that answers no ping of ours changes nothing.
func (c *clock) pong(payload string) {
	if len(payload) != 8 {
		return
	}
	sent := time.Duration(binary.BigEndian.Uint64([]byte(payload)))
	trip := int64(time.Since(c.started) - sent)
	if best := c.best.Load(); sent > 0 && trip > 0 && (best == 0 || trip < best) {
		c.best.Store(trip)
	}
}

func (c *clock) roundTrip() time.Duration { return time.Duration(c.best.Load()) }

// offset is how far the agent's clock is ahead of the hub's. The hello took half a round
// trip, as far as anybody can tell.
func (c *clock) offset() time.Duration {
	if !c.told {
		return 0
	}
	return (c.ahead + c.roundTrip()/2).Round(time.Millisecond)
}
