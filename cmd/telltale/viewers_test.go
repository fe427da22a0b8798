package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// page is a viewer of the overview that comes back whenever its stream ends, and checks that it is told each window
// once, in order. It knows them by name, as docs/protocol.md asks.
type page struct {
	address string
	session *http.Cookie

	mu      sync.Mutex // guards what follows
	last    int64
	first   int64
	values  map[int64]*float64 // of memory, by window
	partial map[int64]bool     // windows that are not complete yet
	cut     int                // windows that were not
	wrong   []string
}

type told struct {
	End, Since, From, To int64
	Partial              json.RawMessage
	Values               map[string][]*float64
	Queries              map[string]struct{ Values [][]*float64 }
	Amend                []told
}

// run follows the stream until ctx ends.
func (p *page) run(ctx context.Context) {
	for ctx.Err() == nil {
		p.follow(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (p *page) follow(ctx context.Context) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.address+"/api/v1/stream?dashboard=overview", nil)
	if err != nil {
		p.fault("%v", err)
		return
	}
	request.AddCookie(p.session)
	if p.last > 0 {
		request.Header.Set("Last-Event-ID", strconv.FormatInt(p.last, 10))
	}
	response, err := viewersTransport.RoundTrip(request)
	if err != nil {
		return // the hub is down
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		p.fault("answered with %s", response.Status)
		return
	}
	lines, name := bufio.NewReader(response.Body), ""
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		if rest, ok := bytes.CutPrefix(line, []byte("event: ")); ok {
			name = string(bytes.TrimSpace(rest))
		}
		if rest, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			p.take(name, rest)
		}
	}
}

var viewersTransport = &http.Transport{DisableKeepAlives: true, DisableCompression: true}

func (p *page) fault(format string, args ...any) {
	p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
}

func (p *page) take(name string, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var e told
	if err := json.Unmarshal(data, &e); err != nil {
		p.fault("%s: %v", name, err)
		return
	}
	switch name {
	case "hello":
	case "snapshot":
		p.snapshot(e)
	case "tick":
		if p.last == 0 || e.End != p.last+1000 {
			p.fault("tick %d after %d", e.End, p.last)
		}
		p.last = e.End
		p.window(e)
		for _, a := range e.Amend {
			p.window(a)
		}
	default: // a gap, for history can tell everything here
		p.fault("%s: %s", name, data)
	}
}

func (p *page) snapshot(e told) {
	if p.last != 0 && (e.Since > p.last+1000 || e.End <= p.last) {
		p.fault("snapshot of %d..%d after %d", e.Since, e.End, p.last)
	}
	if p.first == 0 {
		p.first = e.End
	}
	p.last = e.End
	var partial struct{ From, To int64 }
	if e.Partial != nil {
		if err := json.Unmarshal(e.Partial, &partial); err != nil {
			p.fault("partial: %v", err)
		}
	}
	for i, value := range e.Queries["memory"].Values[0] {
		end := e.Since + int64(i)*1000
		p.note(end, value, end > partial.From && end <= partial.To)
	}
}

func (p *page) window(e told) {
	values := e.Values["memory"]
	if values == nil {
		values = []*float64{p.values[e.End]}
	}
	p.note(e.End, values[0], string(e.Partial) == "true")
}

func (p *page) note(end int64, value *float64, partial bool) {
	if partial && !p.partial[end] {
		p.cut++
	}
	p.values[end], p.partial[end] = value, partial
	if !partial {
		delete(p.partial, end)
	}
}

func (p *page) reached(until int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last >= until
}

// complete says whether nothing is marked as incomplete any more.
func (p *page) complete() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.partial) == 0
}

// memory is what history says of the windows after from and up to to.
func (in *installation) memory(session *http.Cookie, from, to int64) map[int64]*float64 {
	in.t.Helper()
	body := fmt.Sprintf(`{"queries":{"memory":{"metric":"system.memory.utilization","over":"last","agg":"avg"}},"from":%d,"to":%d,"step":"1s"}`, from, to)
	var answer struct {
		Ends    []int64
		Queries map[string]struct{ Values [][]*float64 }
	}
	in.get(session, http.MethodPost, "/api/v1/query", body, &answer)
	values := map[int64]*float64{}
	for i, end := range answer.Ends {
		values[end] = answer.Queries["memory"].Values[0][i]
	}
	return values
}

// The hub is killed under 1,000 viewers: each has every window once, with no gap. The windows that the outage cut short
// come marked as incomplete, and are amended until they say what history says.
func TestKillingTheHubCostsNoViewerAWindow(t *testing.T) {
	in := install(t)
	hub := in.startHub()
	in.startAgent()
	in.awaitMore(hub, 3)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	session := in.signIn()
	pages := make([]*page, 1000)
	for i := range pages {
		p := &page{address: "http://" + in.listen, session: session, values: map[int64]*float64{}, partial: map[int64]bool{}}
		pages[i] = p
		running.Go(func() { p.run(ctx) })
	}
	all := func(condition func(*page) bool) func() bool {
		return func() bool {
			return !slices.ContainsFunc(pages, func(p *page) bool { return !condition(p) })
		}
	}
	live := time.Now().UnixMilli() + 1000
	eventually(t, "all pages are live", all(func(p *page) bool { return p.reached(live) }))

	killed := time.Now().UnixMilli()
	hub.signal(syscall.SIGKILL)
	time.Sleep(2 * time.Second) // a while without a hub
	hub = in.startHub()
	restarted := time.Now().UnixMilli()
	eventually(t, "all pages are back", all(func(p *page) bool { return p.reached(restarted + 5000) }))
	eventually(t, "all pages are complete", all((*page).complete))
	stop()
	running.Wait()

	history := in.memory(session, killed-10_000, pages[0].last)
	for i, p := range pages {
		for end := killed - killed%1000 - 5000; end <= restarted+3000; end += 1000 {
			if end < p.first {
				continue
			}
			got, want := p.values[end], history[end]
			if got == nil || want == nil || *got != *want {
				p.fault("window %d is %v, history says %v", end, show(got), show(want))
			}
		}
		if p.cut < 2 {
			p.fault("%d windows came marked as incomplete, the outage took longer", p.cut)
		}
		if len(p.wrong) > 0 {
			t.Fatalf("page %d, whose windows begin at %d; killed %d, restarted %d:\n%s", i, p.first, killed, restarted, strings.Join(p.wrong, "\n"))
		}
	}
	if missing := mustSQL(t, hub, "SELECT dateDiff('second', min(ts), max(ts)) + 1 - uniqExact(ts) "+perSecond); missing != "0" {
		t.Errorf("%s seconds are missing from history", missing)
	}
	t.Logf("%d windows came incomplete and were amended", pages[0].cut)
}

func show(v *float64) string {
	if v == nil {
		return "missing"
	}
	return fmt.Sprint(*v)
}
