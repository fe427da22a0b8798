package dashboard

import (
	"context"
	"net/http"
	"slices"
	"strconv"
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

// gaps lists what agents declared lost within a range of time, the newest first.
func (a *App) gaps(c *fiber.Ctx) error {
	asked, err := askedRange(c, a.now())
	if err != nil {
		return err
	}
	agent := c.Query("agent")
	if len(agent) > maxVariableBytes || !utf8.ValidString(agent) {
		return refuse(http.StatusBadRequest, "bad_variable", "agent takes at most "+strconv.Itoa(maxVariableBytes)+" bytes of UTF-8")
	}
	found, err := a.findGaps(c.UserContext(), agent, asked)
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
func (a *App) findGaps(ctx context.Context, agent string, asked timeRange) ([]Gap, error) {
	if asked.late {
		all, err := a.gapList.get(ctx, func(ctx context.Context) ([]Gap, error) {
			return a.History.Gaps(ctx, "", asked.to.Add(-listedBack), asked.to)
		})
		if err != nil || len(all) < manyGaps {
			return slices.DeleteFunc(slices.Clone(all), func(g Gap) bool {
				return agent != "" && g.Agent != agent || g.To.Before(asked.from)
			}), err
		}
	}
	return a.History.Gaps(ctx, agent, asked.from, asked.to)
}

// manyGaps is fewer than an answer of history holds.
const manyGaps = 500
