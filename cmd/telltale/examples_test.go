package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const examples = "../../docs/examples"

// script starts one of the examples' programs.
func (in *installation) script(name string, args ...string) *process {
	in.t.Helper()
	return in.start("node", append([]string{filepath.Join(examples, name)}, args...)...)
}

// installNode puts node beside the built programs, with all that the examples need.
func (in *installation) installNode() {
	in.t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		in.t.Fatal("node is missing: install Node.js 20.19 or newer, with npm")
	}
	for folder, module := range map[string]string{"docs/examples/shop": "ws", "web": "playwright-core"} {
		if _, err := os.Stat(filepath.Join("../..", folder, "node_modules", module)); err != nil {
			in.t.Fatalf("the package %s is missing: run npm ci --prefix %s", module, folder)
		}
	}
	if err := os.Symlink(node, filepath.Join(in.bin, "node")); err != nil {
		in.t.Fatal(err)
	}
}

func TestExamples(t *testing.T) {
	in := install(t)
	in.installNode()
	hub := in.startHub()
	in.startAgent() // the page shows its host
	shop := in.script("shop/push.mjs", "ws://"+in.listen)
	in.awaitReports(hub, 3)

	// What the shop sends to a hub that hears no more is in flight when that hub dies, and has to be sent again.
	if err := hub.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2500 * time.Millisecond)
	hub.signal(syscall.SIGKILL)
	hub = in.startHub()
	in.awaitReports(hub, 3)
	shop.signal(syscall.SIGTERM)
	checkShop(t, hub, shop)

	proxy := in.script("listen/server.mjs", "http://"+in.listen, "0")
	var address string
	eventually(t, "the proxy listens", func() bool {
		address = strings.TrimSpace(proxy.output.String())
		return strings.HasPrefix(address, "http://")
	})
	in.awaitMore(hub, 1) // the host's agent has come back, too
	listenThrough(t, address)
	look := in.script("listen/check.mjs", address)
	<-look.ended
	if code := look.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the check of the page in Chromium ends with exit code %d", code)
	}
	proxy.signal(syscall.SIGTERM)
	if code := proxy.ProcessState.ExitCode(); code != 0 {
		t.Errorf("an orderly stop of the proxy ends with exit code %d", code)
	}
}

// awaitReports waits until so many more of the shop's reports are stored.
func (in *installation) awaitReports(hub *process, reports int) {
	in.t.Helper()
	count := func() int {
		n, err := strconv.Atoi(mustSQL(in.t, hub, "SELECT uniqExact(ts) FROM samples WHERE metric = 'orders.placed'"))
		if err != nil {
			in.t.Fatal(err)
		}
		return n
	}
	before := count()
	eventually(in.t, "the shop's reports are stored", func() bool { return count() >= before+reports })
}

var totals = regexp.MustCompile(`(?m)^acknowledged: (\d+) orders, (\d+) checkouts; not acknowledged: 0 batches$`)

// checkShop compares what the shop says is stored with what is.
func checkShop(t *testing.T, hub, shop *process) {
	t.Helper()
	said := totals.FindStringSubmatch(shop.output.String())
	if code := shop.ProcessState.ExitCode(); code != 0 || said == nil {
		t.Fatalf("the shop ends with exit code %d and no totals", code)
	}
	f := func(want, query string) {
		t.Helper()
		if got := mustSQL(t, hub, query); got != want {
			t.Errorf("%s\n%s\nwant\n%s", query, got, want)
		}
	}
	const checkouts = " FROM samples WHERE metric = 'checkout.latency'"
	f(said[1], "SELECT sum(value) FROM samples WHERE metric = 'orders.placed'")
	f(said[2], "SELECT sum(count)"+checkouts)
	f("", "SELECT metric, labels, ts, value FROM samples WHERE agent = 'shop-1' GROUP BY ALL HAVING count() > 1")
	f("checkout.latency\tdistribution\ts\tshop-1\teu\tde\t2\n"+
		"checkout.latency\tdistribution\ts\tshop-1\teu\tfr\t2\n"+
		"orders.placed\tcounter\t1\tshop-1\teu\tde\t2\n"+
		"orders.placed\tcounter\t1\tshop-1\teu\tfr\t2",
		"SELECT DISTINCT metric, kind, unit, agent, labels['region'], labels['shop'] AS shop, length(labels) FROM samples WHERE agent = 'shop-1' ORDER BY metric, shop")
	// Every value is the middle of a bin, and a latency that the shop can have.
	f("1", "SELECT max(abs(bin - round(bin))) < 1e-6 AND min(value) > 0.079 AND max(value) < 1.63 FROM (SELECT value, log(value / 0.99) / log(1.01 / 0.99) AS bin"+checkouts+")")
}

