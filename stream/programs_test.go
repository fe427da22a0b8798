package stream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	launchdarkly "github.com/launchdarkly/eventsource"
	r3labs "github.com/r3labs/sse/v2"
)

// startNode runs the clients that Node's programs use.
func startNode(t *testing.T, kind string, listeners []*listener) {
	args := []string{"clients/listen.mjs", kind}
	cas := ""
	for _, l := range listeners {
		args = append(args, l.url())
		cas = l.edge.cas
	}
	cmd := exec.CommandContext(t.Context(), "node", args...)
	cmd.Env = append(cmd.Environ(), "NODE_EXTRA_CA_CERTS="+cas)
	var failure bytes.Buffer
	cmd.Stderr = &failure
	pipe(t, cmd, func(out io.Reader) {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var line struct {
				Stream         int
				Name, ID, Data string
			}
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				t.Errorf("node printed %q: %v", lines.Text(), err)
				return
			}
			listeners[line.Stream].hear(line.Name, line.ID, line.Data)
		}
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("node (npm ci --prefix stream/clients) said: %s", &failure)
		}
	})
}

// pipe starts a program and has its output read, until the test ends.
func pipe(t *testing.T, cmd *exec.Cmd, read func(io.Reader)) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		read(out)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
	})
}

// each runs f for every listener, until the test ends.
func each(t *testing.T, listeners []*listener, f func(context.Context, *listener)) {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, l := range listeners {
		running.Go(func() { f(ctx, l) })
	}
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
}

func startLaunchDarkly(t *testing.T, listeners []*listener) {
	each(t, listeners, func(ctx context.Context, l *listener) {
		transport := l.edge.transport()
		defer transport.CloseIdleConnections()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url(), nil)
		if err != nil {
			t.Error(err)
			return
		}
		stream, err := launchdarkly.SubscribeWithRequestAndOptions(request,
			launchdarkly.StreamOptionHTTPClient(&http.Client{Transport: transport}),
			// Its Close waits for ever where an event is on its way, so the end of the request ends it.
			launchdarkly.StreamOptionErrorHandler(func(error) launchdarkly.StreamErrorHandlerResult {
				return launchdarkly.StreamErrorHandlerResult{CloseNow: ctx.Err() != nil}
			}))
		if err != nil {
			t.Error(err)
			return
		}
		for e := range stream.Events {
			if e.Event() != "" { // it passes heartbeats on, without name and data
				l.hear(e.Event(), e.Id(), e.Data())
			}
		}
	})
}

func startR3Labs(t *testing.T, listeners []*listener) {
	each(t, listeners, func(ctx context.Context, l *listener) {
		transport := l.edge.transport()
		defer transport.CloseIdleConnections()
		c := r3labs.NewClient(l.url())
		c.Connection = &http.Client{Transport: transport}
		c.ReconnectStrategy = until{ctx}
		// It takes the end of a stream for the end of the subscription, so its user subscribes again; it has the last id.
		for ctx.Err() == nil {
			_ = c.SubscribeRawWithContext(ctx, func(e *r3labs.Event) {
				if len(e.Event) > 0 {
					l.hear(string(e.Event), string(e.ID), string(e.Data))
				}
			})
		}
	})
}

// until has r3labs' client try again, as long as its context lasts.
type until struct{ ctx context.Context }

func (u until) Reset() {}

func (u until) NextBackOff() time.Duration {
	if u.ctx.Err() != nil {
		return -1 // its word for no more
	}
	return 100 * time.Millisecond
}

// startCurl runs curl as a script does: again and again, with the last id that was heard.
func startCurl(t *testing.T, listeners []*listener) {
	each(t, listeners, func(ctx context.Context, l *listener) {
		last := ""
		for ctx.Err() == nil {
			args := []string{"-sN", "--compressed", "-H", "Last-Event-ID: " + last, l.url()}
			if l.edge.cas != "" {
				args = append(args, "--cacert", l.edge.cas)
			}
			cmd := exec.CommandContext(ctx, "curl", args...)
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Error(err)
				return
			}
			p := &peer{t: t, body: bufio.NewReader(out)}
			for {
				e, err := p.read()
				if err != nil {
					break
				}
				if e.id != "" {
					last = e.id
				}
				if e.name != "" {
					l.hear(e.name, e.id, e.data)
				}
			}
			_ = cmd.Wait()
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// chromiumPage listens with the browser's own EventSource, and hands what it hears to the server, with the protocol that
// brought the page. As the first page it holds one frame for each way.
const chromiumPage = `<!doctype html><title>listening</title><script type="module">
const params = new URLSearchParams(location.search);
const protocol = performance.getEntriesByType("navigation")[0].nextHopProtocol;
for (const frame of params.getAll("frame")) document.body.append(Object.assign(document.createElement("iframe"), { src: frame }));
for (const key of params.getAll("key")) {
  const source = new EventSource("/play?key=" + key);
  let sent = Promise.resolve();
  for (const name of ["hello", "snapshot", "tick", "gap", "notice", "bye"]) source.addEventListener(name, (e) => {
    const body = JSON.stringify({ key, protocol, name, id: e.lastEventId, data: e.data });
    sent = sent.then(() => fetch("/heard", { method: "POST", body }));
  });
}
</script><body>`

var chromiumListeners sync.Map // by key

func chromiumHeard(c *fiber.Ctx) error {
	var e struct{ Key, Protocol, Name, ID, Data string }
	if err := json.Unmarshal(c.Body(), &e); err != nil {
		return err
	}
	if l, ok := chromiumListeners.Load(e.Key); ok {
		l := l.(*listener)
		if l.edge.quic && e.Protocol != "h3" {
			return fmt.Errorf("%s came by %s, not by HTTP/3", e.Name, e.Protocol)
		}
		l.hear(e.Name, e.ID, e.Data)
	}
	return nil
}

func startChromium(t *testing.T, listeners []*listener) {
	frames := map[string][]string{}
	var quic, hashes []string
	for _, l := range listeners {
		if l.edge.quic {
			quic = append(quic, strings.TrimPrefix(l.edge.base, "https://"))
			hashes = append(hashes, l.edge.keyHash(t))
		}
		chromiumListeners.Store(l.key, l)
		frames[l.edge.base] = append(frames[l.edge.base], "key="+l.key)
	}
	var query []string
	for base, keys := range frames {
		query = append(query, "frame="+strings.NewReplacer(":", "%3A", "/", "%2F", "?", "%3F", "=", "%3D", "&", "%26").Replace(base+"/chromium?"+strings.Join(keys, "&")))
	}
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Fatal("no Chromium is installed (apt-get install chromium)")
	}
	cmd := exec.CommandContext(t.Context(), path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--no-first-run", "--ignore-certificate-errors", "--remote-debugging-port=0",
		"--origin-to-force-quic-on="+strings.Join(quic, ","), "--host-resolver-rules=MAP localhost 127.0.0.1",
		"--ignore-certificate-errors-spki-list="+strings.Join(hashes, ","), // by HTTP/3 the flag for all certificates does not hold
		"--user-data-dir="+t.TempDir(), listeners[0].edge.base+"/chromium?"+strings.Join(query, "&"))
	pipe(t, cmd, func(out io.Reader) { _, _ = io.Copy(io.Discard, out) })
}
