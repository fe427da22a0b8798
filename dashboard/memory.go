package dashboard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"telltale/aggregate"
)

const (
	// memoryTimeout bounds one question: viewers wait for it, and then get a gap.
	memoryTimeout = 5 * time.Second
	// maxRecalled bounds the values of a snapshot from history: about 2 MB of text. A page that
	// shows more asks history itself, in pieces and compressed.
	maxRecalled = 200_000

	// storedAfter is how long after its end a window is in history, where agents and hub are well.
	storedAfter = 4 * time.Second
	// After a start of the hub agents come back within returnTime, and send what they kept
	// several times as fast as it came; waiting for them ends with longestReturn.
	returnTime, longestReturn = 15 * time.Second, 45 * time.Second
)

// memory is the history as topics ask it for what was before them, and what it is known to lack:
// the time from the end of the hub before this one until its agents have caught up.
type memory struct {
	history History
	log     *slog.Logger
	asked   *prometheus.CounterVec // by result

	lifetime context.Context //nolint:containedctx // that of the questions; close ends it
	end      context.CancelFunc
	running  sync.WaitGroup

	mu       sync.Mutex // guards the rest
	closed   bool
	begun    time.Time // when the hub began; zero: not yet
	learning bool
	known    bool // when the hub before ended is
	outage   span // while it is not known, the worst of it
}

func newMemory(history History, log *slog.Logger) *memory {
	m := &memory{history: history, log: log, asked: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "telltale_dashboard_recalls_total", Help: "Questions to history about windows that the live state does not have.",
	}, []string{"result"})}
	m.lifetime, m.end = context.WithCancel(context.Background())
	return m
}

// close ends what is being asked, and waits. Nothing is asked afterwards.
func (m *memory) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.end()
	m.running.Wait()
}

// run has f run in the background, and says whether it does.
func (m *memory) run(f func(context.Context)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.runLocked(f)
}

func (m *memory) runLocked(f func(context.Context)) bool {
	if !m.closed {
		m.running.Go(func() { f(m.lifetime) })
	}
	return !m.closed
}

// begin notes the hub's start, and sees to it that the end of the one before is found out. It is
// called again and again.
func (m *memory) begin(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.begun.IsZero() {
		m.begun = now
		m.outage = span{now.Add(-time.Minute).UnixMilli(), now.Add(returnTime).UnixMilli()}
	}
	if m.known || m.learning || now.UnixMilli() > m.outage.to {
		return
	}
	m.learning = m.runLocked(m.learn)
}

// learn finds out until when the hub before this one stored: the newest time at which an agent
// was seen that was not seen again since.
func (m *memory) learn(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, memoryTimeout)
	defer cancel()
	agents, err := m.history.Agents(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.learning = false
	if err != nil {
		return // ClickHouse may just be starting
	}
	m.known = true
	if len(agents) == 0 {
		m.outage = span{} // nobody can have missed anything
		return
	}
	last := time.Time{}
	for _, a := range agents {
		if a.LastSeen.Before(m.begun) && a.LastSeen.After(last) {
			last = a.LastSeen
		}
	}
	if last.IsZero() {
		return // all are back already
	}
	back := min(returnTime+m.begun.Sub(last)/5, longestReturn)
	m.outage = span{last.Add(-storedAfter).UnixMilli(), m.begun.Add(back).UnixMilli()}
}

// missing is the windows that history lacks at the time, or did lately.
func (m *memory) missing(now time.Time) span {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.UnixMilli() > m.outage.to {
		return span{}
	}
	return m.outage
}

// justBegun says whether ClickHouse may not be up yet.
func (m *memory) justBegun(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return now.Sub(m.begun) < 2*returnTime
}

var errTooMuch = fmt.Errorf("more than %d values", maxRecalled)

// ask returns what queries gave in the windows that end after from and up to to, or an error where history does
// not have them in that very form.
func (m *memory) ask(ctx context.Context, queries map[string]aggregate.Query, windows span, step aggregate.Step) (HistoryAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, memoryTimeout)
	defer cancel()
	answer, err := m.history.Query(ctx, HistoryQuery{Queries: queries, From: windows.from, To: windows.to, Step: step})
	if err == nil {
		err = usable(answer, step)
	}
	result := "answered"
	switch {
	case errors.Is(err, errTooMuch):
		result = "too_much"
	case err != nil:
		result = "failed"
	}
	m.asked.WithLabelValues(result).Inc()
	return answer, err
}

func usable(answer HistoryAnswer, step aggregate.Step) error {
	if answer.Step != step || len(answer.Ends) == 0 {
		return &LimitError{Code: "no_such_windows", Message: "history has no windows of this step"}
	}
	groups := 0
	for _, columns := range answer.Results {
		groups += len(columns.Groups)
	}
	if groups*len(answer.Ends) > maxRecalled {
		return errTooMuch
	}
	return nil
}
