package agent

import (
	"time"

	"telltale/ingest/agent/spool"
	"telltale/ingest/wire"
)

// The agent's own metrics.
var (
	spoolBytes   = wire.Series{Metric: "telltale.agent.spool.bytes", Unit: "By"}
	spoolBatches = wire.Series{Metric: "telltale.agent.spool.batches", Unit: "{batch}"}
	droppedTotal = wire.Series{Metric: "telltale.agent.dropped", Kind: wire.Counter, Unit: "{sample}"}
	gapsTotal    = wire.Series{Metric: "telltale.agent.gaps", Kind: wire.Counter, Unit: "{gap}"}
	refusedTotal = wire.Series{Metric: "telltale.agent.refused", Kind: wire.Counter, Unit: "{sample}"}
	errorsTotal  = wire.Series{Metric: "telltale.agent.spool.errors", Kind: wire.Counter, Unit: "{error}"}
)

// ownMetrics makes samples of what the spool and the client count. The counters begin at
// the agent's start, so that the first sample has all since.
type ownMetrics struct {
	before  spool.Stats
	refused uint64
}

// collect appends the samples; refused is how many the hub has not taken since the start.
func (o *ownMetrics) collect(now time.Time, s spool.Stats, refused uint64, dst []wire.Sample) []wire.Sample {
	ts := now.UnixMilli()
	dst = append(dst,
		wire.Sample{Series: &spoolBytes, TS: ts, Value: float64(s.Bytes)},
		wire.Sample{Series: &spoolBatches, TS: ts, Value: float64(s.Batches)},
		wire.Sample{Series: &droppedTotal, TS: ts, Value: float64(s.Dropped - o.before.Dropped)},
		wire.Sample{Series: &gapsTotal, TS: ts, Value: float64(s.Gaps - o.before.Gaps)},
		wire.Sample{Series: &refusedTotal, TS: ts, Value: float64(refused - o.refused)},
		wire.Sample{Series: &errorsTotal, TS: ts, Value: float64(s.DiskErrors - o.before.DiskErrors)})
	o.before, o.refused = s, refused
	return dst
}
