package dashboard

import (
	"context"
	"errors"
	"net/http"
	"time"

	"telltale/aggregate"
)

// History is the past, as the dashboard asks for it. Its methods are called from many goroutines
// and end with their context. It bounds what one question and all together may cost.
type History interface {
	// Query answers queries over the past. An *aggregate.QueryError or a *LimitError says what
	// the asker must change; any other error is the history's own.
	Query(ctx context.Context, ask HistoryQuery) (HistoryAnswer, error)

	// Agents returns every agent that is remembered, in any order.
	Agents(ctx context.Context) ([]KnownAgent, error)

	// Gaps returns what an agent, or where agent is empty anyone, declared lost in a range of
	// time: the newest first, as many as one answer may hold.
	Gaps(ctx context.Context, agent string, from, to time.Time) ([]Gap, error)
}

// Gap is samples that an agent declared lost.
type Gap struct {
	Agent    string
	From, To time.Time
	Count    uint64 // samples; 0: the agent does not know how many
	Reason   string
	Declared time.Time
}

// HistoryQuery asks for the windows with From < end <= To.
type HistoryQuery struct {
	Queries  map[string]aggregate.Query // by name; their own steps do not count
	From, To int64                      // ms
	Step     aggregate.Step
}

// HistoryAnswer is read-only.
type HistoryAnswer struct {
	Step    aggregate.Step               // may be longer than the one asked for
	Ends    []int64                      // of the windows, ms, oldest first
	Results map[string]aggregate.Columns // by query
}

// LimitError says which limit a question to the history exceeds, and what to do.
type LimitError struct {
	Code, Message string
	Passing       bool // it may be answered later
}

func (e *LimitError) Error() string { return e.Code + ": " + e.Message }

// KnownAgent is an agent as history knows it.
type KnownAgent struct {
	ID         string
	Labels     map[string]string // that all its series carry
	Attributes map[string]string // of its host: "os.type" and the like
	LastSeen   time.Time

	// ClockOffset is how far its clock was ahead of the hub's when that was last measured; nil: never.
	ClockOffset *time.Duration
}

// DoorAgent is an agent at the door.
type DoorAgent struct {
	ID        string
	Connected bool
	LastBatch time.Time // zero: none on this connection
	Interval  time.Duration

	ClockOffset *time.Duration // how far its clock is ahead of the hub's; nil: not known (yet)
}

// historyError makes an error of the history one for the asker.
func historyError(err error) error {
	var wrong *aggregate.QueryError
	var limit *LimitError
	switch {
	case errors.As(err, &wrong):
		return refuse(http.StatusBadRequest, "bad_query", wrong.Error())
	case errors.As(err, &limit) && limit.Passing:
		return &apiError{http.StatusServiceUnavailable, limit.Code, limit.Message, err}
	case errors.As(err, &limit):
		return refuse(http.StatusBadRequest, limit.Code, limit.Message)
	case errors.Is(err, context.DeadlineExceeded):
		return &apiError{http.StatusServiceUnavailable, "too_slow", "the history took too long: ask for a shorter range, a longer step or fewer queries", err}
	}
	return &apiError{http.StatusServiceUnavailable, "history_unavailable", "the history does not answer at this moment; live dashboards go on. The hub's log says why", err}
}
