package aggregate

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Watch gives the results of some queries, window by window. It must be closed. Its methods may be called from
// any goroutine; they wait while Live computes.
type Watch struct {
	live   *Live
	step   Step
	panels map[string]*panel

	// The rest is guarded by Live.work.
	told     int64  // the newest window given by Ticks
	turn     uint64 // when Ticks was called last
	versions map[string]int
	closed   bool
}

// Result is a query's answer for one window.
type Result struct {
	Groups  []Group   // read-only
	Values  []float64 // of each group; NaN is missing
	Changed bool      // Groups differs from that of the tick before
}

// Tick is one closed window.
type Tick struct {
	End     int64 // ms since the epoch; names the window
	Results map[string]Result
	Amended []Amendment // older windows whose values have changed since, oldest first
}

// Amendment gives a window's present values, for the queries of which a value has changed, in the order of the tick's groups.
type Amendment struct {
	End    int64
	Values map[string][]float64
}

// Snapshot holds the newest windows, at most 60: those since..end inclusive, named by their ends (ms).
// While the watch is so new that no window has closed, Since is the first that will, and later than End.
type Snapshot struct {
	Since, End int64
	Step       Step
	Results    map[string]Columns
}

// Columns is a query's answer for several windows.
type Columns struct {
	Groups []Group     // read-only
	Values [][]float64 // of each group, oldest window first; NaN is missing
}

// Watch starts to give the results of queries, which must be of one step. A query that is watched already
// is not computed twice, and has a past at once; any other begins with the first whole window after now, with the last value
// of each gauge carried into it. Top groups are those of the windows that a snapshot can hold. The error names the
// query and the key.
func (l *Live) Watch(now time.Time, queries map[string]Query) (*Watch, error) {
	return l.WatchOver(now, 0, queries)
}

// WatchOver is Watch for a page that shows a longer span: top groups are those with the greatest sums over the span up to
// the newest window, as history has them for that range, or as far as it has been watched.
func (l *Live) WatchOver(now time.Time, span time.Duration, queries map[string]Query) (*Watch, error) {
	if len(queries) == 0 {
		return nil, errors.New("watch: no queries")
	}
	if err := l.validate(queries); err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	l.work.Lock()
	defer l.work.Unlock()
	if len(l.panels)+len(queries) > l.config.Queries {
		return nil, fmt.Errorf("watch: %d distinct queries are watched, the limit is %d: close a dashboard, or raise the limit", len(l.panels), l.config.Queries)
	}
	w := &Watch{live: l, panels: map[string]*panel{}, versions: map[string]int{}, turn: l.turn, told: math.MaxInt64}
	for name, q := range queries {
		w.step = q.Step
		opening := opening{now: now.UnixMilli(), span: max(span, ringWindows*q.Step.Duration()), queries: queries}
		p, err := l.open(opening, q.Normal())
		if err != nil {
			w.release()
			return nil, fmt.Errorf("watch: %w", inQuery(name, err))
		}
		w.panels[name] = p
		w.told = min(w.told, p.ring.next-1)
	}
	return w, nil
}

func (l *Live) validate(queries map[string]Query) error {
	if err := ValidateQueries(queries); err != nil {
		return err
	}
	var step Step
	for _, name := range slices.Sorted(maps.Keys(queries)) {
		q := queries[name]
		if step == 0 {
			step = q.Step
		}
		if q.Step != step {
			return inQuery(name, keyError("step", "is %v, that of another query %v: what is watched together has one step", q.Step, step))
		}
		if kind, known := l.registry.Kind(q.Metric); known {
			if err := q.Suits(kind); err != nil {
				return inQuery(name, err)
			}
		}
	}
	return nil
}

// Step is that of the queries.
func (w *Watch) Step() Step { return w.step }

// Ticks returns the windows closed since the last call, oldest first. There are none in most calls where the step
// is longer than the time between two. Amendments come with the last of them.
func (w *Watch) Ticks() []Tick {
	w.live.work.Lock()
	defer w.live.work.Unlock()
	if w.closed {
		return nil
	}
	since, newest := w.bounds()
	if newest < w.told-ringWindows {
		w.told = since - 1 // the clock was set back: all has begun anew
	}
	var ticks []Tick
	for window := max(since, w.told+1); window <= newest; window++ {
		ticks = append(ticks, w.tick(window))
	}
	if len(ticks) > 0 {
		ticks[len(ticks)-1].Amended = w.amended(since)
		w.told, w.turn = newest, w.live.turn
	}
	return ticks
}

// bounds returns the windows [since, newest] that every panel has.
func (w *Watch) bounds() (since, newest int64) {
	since, newest = -1, 1<<62
	for _, p := range w.panels {
		since, newest = max(since, p.ring.oldest()), min(newest, p.ring.next-1)
	}
	return since, newest
}

func (w *Watch) tick(window int64) Tick {
	tick := Tick{End: w.step.end(window), Results: make(map[string]Result, len(w.panels))}
	for name, p := range w.panels {
		tick.Results[name] = Result{Groups: p.answer, Values: p.valuesAt(window), Changed: w.versions[name] != p.version}
		w.versions[name] = p.version
	}
	return tick
}

// amended returns the windows given before that have changed since.
func (w *Watch) amended(since int64) []Amendment {
	var all []Amendment
	for window := since; window <= w.told; window++ {
		values := map[string][]float64{}
		for name, p := range w.panels {
			if p.ring.has(window) && p.ring.at(window).changed > w.turn {
				values[name] = p.valuesAt(window)
			}
		}
		if len(values) > 0 {
			all = append(all, Amendment{w.step.end(window), values})
		}
	}
	return all
}

// Snapshot returns the newest windows, up to the one last given by Ticks, so that the next tick goes on from it;
// before the first call, all that were there when the watch began.
func (w *Watch) Snapshot() Snapshot {
	w.live.work.Lock()
	defer w.live.work.Unlock()
	since, newest := w.bounds()
	newest = min(newest, w.told)
	s := Snapshot{Since: w.step.end(since), End: w.step.end(newest), Step: w.step, Results: make(map[string]Columns, len(w.panels))}
	for name, p := range w.panels {
		c := Columns{Groups: p.answer, Values: make([][]float64, len(p.listed))}
		for g, number := range p.listed {
			for window := since; window <= newest; window++ {
				c.Values[g] = append(c.Values[g], p.ring.at(window).value(number))
			}
		}
		s.Results[name] = c
	}
	return s
}

// Close ends the watch. What nobody watches any more is no longer computed. It may be called twice.
func (w *Watch) Close() {
	w.live.work.Lock()
	defer w.live.work.Unlock()
	if w.closed {
		return
	}
	w.closed = true
	w.release()
}

func (w *Watch) release() {
	for _, p := range w.panels {
		w.live.release(p)
	}
}
