package history

import (
	"context"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Gap is samples that an agent declared lost.
type Gap struct {
	Agent    string
	From, To time.Time
	Count    uint64 // samples; 0: the agent does not know how many
	Reason   string
	Declared time.Time
}

// MaxGaps is how many gaps one answer holds at most.
const MaxGaps = 1000

// Gaps returns the gaps that touch the range of time, both ends included, of one agent or, where
// agent is empty, of all: the newest first, at most MaxGaps.
func (r *Reader) Gaps(ctx context.Context, agent string, from, to time.Time) ([]Gap, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, readTimeout, errTooSlow)
	defer cancel()
	if err := r.turn(ctx); err != nil {
		return nil, err
	}
	defer func() { <-r.turns }()
	var s statement
	s.text = "SELECT agent, start, end, count, reason, declared FROM gaps WHERE end >= fromUnixTimestamp64Milli(" +
		s.bind("from", "Int64", from.UnixMilli()) + ") AND start <= fromUnixTimestamp64Milli(" + s.bind("to", "Int64", to.UnixMilli()) + ")"
	if agent != "" {
		s.text += " AND agent = " + s.bind("agent", "String", agent)
	}
	s.text += " ORDER BY end DESC, agent LIMIT " + s.bind("limit", "UInt64", MaxGaps)
	var gaps []Gap
	err := r.rows(ctx, s, nil, func(rows driver.Rows) error {
		var g Gap
		if err := rows.Scan(&g.Agent, &g.From, &g.To, &g.Count, &g.Reason, &g.Declared); err != nil {
			return err
		}
		gaps = append(gaps, g)
		return nil
	})
	return gaps, r.explain(ctx, err)
}
