package dashboard

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"telltale/aggregate"
)

// recalledWindows is how many the live state keeps.
const recalledWindows = 60

// recallAfter is the pause before history is asked again, which doubles from one time to the next.
const recallAfter = 5 * time.Second

// recall fills a topic's windows before its begin from history: at once, and again once history
// has what was on its way. After an outage it goes on until those windows are off the screen.
type recall struct {
	watch   *aggregate.Watch
	queries map[string]aggregate.Query
	memory  *memory
	opened  time.Time
	asked   chan struct{} // closed when the first answer is in, or none will come in time

	mu    sync.Mutex // guards the rest
	busy  bool
	first bool // has been tried
	next  time.Time
	pause time.Duration
	sure  bool // nothing more is to be expected of the windows that were unsure
}

func newRecall(t *topic, now time.Time) *recall {
	return &recall{
		watch: t.watch, queries: t.queries, memory: t.memory, opened: now,
		asked: make(chan struct{}), next: now, pause: recallAfter,
	}
}

// unsure is the windows that are not complete yet: those that ended just before the topic was
// opened, and those of an outage.
func (r *recall) unsure() span {
	s := span{r.opened.Add(-storedAfter).UnixMilli(), r.watch.Step().WindowEnd(r.opened.UnixMilli())}
	if o := r.memory.missing(r.opened); o != (span{}) {
		s = span{min(s.from, o.from), max(s.to, o.to)}
	}
	return s
}

// done says that the windows that were unsure are as complete as they get.
func (r *recall) done() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sure
}

// begin asks history, if that is due.
func (r *recall) begin(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy || r.next.IsZero() || now.Before(r.next) {
		return
	}
	try := r.again
	if !r.first {
		try = r.once
	}
	r.first = true
	if r.busy = r.memory.run(func(ctx context.Context) { try(ctx, now) }); !r.busy {
		r.next = time.Time{}
	}
}

// once asks until there is an answer, for a few seconds: somebody waits for it.
func (r *recall) once(ctx context.Context, now time.Time) {
	defer close(r.asked)
	patience := memoryTimeout
	if r.memory.justBegun(now) {
		patience *= 2
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := r.fill(ctx)
		if err == nil || isFinal(err) {
			r.plan(now, err)
			return
		}
		select {
		case <-ctx.Done():
			r.plan(now, err)
			return
		case <-time.After(memoryTimeout / 20):
		}
	}
}

func (r *recall) again(ctx context.Context, now time.Time) { r.plan(now, r.fill(ctx)) }

// isFinal says that the same question would fail again.
func isFinal(err error) bool {
	var wrong *aggregate.QueryError
	var limit *LimitError
	return errors.As(err, &wrong) || errors.As(err, &limit) && !limit.Passing || errors.Is(err, errTooMuch)
}

func (r *recall) fill(ctx context.Context) error {
	step := r.watch.Step()
	to := step.WindowEnd(r.opened.UnixMilli())
	answer, err := r.memory.ask(ctx, r.queries, span{to - recalledWindows*int64(step), to}, step)
	if err == nil {
		r.watch.Fill(answer.Ends, answer.Results)
	}
	return err
}

// plan decides when to ask next, after an answer or error at the time now.
func (r *recall) plan(now time.Time, err error) {
	unsure := r.unsure()
	forgotten := r.opened.Add(recalledWindows * r.watch.Step().Duration())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy = false
	late := now.UnixMilli() >= unsure.to+storedAfter.Milliseconds()
	r.sure = r.sure || late && err == nil || now.After(forgotten) || err != nil && isFinal(err)
	if now.After(forgotten) || r.sure && r.memory.missing(r.opened) == (span{}) {
		r.next = time.Time{}
		return
	}
	r.next = now.Add(r.pause)
	if end := time.UnixMilli(unsure.to).Add(storedAfter); !r.sure && end.After(now) && end.Before(r.next) {
		r.next = end
		return
	}
	r.pause *= 2
}

// join puts what history has of the windows before a snapshot's in front of them. The snapshot's
// groups come first, for ticks go on with those.
func join(past HistoryAnswer, s aggregate.Snapshot) aggregate.Snapshot {
	older := 0
	for older < len(past.Ends) && past.Ends[older] < s.Since {
		older++
	}
	if older == 0 || past.Ends[older-1] != s.Since-int64(s.Step) {
		return s
	}
	joined := aggregate.Snapshot{Since: past.Ends[0], End: s.End, Step: s.Step, Results: map[string]aggregate.Columns{}}
	newer := int((s.End-s.Since)/int64(s.Step)) + 1
	for name, columns := range s.Results {
		joined.Results[name] = joinColumns(past.Results[name], older, columns, newer)
	}
	return joined
}

func missingValues(n int) []float64 { return slices.Repeat([]float64{math.NaN()}, n) }

func joinColumns(past aggregate.Columns, older int, present aggregate.Columns, newer int) aggregate.Columns {
	joined := aggregate.Columns{}
	taken := make([]bool, len(past.Groups))
	for g, group := range present.Groups {
		row := missingValues(older)
		if i := slices.IndexFunc(past.Groups, func(other aggregate.Group) bool { return other.Compare(group) == 0 }); i >= 0 {
			taken[i] = true
			row = append(row[:0], past.Values[i][:older]...)
		}
		joined.Groups = append(joined.Groups, group)
		joined.Values = append(joined.Values, append(row, present.Values[g]...))
	}
	for i, group := range past.Groups {
		if !taken[i] {
			joined.Groups = append(joined.Groups, group)
			joined.Values = append(joined.Values, append(past.Values[i][:older:older], missingValues(newer)...))
		}
	}
	return joined
}
