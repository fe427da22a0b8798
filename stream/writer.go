package stream

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// The reasons for a bye that the hub itself gives.
const (
	byeShutdown = "shutdown"
	byeMaxAge   = "max_age"
	byeExpired  = "expired"
)

// How long a viewer that is told to leave may take to finish its frame.
const byeGrace = 2 * time.Second

// group is a writer's share of a topic's viewers. The writer owns it.
type group struct {
	topic   *Topic
	viewers []*viewer
	size    atomic.Int32 // len(viewers), for publishers
	queued  atomic.Bool  // waits in the writer's inbox
}

// writer pushes frames to its share of the viewers. It never waits for any of them.
type writer struct {
	hub     *Hub
	index   int
	viewers []*viewer
	dead    []*viewer // left during this round, still in the lists
	now     time.Time
	tally   tally

	inbox
}

func newWriter(h *Hub, index int) *writer {
	return &writer{
		hub:   h,
		index: index,
		tally: tally{gaps: map[string]int{}},
		inbox: inbox{wake: make(chan struct{}, 1)},
	}
}

func (w *writer) run() {
	ticker := time.NewTicker(w.hub.cfg.scanEvery())
	defer ticker.Stop()
	for {
		select {
		case <-w.wake:
			w.round()
		case <-ticker.C:
			w.scan()
		case <-w.hub.lifetime.Done():
			w.stop()
			return
		}
	}
}

// round does what the inbox asks for.
func (w *writer) round() {
	w.now = time.Now()
	groups, viewers := w.empty()
	for _, v := range viewers {
		w.attend(v, v.signals.Swap(0))
	}
	for _, g := range groups {
		w.serve(g)
	}
	w.finish()
}

// serve brings a topic's viewers up to date. It begins with any of them, so that nobody is
// always the last.
func (w *writer) serve(g *group) {
	g.queued.Store(false) // before the ring is read: what comes later queues it again
	n := len(g.viewers)
	if n == 0 {
		return
	}
	start := rand.IntN(n)
	for i := range n {
		v := g.viewers[(start+i)%n]
		if len(v.rest) == 0 { // the others go on when their sockets are ready
			w.push(v)
		}
	}
}

func (w *writer) attend(v *viewer, signals uint32) {
	if signals&joined != 0 {
		w.add(v)
	}
	if !v.placed || v.gone {
		return // joining will see what this was about; and a closed descriptor may be another's
	}
	if signals&left != 0 {
		w.drop(v, v.conn.failure(), true)
	}
	if signals&ending != 0 {
		v.killAt = w.now.Add(byeGrace)
	}
	w.push(v)
}

// push writes until the viewer is up to date or takes no more for now.
func (w *writer) push(v *viewer) {
	for !v.gone {
		if len(v.rest) == 0 {
			if v.leaving {
				w.drop(v, *v.bye.Load(), false)
				return
			}
			v.rest = v.next(&w.tally)
			if v.rest == nil {
				v.late = false
				return
			}
			w.begin(v)
		}
		n, err := v.conn.write(v.rest)
		w.tally.bytes += n
		v.rest = v.rest[n:]
		if err != nil {
			w.drop(v, v.conn.failure(), true)
			return
		}
		if len(v.rest) > 0 {
			if n > 0 { // a large snapshot takes a thin line a while
				v.began = w.now
			}
			v.late = true
			return
		}
	}
}

func (w *writer) begin(v *viewer) { v.began, v.sent = w.now, w.now }

// scan looks at every viewer's clock. A timer for each would cost more.
func (w *writer) scan() {
	w.now = time.Now()
	for _, v := range w.viewers {
		if !v.gone {
			w.check(v)
		}
	}
	w.finish()
}

func (w *writer) check(v *viewer) {
	switch {
	case !v.killAt.IsZero() && w.now.After(v.killAt):
		w.drop(v, *v.bye.Load(), true)
	case len(v.rest) > 0 && w.now.Sub(v.began) > w.hub.cfg.Stall:
		w.drop(v, "stalled", true)
	case w.now.After(v.endsAt) && v.bye.CompareAndSwap(nil, &v.endsAs):
		v.killAt = w.now.Add(byeGrace)
		w.push(v)
	case len(v.rest) == 0 && w.now.Sub(v.sent) >= v.silence:
		v.rest = v.heartbeat()
		w.begin(v)
		w.push(v)
	}
}

// add begins a stream. Its first bytes are in v.rest.
func (w *writer) add(v *viewer) {
	v.join()
	v.placed = true
	w.begin(v)
	if v.bye.Load() != nil {
		v.killAt = w.now.Add(byeGrace)
	}
	v.inWriter = len(w.viewers)
	w.viewers = append(w.viewers, v)
	g := &v.topic.groups[w.index]
	v.inGroup = len(g.viewers)
	g.viewers = append(g.viewers, v)
	g.size.Add(1)
	if err := v.conn.start(); err != nil {
		w.hub.log.Error("watch a viewer's socket", "error", err)
		w.drop(v, "closed", true)
	}
}

// drop ends a stream. With abort nothing more reaches the viewer, else what was written does.
func (w *writer) drop(v *viewer, reason string, abort bool) {
	if v.gone {
		return
	}
	v.gone = true
	v.rest = nil
	v.conn.close(abort)
	w.dead = append(w.dead, v)
	w.hub.release(v)
	w.hub.metrics.gone.WithLabelValues(reason).Inc()
}

// finish takes the dead out of the lists, which rounds walk through, and counts.
func (w *writer) finish() {
	for _, v := range w.dead {
		last := len(w.viewers) - 1
		w.viewers[v.inWriter] = w.viewers[last]
		w.viewers[v.inWriter].inWriter = v.inWriter
		w.viewers[last] = nil
		w.viewers = w.viewers[:last]

		g := &v.topic.groups[w.index]
		last = len(g.viewers) - 1
		g.viewers[v.inGroup] = g.viewers[last]
		g.viewers[v.inGroup].inGroup = v.inGroup
		g.viewers[last] = nil
		g.viewers = g.viewers[:last]
		g.size.Add(-1)
	}
	clear(w.dead)
	w.dead = w.dead[:0]
	w.tally.flush(w.hub.metrics)
}

// stop drops the viewers there are, and those whose joining crossed it.
func (w *writer) stop() {
	w.shut()
	w.round()
	for _, v := range w.viewers {
		w.drop(v, byeShutdown, true)
	}
	w.finish()
}