// listenThrough signs in and listens as a browser does, through the proxy.
func listenThrough(t *testing.T, address string) {
	t.Helper()
	if answer := ask(t, address, http.MethodGet, "/api/v1/stream?dashboard=overview", "", nil, ""); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("the stream without a session: %s", answer.Status)
	}
	const login, credentials = "/api/v1/login", `{"user":"admin","password":"a-password-for-tests"}`
	if answer := ask(t, address, http.MethodPost, login, "http://elsewhere.example", nil, credentials); answer.StatusCode != http.StatusForbidden {
		t.Errorf("signing in from another origin: %s", answer.Status)
	}
	answer := ask(t, address, http.MethodPost, login, address, nil, credentials)
	if answer.StatusCode != http.StatusNoContent || len(answer.Cookies()) != 1 || !answer.Cookies()[0].HttpOnly {
		t.Fatalf("signing in: %s, cookies %v", answer.Status, answer.Cookies())
	}
	stream := ask(t, address, http.MethodGet, "/api/v1/stream?dashboard=overview", "", answer.Cookies()[0], "")
	if got := stream.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/event-stream") {
		t.Fatalf("the stream: %s, %s", stream.Status, got)
	}
	events := bufio.NewScanner(stream.Body)
	if hello := nextEvent(t, events); hello.name != "hello" || hello.Dashboard != "overview" {
		t.Errorf("first comes %+v, want hello", hello)
	}
	snapshot := nextEvent(t, events)
	if _, found := snapshot.Queries["memory"]; snapshot.name != "snapshot" || !found {
		t.Errorf("second comes %+v, want a snapshot with the memory of all hosts", snapshot)
	}
	// On a machine that is too busy a tick may be without the agent's sample.
	for end, whole := snapshot.End, 0; whole < 3; {
		tick := nextEvent(t, events)
		if tick.name != "tick" {
			continue
		}
		if tick.End <= end || tick.End%1000 != 0 {
			t.Errorf("after the window that ends at %d comes that of %d", end, tick.End)
		}
		end = tick.End
		if memory := tick.Values["memory"]; len(memory) == 1 && memory[0] != nil && *memory[0] > 0 && *memory[0] < 1 {
			whole++
		}
	}
}

// ask makes one request; its answer's body is closed at the end of the test, since a stream has no other.
func ask(t *testing.T, address, method, path, origin string, cookie *http.Cookie, body string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, method, address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if origin != "" {
		request.Header.Set("Origin", origin)
	}
	if cookie != nil {
		request.AddCookie(cookie)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

// event is what the examples' page reads of hello, snapshot and tick.
type event struct {
	name      string
	Dashboard string
	End       int64 // ms
	Values    map[string][]*float64
	Queries   map[string]any
}

// nextEvent passes over heartbeats, which have no data.
func nextEvent(t *testing.T, lines *bufio.Scanner) event {
	t.Helper()
	var e event
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			e.name = value
		case "data":
			if err := json.Unmarshal([]byte(value), &e); err != nil {
				t.Fatalf("%s %s: %v", e.name, value, err)
			}
			return e
		}
	}
	t.Fatalf("the stream ends: %v", lines.Err())
	return e
}
