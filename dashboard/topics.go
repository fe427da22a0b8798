package dashboard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"telltale/aggregate"
	"telltale/stream"
)

// topicLinger is how long a topic goes on without viewers, for those who come back: as long as
// it remembers ticks, and a while for finding the way.
const topicLinger = 90 * time.Second

// topics holds one topic for each distinct set of queries that somebody watches.
type topics struct {
	live   *aggregate.Live
	hub    *stream.Hub
	memory *memory
	log    *slog.Logger

	// mu guards byKey. It is held while a viewer is handed to a topic, which does not block, so
	// that the topic is not closed in between; and never while a topic publishes.
	mu    sync.Mutex
	byKey map[string]*topic

	comparer   *comparer
	publishing prometheus.Histogram
}

func newTopics(live *aggregate.Live, hub *stream.Hub, history History, log *slog.Logger) *topics {
	return &topics{
		live: live, hub: hub, memory: newMemory(history, log), log: log, byKey: map[string]*topic{}, comparer: newComparer(history),
		publishing: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "telltale_dashboard_publish_seconds",
			Help:    "Time to encode and publish the ticks of all topics, each second.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8),
		}),
	}
}

func (ts *topics) metrics() []prometheus.Collector {
	open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "telltale_dashboard_topics", Help: "Distinct sets of queries that are watched.",
	}, func() float64 {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		return float64(len(ts.byKey))
	})
	return []prometheus.Collector{open, ts.publishing, ts.comparer.failures, ts.memory.asked}
}

// topicKey is the same for queries that mean the same and have the same names.
func topicKey(queries map[string]aggregate.Query) string {
	var key strings.Builder
	for _, name := range slices.Sorted(maps.Keys(queries)) {
		key.WriteString(name + "=" + queries[name].String() + "\n")
	}
	return key.String()
}

// topicKey is the same for dashboards whose streams say the same.
func (d definition) topicKey() string {
	return fmt.Sprintf("%s%s%d ms", topicKey(d.Queries), d.comparison().key(), d.RangeMS)
}

// serve hands the topic of a dashboard to a viewer, and opens it for the first. The viewer's
// function must not block.
func (ts *topics) serve(now time.Time, d definition, viewer func(*stream.Topic)) error {
	key := d.topicKey()
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.byKey[key]
	if t == nil {
		var err error
		if t, err = ts.open(now, d); err != nil {
			return refuseTopic(err)
		}
		ts.byKey[key] = t
	}
	viewer(t.stream)
	return nil
}

func refuseTopic(err error) error {
	if wrong := (*aggregate.QueryError)(nil); errors.As(err, &wrong) {
		return refuse(http.StatusBadRequest, "bad_query", wrong.Error())
	}
	return &apiError{http.StatusServiceUnavailable, "too_many_topics", "the hub watches as many queries as it may: try again when others have left", err}
}

// tell sends an event that has no window, once, to whoever watches any topic.
func (ts *topics) tell(event string, data []byte) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range ts.byKey {
		t.stream.Notice(event, data)
	}
}

// publish sends what has closed on every topic, and closes those that nobody watches any more.
// It is called after each step of the live state, by one goroutine.
// Until ctx ends, history is asked beside it; comparer.running tells when that is over.
func (ts *topics) publish(ctx context.Context, now time.Time) {
	start := time.Now()
	ts.memory.begin(now)
	ts.mu.Lock()
	open := slices.Collect(maps.Values(ts.byKey))
	ts.mu.Unlock()
	for _, t := range open {
		ts.comparer.refresh(ctx, t.compared, now)
		err := t.publish(now)
		if err != nil && !t.failed { // not again each second until it is over
			ts.log.Warn("a dashboard's ticks are not published", "error", err)
		}
		t.failed = err != nil
	}
	ts.closeIdle(topicLinger)
	ts.publishing.Observe(time.Since(start).Seconds())
}

func (ts *topics) closeIdle(linger time.Duration) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for key, t := range ts.byKey {
		if t.stream.CloseIdle(linger) {
			delete(ts.byKey, key)
			t.watch.Close()
		}
	}
}
