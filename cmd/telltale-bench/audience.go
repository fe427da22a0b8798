package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// audience is many viewers of one dashboard, each with one connection and one goroutine.
type audience struct {
	site    *url.URL
	target  string // path and query of the stream
	cookie  string
	tls     *tls.Config
	delay   time.Duration
	viewers []*viewer

	traffic traffic
	counts  audienceCounts
	trouble trouble
	latency histogram // from a window's closing to its tick's arrival
	meter   *meter
	shown   rate

	measuring   atomic.Bool
	first, last audienceMark
	behind      int

	newest    atomic.Int64
	mu        sync.Mutex // guards what follows
	published map[int64]struct{}
	holes     []hole
}

// audienceCounts are of the whole run.
type audienceCounts struct {
	connected, connections          atomic.Int64 // now; ever
	events                          atomic.Int64 // all of the kinds below
	ticks, snapshots, gaps, notices atomic.Int64
	gapWindows, repeated, byes      atomic.Int64
}

type audienceMark struct {
	at            time.Time
	events, bytes int64
}

func newAudience(c *viewersCommand, site *url.URL, cookie string, m *meter) *audience {
	a := &audience{
		site: site, target: site.Path + "/api/v1/stream?dashboard=" + url.QueryEscape(c.Dashboard),
		cookie: cookie, delay: c.Delay, meter: m, published: make(map[int64]struct{}),
	}
	if site.Scheme == "https" {
		a.tls = &tls.Config{ServerName: site.Hostname(), NextProtos: []string{"http/1.1"}}
	}
	a.viewers = make([]*viewer, c.Viewers)
	for i := range a.viewers {
		a.viewers[i] = &viewer{audience: a, index: i, position: position{step: defaultStep}}
	}
	return a
}

func (a *audience) member(ctx context.Context, i int) error { return a.viewers[i].run(ctx) }

func (a *audience) connected() int { return int(a.counts.connected.Load()) }

func (a *audience) begin(context.Context) {
	a.meter.begin()
	a.first = a.mark()
	a.measuring.Store(true)
}

func (a *audience) end() {
	a.measuring.Store(false)
	a.last = a.mark()
	a.meter.end()
	for _, v := range a.viewers {
		if v.reached.Load() < a.newest.Load()-behindSteps*v.step.Load() {
			a.behind++
		}
	}
}

// behindSteps is how many windows later than the first a viewer may be without being behind.
const behindSteps = 2

func (a *audience) drain(context.Context) {} // nothing is under way

func (a *audience) mark() audienceMark {
	return audienceMark{at: time.Now(), events: a.counts.events.Load(), bytes: a.traffic.received.Load()}
}

func (a *audience) progress() string {
	return fmt.Sprintf("%d of %d viewers connected  %s events/s  %d gaps  %s refused  %d disconnects",
		a.connected(), len(a.viewers), grouped(a.shown.of(&a.counts.events)), a.counts.gaps.Load(),
		grouped(a.trouble.refusals()), a.trouble.disconnected())
}

// publish notes that the hub sent a tick: who does not get it misses something.
func (a *audience) publish(id int64) {
	if a.newest.Load() == id {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.published[id] = struct{}{}
	a.newest.Store(max(a.newest.Load(), id))
}

func (a *audience) miss(h hole) {
	if h == (hole{}) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.holes = append(a.holes, h)
}

// missed counts the windows that a viewer did not get, was not told about, and others got:
// a hub may leave out ticks that have nothing to tell.
func (a *audience) missed() (windows int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.holes {
		for id := range a.published {
			if id > h.after && id < h.before {
				windows++
			}
		}
	}
	return windows
}
