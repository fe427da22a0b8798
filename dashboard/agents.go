package dashboard

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
)

// agent is an agent as the page sees it.
type agent struct {
	ID         string            `json:"agent"`
	Labels     map[string]string `json:"labels"`
	Attributes map[string]string `json:"attributes"`
	Connected  bool              `json:"connected"`
	LastSeen   int64             `json:"last_seen"`             // ms; 0: not yet
	IntervalMS int64             `json:"interval_ms,omitempty"` // 0: not known, for it is not connected

	ClockOffsetMS *int64 `json:"clock_offset_ms,omitempty"` // its clock is that far ahead of the hub's; nil: not known
}

// agents lists every agent known, silent ones too, by id.
func (a *App) agents(c *fiber.Ctx) error {
	known, err := a.agentList.get(c.UserContext(), a.History.Agents)
	if err != nil {
		return historyError(err)
	}
	return c.JSON(fiber.Map{"agents": mergeAgents(known, a.Agents())})
}

func mergeAgents(known []KnownAgent, atDoor []DoorAgent) []agent {
	byID := make(map[string]agent, len(known))
	for _, k := range known {
		byID[k.ID] = agent{
			ID: k.ID, Labels: k.Labels, Attributes: k.Attributes, LastSeen: unixMilli(k.LastSeen), ClockOffsetMS: milliseconds(k.ClockOffset),
		}
	}
	for _, d := range atDoor {
		merged := byID[d.ID]
		merged.ID, merged.Connected = d.ID, d.Connected
		merged.LastSeen = max(merged.LastSeen, unixMilli(d.LastBatch))
		merged.IntervalMS = d.Interval.Milliseconds()
		if d.ClockOffset != nil {
			merged.ClockOffsetMS = milliseconds(d.ClockOffset)
		}
		byID[d.ID] = merged
	}
	return slices.SortedFunc(maps.Values(byID), func(x, y agent) int { return strings.Compare(x.ID, y.ID) })
}

func milliseconds(d *time.Duration) *int64 {
	if d == nil {
		return nil
	}
	ms := d.Milliseconds()
	return &ms
}

func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
