package dashboard

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// comparesAtOnce bounds the topics that ask history at the same time. Others wait for the next second.
const comparesAtOnce = 2

// comparer asks history for topics.
type comparer struct {
	history  History
	turns    chan struct{}
	running  sync.WaitGroup
	failures prometheus.Counter
}

func newComparer(h History) *comparer {
	return &comparer{
		history: h, turns: make(chan struct{}, comparesAtOnce),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "telltale_dashboard_compare_failures_total",
			Help: "Times that history did not say what a topic's windows are compared with; asked again a minute later.",
		}),
	}
}

// refresh asks for a topic where it is time and history's turns allow. It does not wait; answers come until ctx ends.
func (cr *comparer) refresh(ctx context.Context, c *comparison, now time.Time) {
	if c == nil {
		return
	}
	select {
	case cr.turns <- struct{}{}:
	default:
		return
	}
	if !c.begin(now) {
		<-cr.turns
		return
	}
	cr.running.Go(func() {
		defer func() { <-cr.turns }()
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		if err := c.update(ctx, cr.history, now); err != nil {
			cr.failures.Inc()
		}
	})
}
