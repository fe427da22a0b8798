package stream

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// How long the end of a session is remembered, for streams that were being opened under it.
const endedMemory = time.Minute

// Hub holds the open streams. Its methods may be called from any goroutine.
type Hub struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	writers []*writer
	poller  *poller
	running sync.WaitGroup // writers, poller, snapshot builders and connections being served

	// Done when the hub is closed: the context of what runs. quit ends it.
	lifetime context.Context //nolint:containedctx // the hub owns the lifetime
	quit     context.CancelFunc

	mu       sync.Mutex // taken before a topic's or a writer's
	joined   uint64     // streams ever admitted; the last viewer's id
	open     int
	users    map[string]int
	sessions map[string][]*viewer
	ended    [2]map[string]string // sessions ended lately, and why: the newer half, the older half
	turned   time.Time            // when the halves last changed places
	closed   bool
	leavers  int           // streams open when Close was called
	empty    chan struct{} // closed when the hub is closed and the last stream has ended
}

// Open starts a hub. Close ends it.
func Open(cfg Config, reg prometheus.Registerer, log *slog.Logger) (*Hub, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, fmt.Errorf("register stream metrics: %w", err)
	}
	h := &Hub{
		cfg:      cfg,
		log:      log,
		metrics:  m,
		users:    map[string]int{},
		sessions: map[string][]*viewer{},
		ended:    [2]map[string]string{{}, {}},
		empty:    make(chan struct{}),
	}
	h.lifetime, h.quit = context.WithCancel(context.Background())
	if h.poller, err = openPoller(); err != nil {
		h.quit()
		return nil, fmt.Errorf("watch viewers' sockets: %w", err)
	}
	for i := range runtime.GOMAXPROCS(0) {
		w := newWriter(h, i)
		h.writers = append(h.writers, w)
		h.running.Go(w.run)
	}
	h.running.Go(h.poller.run)
	return h, nil
}

// Close says bye to every viewer, each with another time to come back, and stops the hub.
// It waits until all have taken it, which a slow viewer can delay by two seconds, or until
// ctx is done; then it cuts the rest off and returns an error that wraps ctx's. Viewers who
// come meanwhile are asked to come back later.
func (h *Hub) Close(ctx context.Context) error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		h.running.Wait()
		return nil
	}
	h.closed = true
	h.leavers = h.open
	if h.open == 0 {
		close(h.empty)
	}
	for _, viewers := range h.sessions {
		for _, v := range viewers {
			v.end(byeShutdown)
		}
	}
	h.mu.Unlock()

	var err error
	select {
	case <-h.empty:
	case <-ctx.Done():
		err = fmt.Errorf("drain viewers: %w", context.Cause(ctx))
	}
	h.quit()
	h.poller.close()
	h.running.Wait()
	h.log.Info("stream closed", "viewers", h.leavers)
	return err
}

// End ends the streams opened under a session with a bye that gives the reason (signed_out,
// expired, revoked), those included that are being opened at this moment. The reason is a
// label of a metric, so it must be one of a few.
func (h *Hub) End(session, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.turned) > endedMemory {
		h.turned = time.Now()
		h.ended[0], h.ended[1] = map[string]string{}, h.ended[0]
	}
	h.ended[0][session] = reason
	for _, v := range h.sessions[session] {
		v.end(reason)
	}
}

// Sessions returns the sessions that have streams open, in any order.
func (h *Hub) Sessions() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.sessions))
}

// admit enters a viewer, or says why not. After an admission the caller owes running.Done.
func (h *Hub) admit(v *viewer) (refusal string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return "closed"
	case v.topic.closed:
		return "topic_closed"
	case h.open >= h.cfg.MaxViewers:
		return "viewers"
	case h.users[v.user] >= h.cfg.MaxViewersPerUser:
		return "viewers_per_user"
	}
	h.running.Add(1)
	h.open++
	h.joined++
	h.users[v.user]++
	v.topic.viewers++
	v.id = h.joined
	v.writer = h.writers[v.id%uint64(len(h.writers))]
	v.inSession = len(h.sessions[v.session])
	h.sessions[v.session] = append(h.sessions[v.session], v)
	h.metrics.viewers.Set(float64(h.open))
	for _, half := range h.ended {
		if reason, ok := half[v.session]; ok {
			v.bye.CompareAndSwap(nil, &reason)
		}
	}
	return ""
}

// release undoes admit when the stream has ended.
func (h *Hub) release(v *viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open--
	if h.users[v.user]--; h.users[v.user] == 0 {
		delete(h.users, v.user)
	}
	if v.topic.viewers--; v.topic.viewers == 0 {
		v.topic.idleSince = time.Now()
	}
	others := h.sessions[v.session]
	last := len(others) - 1
	others[v.inSession] = others[last]
	others[v.inSession].inSession = v.inSession
	others[last] = nil
	h.sessions[v.session] = others[:last]
	if last == 0 {
		delete(h.sessions, v.session)
	}
	h.metrics.viewers.Set(float64(h.open))
	if h.closed && h.open == 0 {
		close(h.empty)
	}
}

// retryAfterShutdown spreads the return of those who were there.
func (h *Hub) retryAfterShutdown() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	spread := time.Duration(h.leavers) * time.Second / time.Duration(h.cfg.ReconnectsPerSecond)
	return h.cfg.Retry + jitter(0, spread)
}
