package history

import (
	"context"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Agent is one who has ever sent telemetry.
type Agent struct {
	ID         string
	Labels     map[string]string
	Attributes map[string]string // facts about its host
	FirstSeen  time.Time
	LastSeen   time.Time // when a batch of it was stored, or it last said something new of itself

	// ClockOffset is how far its clock was ahead of the hub's when that was last measured; nil: never.
	ClockOffset *time.Duration
}

// Agents returns all agents, sorted by id.
func (r *Reader) Agents(ctx context.Context) ([]Agent, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, readTimeout, errTooSlow)
	defer cancel()
	if err := r.turn(ctx); err != nil {
		return nil, err
	}
	defer func() { <-r.turns }()
	var s statement
	s.text = "SELECT agent, labels, attributes, first_seen, last_seen, clock_offset_ms FROM agents ORDER BY agent LIMIT " +
		s.bind("limit", "UInt64", maxAgents+1)
	var agents []Agent
	err := r.rows(ctx, s, nil, func(rows driver.Rows) error {
		var a Agent
		var ahead *int32
		if err := rows.Scan(&a.ID, &a.Labels, &a.Attributes, &a.FirstSeen, &a.LastSeen, &ahead); err != nil {
			return err
		}
		if ahead != nil {
			offset := time.Duration(*ahead) * time.Millisecond
			a.ClockOffset = &offset
		}
		agents = append(agents, a)
		return nil
	})
	if err == nil && len(agents) > maxAgents {
		err = limited(CodeTooManyAgents, "there are more than %d agents: ask for them by SQL", maxAgents)
	}
	return agents, r.explain(ctx, err)
}
