package stream

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// program is a client of the stream that others wrote: it listens to some addresses until the test ends. All of them come back by
// themselves, with the last id.
type program struct {
	name  string
	start func(t *testing.T, listeners []*listener)
}

// listener is one client's stream on one way: what it hears comes into heard.
type listener struct {
	*stage
	edge     edge
	restless bool // it opens a new stream now and then
	heard    chan event
}

func (l *listener) url() string { return l.edge.base + "/play?key=" + l.key }

func (l *listener) hear(name, id, data string) {
	select {
	case l.heard <- event{name: name, id: id, data: data}:
	default: // far more than is expected, so the test has failed
	}
}

// want waits for an event and checks its name, its id (0: none of its own) and its data (empty: any).
func (l *listener) want(t *testing.T, name string, id int64, data string) {
	t.Helper()
	select {
	case e := <-l.heard:
		for l.restless && e.name == "hello" && name != "hello" {
			e = <-l.heard
		}
		if e.name != name || id != 0 && e.id != strconv.FormatInt(id, 10) || data != "" && e.data != data {
			t.Fatalf("heard %+v, want %s %d %q", e, name, id, data)
		}
	case <-time.After(enough):
		t.Fatalf("heard nothing in %v, want %s %d", enough, name, id)
	}
}

// stage is one performance: a hub of its own behind the common server.
type stage struct {
	key  string
	gzip bool

	mu     sync.Mutex // guards the rest; viewers wait for it
	site   *site
	packed int // streams served compressed
	plain  int
}

func (p *stage) serve(c *fiber.Ctx) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gzip {
		c.Request().Header.Del(fiber.HeaderAcceptEncoding)
	}
	err := p.site.handle(c)
	if string(c.Response().Header.Peek(fasthttp.HeaderContentEncoding)) == "gzip" {
		p.packed++
	} else {
		p.plain++
	}
	return err
}

// cut ends the streams as a broken connection does, and has more happen before anybody is back.
func (p *stage) cut(meanwhile func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.site.hub.mu.Lock()
	for _, viewers := range p.site.hub.sessions {
		for _, v := range viewers {
			v.writer.signal(v, left)
		}
	}
	p.site.hub.mu.Unlock()
	eventually(p.site.t, "the streams have ended", func() bool { return p.site.open() == 0 })
	meanwhile()
}

func short(c *Config) { c.RingFrames, c.Retry, c.ReconnectsPerSecond = 5, 100*time.Millisecond, 1000 }

// perform is the list of scenes that every client has to go through, on every way to the server.
func perform(t *testing.T, l *listener) {
	s := l.site
	// Connect, then events, one of them with several lines of data.
	l.want(t, "hello", 0, `{"version":1}`)
	l.want(t, "snapshot", 100, "")
	s.publish(101)
	l.want(t, "tick", 101, `{"end":101,"pad":""}`)
	s.tick(102, "first line\nsecond: line\n\n fourth line")
	l.want(t, "tick", 102, "first line\nsecond: line\n\n fourth line")

	// An abrupt end, and resume.
	l.cut(func() { s.publish(104) })
	l.want(t, "hello", 0, "")
	l.want(t, "tick", 103, "")
	l.want(t, "tick", 104, "")

	// An absence that is too long for the ring.
	l.cut(func() { s.publish(120); s.setState(120, 117) })
	l.want(t, "hello", 0, "")
	l.want(t, "gap", 0, `{"from":104,"to":117,"reason":"ring"}`)
	l.want(t, "snapshot", 120, "")
	s.publish(121)
	l.want(t, "tick", 121, "")

	// The hub drains, and sends away who comes too early; they come again, as retry says, and find the next hub.
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	if err := s.hub.Close(ctx); err != nil {
		t.Fatal(err)
	}
	l.want(t, "bye", 0, `{"reason":"shutdown"}`)
	eventually(t, "the client came back and was asked to wait", func() bool { return s.refused("closed") > 0 })
	next := openHub(t, withConfig(short))
	next.setState(140, 130)
	l.mu.Lock()
	l.site = next
	l.mu.Unlock()
	l.want(t, "hello", 0, "")
	l.want(t, "gap", 0, `{"from":121,"to":130,"reason":"restart"}`)
	l.want(t, "snapshot", 140, "")
	next.publish(141)
	l.want(t, "tick", 141, "")

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gzip && l.plain > 0 || !l.gzip && l.packed > 0 {
		t.Errorf("%d streams were compressed, %d were not, want all alike", l.packed, l.plain)
	}
}

// The clients of others, each directly and through Caddy, some through the other proxies too, the browser also by HTTP/3, with compression and without.
func TestClients(t *testing.T) {
	var stages sync.Map // by key
	s := open(t, func(_ *Config, app *fiber.App, _ *site) {
		app.Get("/play", func(c *fiber.Ctx) error {
			p, ok := stages.Load(c.Query("key"))
			if !ok {
				return fiber.ErrNotFound
			}
			return p.(*stage).serve(c)
		})
		app.Get("/chromium", func(c *fiber.Ctx) error { return c.Type("html").SendString(chromiumPage) })
		app.Post("/heard", chromiumHeard)
	})
	direct := edge{name: "direct", base: "http://" + s.addr}
	caddy, nginx, haproxy := throughCaddy(t, s.addr), throughNginx(t, s.addr), throughHAProxy(t, s.addr)
	quic := throughCaddy(t, s.addr)
	quic.name, quic.quic = "caddy-http3", true
	listeners, n := map[string][]*listener{}, 0
	for _, c := range programs {
		edges := []edge{direct, caddy}
		if c.name == "curl" || c.name == "chromium" {
			edges = append(edges, nginx, haproxy)
		}
		if c.name == "chromium" {
			edges = append(edges, quic)
		}
		for _, e := range edges {
			for _, gzip := range []bool{false, true} {
				n++
				p := &stage{key: strconv.Itoa(n), gzip: gzip, site: openHub(t, withConfig(short))}
				p.site.setState(100, 95)
				stages.Store(p.key, p)
				listeners[c.name] = append(listeners[c.name], &listener{stage: p, edge: e, restless: c.name == "undici", heard: make(chan event, 1000)})
			}
		}
	}
	t.Run("all", func(t *testing.T) {
		for _, c := range programs {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.start(t, listeners[c.name])
				for _, l := range listeners[c.name] {
					t.Run(fmt.Sprintf("%s/gzip=%v", l.edge.name, l.gzip), func(t *testing.T) {
						t.Parallel()
						perform(t, l)
					})
				}
			})
		}
	})
}

var programs = []program{
	{"chromium", startChromium},
	{"eventsource", func(t *testing.T, l []*listener) { startNode(t, "eventsource", l) }},
	{"undici", func(t *testing.T, l []*listener) { startNode(t, "undici", l) }},
	{"eventsource-parser", func(t *testing.T, l []*listener) { startNode(t, "parser", l) }},
	{"launchdarkly", startLaunchDarkly},
	{"r3labs", startR3Labs},
	{"curl", startCurl},
}
