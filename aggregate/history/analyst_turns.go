package history

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	maxAnalystReads = 4 // statements that run at once; ClickHouse's own limit for the user should not be lower
	maxAskerReads   = 3 // those of one asker: a turn is left for others
	maxAskerWaiting = 16
	analystPatience = 10 * time.Second
)

// analystTurns says whose statement may run. Who has waited for analystPatience, or has too many that wait, is refused and
// counted. So what waits is bounded by the number of users and tokens.
type analystTurns struct {
	all     chan struct{} // one for each statement that runs
	refused prometheus.Counter

	mu     sync.Mutex // guards what follows
	askers map[string]*askerTurns
}

// askerTurns are those of one user or token, as long as it has a statement.
type askerTurns struct {
	running chan struct{} // one for each statement that runs
	held    int           // statements that run or wait; guarded by analystTurns.mu
}

func newAnalystTurns(refused prometheus.Counter) *analystTurns {
	return &analystTurns{all: make(chan struct{}, maxAnalystReads), refused: refused, askers: map[string]*askerTurns{}}
}

// take waits until a statement of the asker's may run. giveBack must be called when it has ended.
func (t *analystTurns) take(ctx context.Context, asker string) (giveBack func(), err error) {
	own := t.enter(asker)
	leave := func() { t.leave(asker, own) }
	if own == nil {
		return nil, t.busy("%d statements of yours are running or waiting, the most there may be: wait until some have ended", maxAskerReads+maxAskerWaiting)
	}
	patience := time.NewTimer(analystPatience)
	defer patience.Stop()
	select {
	case own.running <- struct{}{}:
	case <-patience.C:
		leave()
		return nil, t.busy("%d statements of yours are running already, the most there may be: wait until one has ended", maxAskerReads)
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
	select {
	case t.all <- struct{}{}:
		return func() { <-t.all; <-own.running; leave() }, nil
	case <-patience.C:
		<-own.running
		leave()
		return nil, t.busy("%d statements of all analysts are running already, the most there may be: run yours again later", maxAnalystReads)
	case <-ctx.Done():
		<-own.running
		leave()
		return nil, context.Cause(ctx)
	}
}

func (t *analystTurns) busy(format string, limit int) error {
	t.refused.Inc()
	return limited(CodeBusy, format, limit)
}

// enter notes one more statement of the asker's; nil: there are too many.
func (t *analystTurns) enter(asker string) *askerTurns {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.askers[asker]
	if own == nil {
		own = &askerTurns{running: make(chan struct{}, maxAskerReads)}
		t.askers[asker] = own
	}
	if own.held == maxAskerReads+maxAskerWaiting {
		return nil
	}
	own.held++
	return own
}

func (t *analystTurns) leave(asker string, own *askerTurns) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.held--; own.held == 0 {
		delete(t.askers, asker)
	}
}
