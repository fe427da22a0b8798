package dashboard

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
)

// gap is a declared gap as the page sees it. Times are milliseconds.
type gap struct {
	Agent    string  `json:"agent"`
	From     int64   `json:"from"`
	To       int64   `json:"to"`
	Count    *uint64 `json:"count"` // of samples; null: the agent does not know
	Reason   string  `json:"reason"`
	Declared int64   `json:"declared"`
}

// gapsBack is how far back gaps are told of where the asker does not say.
const gapsBack = 24 * time.Hour

// gaps lists what agents declared lost within a range of time, the newest first.
func (a *App) gaps(c *fiber.Ctx) error {
	now := a.now()
	from, err := queryTime(c, "from", now.Add(-gapsBack))
	if err != nil {
		return err
	}
	to, err := queryTime(c, "to", now)
	if err != nil {
		return err
	}
	agent := c.Query("agent")
	switch {
	case from.After(to):
		return refuse(http.StatusBadRequest, "bad_range", "from is after to: give from <= to, in milliseconds since 1970")
	case len(agent) > maxVariableBytes || !utf8.ValidString(agent):
		return refuse(http.StatusBadRequest, "bad_variable", "agent takes at most "+strconv.Itoa(maxVariableBytes)+" bytes of UTF-8")
	}
	found, err := a.findGaps(c.UserContext(), agent, from, to, c.Query("to") == "" && !from.Before(now.Add(-gapsBack)))
	if err != nil {
		return historyError(err)
	}
	gaps := make([]gap, len(found))
	for i, g := range found {
		gaps[i] = gap{Agent: g.Agent, From: g.From.UnixMilli(), To: g.To.UnixMilli(), Reason: g.Reason, Declared: g.Declared.UnixMilli()}
		if g.Count > 0 {
			gaps[i].Count = &found[i].Count
		}
	}
	return c.JSON(fiber.Map{"gaps": gaps})
}

// findGaps answers what every page asks, of the last day, from memory. Where that has as many gaps as an
// answer may hold, those of one agent may not all be among them, and history is asked.
func (a *App) findGaps(ctx context.Context, agent string, from, to time.Time, lately bool) ([]Gap, error) {
	if lately {
		all, err := a.gapList.get(ctx, func(ctx context.Context) ([]Gap, error) {
			return a.History.Gaps(ctx, "", to.Add(-gapsBack), to)
		})
		if err != nil || len(all) < manyGaps {
			return slices.DeleteFunc(slices.Clone(all), func(g Gap) bool {
				return agent != "" && g.Agent != agent || g.To.Before(from)
			}), err
		}
	}
	return a.History.Gaps(ctx, agent, from, to)
}

// manyGaps is fewer than an answer of history holds.
const manyGaps = 500

// queryTime reads a time of the address in milliseconds.
func queryTime(c *fiber.Ctx, name string, fallback time.Time) (time.Time, error) {
	text := c.Query(name)
	if text == "" {
		return fallback, nil
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
		return time.Time{}, refuse(http.StatusBadRequest, "bad_range", name+" is no time: give milliseconds since 1970")
	}
	return time.UnixMilli(ms), nil
}
