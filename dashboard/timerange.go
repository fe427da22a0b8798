package dashboard

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
)

// listedBack is how far back lists reach where the asker does not say.
const listedBack = 24 * time.Hour

// timeRange is the time that a list is asked of, both ends included.
type timeRange struct {
	from, to time.Time
	late     bool // the present ends it, and it is no longer than listedBack
}

// askedRange reads ?from= and ?to=.
func askedRange(c *fiber.Ctx, now time.Time) (timeRange, error) {
	from, err := queryTime(c, "from", now.Add(-listedBack))
	if err != nil {
		return timeRange{}, err
	}
	to, err := queryTime(c, "to", now)
	if err != nil {
		return timeRange{}, err
	}
	if from.After(to) {
		return timeRange{}, refuse(http.StatusBadRequest, "bad_range", "from is after to: give from <= to, in milliseconds since 1970")
	}
	return timeRange{from, to, c.Query("to") == "" && !from.Before(now.Add(-listedBack))}, nil
}

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
