package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"telltale/aggregate"
)

// Limits of a request.
const (
	maxQueries  = 100
	maxWindows  = 11_000
	maxValues   = 1_000_000 // of an answer: groups times windows, over all queries
	maxSeries   = 2_000_000 // that one query reads
	maxAgents   = 100_000
	maxTime     = 4_102_444_800_000 // ms: the year 2100
	maxReads    = 4                 // statements that run at once
	maxWaiting  = 1000              // readings that wait for their turn
	readTimeout = 30 * time.Second  // of a reading, its turn included
	memoryBytes = 512 << 20         // of a statement, within ClickHouse
)

// Codes of a LimitError.
const (
	CodeBadRange       = "bad_range"
	CodeTooManyQueries = "too_many_queries"
	CodeTooManyWindows = "too_many_windows"
	CodeTooManyValues  = "too_many_values"
	CodeTooManySeries  = "too_many_series"
	CodeTooManyAgents  = "too_many_agents"
	CodeTooSlow        = "too_slow"
	CodeTooBig         = "too_big"
	CodeBusy           = "busy"
	CodeAway           = "away"
)

// LimitError is the error of a request that asks for too much.
type LimitError struct {
	Code    string // one of the Code constants
	Message string // names the limit and the remedy
}

func (e *LimitError) Error() string { return e.Code + ": " + e.Message }

func limited(code, format string, args ...any) error {
	return &LimitError{code, fmt.Sprintf(format, args...)}
}

var (
	errTooManyValues = limited(CodeTooManyValues,
		"the answer has more than %d values: ask for a longer step, a shorter range, fewer groups or a top", maxValues)
	errTooManySeries = limited(CodeTooManySeries, "more than %d series match: ask for fewer by where", maxSeries)
	errTooSlow       = limited(CodeTooSlow,
		"the answer took longer than %v: ask for a shorter range, a longer step or fewer series", readTimeout)
	errTooBig = limited(CodeTooBig,
		"the answer takes more memory than the %d MB that a query may have: ask for a shorter range, a longer step or fewer series", memoryBytes>>20)
	errAway = limited(CodeAway, "a shard of the history does not answer, and without it the answer would be half of one: ask again when it is back")
	errBusy = limited(CodeBusy, "%d queries are waiting already: ask again later", maxWaiting)
)

// exceptionsOfServers are ClickHouse's codes of a server that it asked in turn and that is not there: NETWORK_ERROR,
// SOCKET_TIMEOUT, ATTEMPT_TO_READ_AFTER_EOF (it went away meanwhile), ALL_CONNECTION_TRIES_FAILED.
var exceptionsOfServers = []int32{210, 209, 32, 279}

// exceptionsOfTables are those of a table or its database that is missing: UNKNOWN_TABLE, UNKNOWN_DATABASE. A shard that was away
// when the hub started has none yet.
var exceptionsOfTables = []int32{60, 81}

// explain says which limit a reading came upon, where it is one.
func (r *Reader) explain(ctx context.Context, err error) error {
	exception := (*clickhouse.Exception)(nil)
	if r.config.Cluster && ctx.Err() == nil && errors.As(err, &exception) && slices.Contains(exceptionsOfTables, exception.Code) {
		return errAway
	}
	return explain(ctx, err)
}

// exceptionMemory is ClickHouse's code of a statement that would take more memory than it may.
const exceptionMemory = 241

// explain is Reader.explain of any server.
func explain(ctx context.Context, err error) error {
	exception := (*clickhouse.Exception)(nil)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &exception) && exception.Code == exceptionMemory:
		return errTooBig
	case errors.As(err, &exception) && slices.Contains(exceptionsOfServers, exception.Code):
		return errAway
	}
	return err
}

// windows are those that the request asks for; its step is one there is.
func (r Request) windows() (windows, error) {
	if r.From < 0 || r.From > r.To || r.To >= maxTime {
		return windows{}, limited(CodeBadRange,
			"the range from %d to %d is not one: give times in ms since 1970, the earlier one first", r.From, r.To)
	}
	step := int64(r.Step)
	w := windows{step: r.Step, first: r.From / step, last: r.To/step - 1}
	if w.count() > maxWindows {
		return windows{}, limited(CodeTooManyWindows, "the range has %d windows of %v, the limit is %d: ask for a step of %s",
			w.count(), r.Step, maxWindows, r.stepThatFits())
	}
	return w, nil
}

func (r Request) stepThatFits() string {
	for _, step := range aggregate.Steps {
		if (r.To-r.From)/int64(step) < maxWindows {
			return step.String() + " or more"
		}
	}
	return aggregate.Day.String() + " and a shorter range"
}
