package stream

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
)

func TestJoin(t *testing.T) {
	s := open(t)
	s.setState(100, 40)
	p := s.connect("")
	hello := p.next()
	if hello.name != "hello" || hello.data != `{"version":1}` || hello.id != "" {
		t.Fatalf("first event is %+v", hello)
	}
	if ms, err := strconv.Atoi(hello.retry); err != nil || ms < 1500 || ms > 3000 {
		t.Errorf("retry is %q, want 1500 to 3000", hello.retry)
	}
	if got := p.want("snapshot", 100); got != `{"end":100,"pad":""}` {
		t.Errorf("snapshot holds %s", got)
	}
	s.publish(102)
	if got := p.want("tick", 101); got != `{"end":101,"pad":""}` {
		t.Errorf("tick holds %s", got)
	}
	p.want("tick", 102)
}

func TestHead(t *testing.T) {
	s := open(t)
	p := s.connect("")
	for name, want := range map[string]string{
		"Content-Type":           "text/event-stream",
		"Cache-Control":          "no-store, no-transform",
		"X-Accel-Buffering":      "no",
		"Vary":                   "Accept-Encoding",
		"Content-Encoding":       "",
		"Content-Length":         "",
		"X-Content-Type-Options": "nosniff",
	} {
		if got := p.resp.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !p.resp.Close || len(p.resp.TransferEncoding) != 0 {
		t.Errorf("close %v, transfer encoding %v; want a body that ends with the connection", p.resp.Close, p.resp.TransferEncoding)
	}
	if got := p.resp.Header.Get("Set-Cookie"); !strings.HasPrefix(got, "seen=yes") {
		t.Errorf("the handler's cookie is lost: %q", got)
	}
	resp, err := http.Head("http://" + s.addr + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" || resp.StatusCode != 200 {
		t.Errorf("HEAD: status %d, content type %q", resp.StatusCode, got)
	}
	if n := s.open(); n != 1 {
		t.Errorf("%d streams are open after a GET and a HEAD", n)
	}
}

// The server may be set to keep hijacked connections for somebody else's sake.
func TestKeepHijackedConns(t *testing.T) {
	s := open(t, func(_ *Config, app *fiber.App, _ *site) { app.Server().KeepHijackedConns = true })
	s.setState(1, 0)
	p := s.connect("?session=kept")
	p.want("hello", 0)
	p.want("snapshot", 1)
	s.hub.End("kept", "revoked")
	p.want("bye", 0)
	p.ended()
}

func TestCompressed(t *testing.T) {
	s := open(t)
	s.pad = strings.Repeat("0123456789", 2000)
	s.setState(7, 0)
	p := s.connect("?session=z", "Accept-Encoding: br, gzip")
	p.want("hello", 0)
	want := func(id int) string { return fmt.Sprintf(`{"end":%d,"pad":"%s"}`, id, s.pad) }
	if got := p.want("snapshot", 7); got != want(7) {
		t.Errorf("snapshot of %d bytes, want %d", len(got), len(want(7)))
	}
	for id := int64(8); id < 12; id++ { // each is readable before the next is sent
		s.publish(id)
		if got := p.want("tick", id); got != want(int(id)) {
			t.Errorf("tick of %d bytes, want %d", len(got), len(want(int(id))))
		}
	}
	late := s.connect("", "Accept-Encoding: gzip") // other viewers share the frames at any point
	late.want("hello", 0)
	late.want("snapshot", 11)
	s.publish(12)
	p.want("tick", 12)
	late.want("tick", 12)
	s.hub.End("z", "signed_out")
	if got := p.want("bye", 0); got != `{"reason":"signed_out"}` {
		t.Errorf("bye holds %s", got)
	}
	p.ended()
	eventually(t, "counted as gone", func() bool { return s.gone("signed_out") == 1 })
}

// net/http asks for gzip by itself and must deliver each event when it comes.
func TestNetHTTPClient(t *testing.T) {
	s := open(t)
	s.setState(1, 0)
	ctx, cancel := context.WithTimeout(context.Background(), enough)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if !resp.Uncompressed {
		t.Error("the stream was not compressed")
	}
	read := func(want string) {
		t.Helper()
		var got strings.Builder
		for one := make([]byte, 1); !strings.HasSuffix(got.String(), want); {
			if _, err := io.ReadFull(resp.Body, one); err != nil {
				t.Fatalf("after %q: %v", got.String(), err)
			}
			got.Write(one)
		}
	}
	read("event: snapshot\ndata: {\"end\":1,\"pad\":\"\"}\n\n")
	s.publish(2)
	read("id: 2\nevent: tick\ndata: {\"end\":2,\"pad\":\"\"}\n\n")
}

func TestNoStateYet(t *testing.T) {
	s := open(t)
	p := s.connect("")
	p.want("hello", 0)
	eventually(t, "asked for a snapshot", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.builds > 0
	})
	s.publish(1) // now there is a state, and the tick is part of it
	p.want("snapshot", 1)
	s.publish(2)
	p.want("tick", 2)
}

func TestNotices(t *testing.T) {
	s := open(t)
	s.publish(5)
	p := s.connect("")
	p.want("hello", 0)
	p.want("snapshot", 5)
	s.topic.Notice("notice", []byte("two\nlines"))
	if got := p.want("notice", 0); got != "two\nlines" {
		t.Errorf("notice holds %q", got)
	}
	s.publish(6)
	p.want("tick", 6)
	back := s.connect("", "Last-Event-ID: 5")
	back.want("hello", 0)
	back.want("tick", 6) // the notice was not for it
}

func TestPublishOrder(t *testing.T) {
	s := open(t)
	s.publish(5)
	if err := s.topic.Publish(5, []byte("{}")); err == nil || !strings.Contains(err.Error(), "5") {
		t.Errorf("an id published twice: error %v", err)
	}
	if err := s.topic.Publish(4, nil); err == nil {
		t.Error("an older id was taken")
	}
}

func TestHeartbeat(t *testing.T) {
	s := open(t, withConfig(func(c *Config) { c.Heartbeat = 100 * time.Millisecond }))
	s.setState(10, 0)
	for _, encoding := range []string{"identity", "gzip"} {
		p := s.connect("", "Accept-Encoding: "+encoding)
		p.want("hello", 0)
		p.want("snapshot", 10)
		if e, err := p.read(); err != nil || e != (event{id: "10"}) {
			t.Errorf("%s: got %+v, %v; want a block with id 10 only", encoding, e, err)
		}
	}
	p := s.connect("")
	p.want("hello", 0)
	p.want("snapshot", 10)
	if err := s.topic.Publish(20, nil); err != nil { // nothing to tell
		t.Fatal(err)
	}
	for {
		e, err := p.read()
		if err != nil || e.name != "" {
			t.Fatalf("got %+v, %v; want heartbeats", e, err)
		}
		if e.id == "20" {
			break
		}
	}
	back := s.connect("", "Last-Event-ID: 20")
	back.want("hello", 0)
	if e, err := back.read(); err != nil || e != (event{id: "20"}) {
		t.Errorf("who had it all got %+v, %v", e, err)
	}
}

func TestMaxAge(t *testing.T) {
	s := open(t, withConfig(func(c *Config) { c.MaxAge = 100 * time.Millisecond }))
	s.setState(1, 0)
	p := s.connect("")
	p.want("hello", 0)
	p.want("snapshot", 1)
	if got := p.want("bye", 0); got != `{"reason":"max_age"}` {
		t.Errorf("bye holds %s", got)
	}
	p.ended()
}

func TestExpires(t *testing.T) {
	s := open(t)
	s.setState(1, 0)
	s.expires = time.Now().Add(50 * time.Millisecond)
	p := s.connect("")
	for e := p.next(); e.name != "bye"; e = p.next() {
		continue
	}
	p.ended()
	eventually(t, "counted as expired", func() bool { return s.gone("expired") == 1 })
}

func TestEnd(t *testing.T) {
	s := open(t)
	s.setState(1, 0)
	peers := map[string][]*peer{}
	for i := range 9 {
		session := string(rune('a' + i%3))
		p := s.connect("?session=" + session)
		p.want("hello", 0)
		p.want("snapshot", 1)
		peers[session] = append(peers[session], p)
	}
	s.hub.End("b", "revoked")
	for _, p := range peers["b"] {
		if got := p.want("bye", 0); got != `{"reason":"revoked"}` {
			t.Errorf("bye holds %s", got)
		}
		p.ended()
	}
	s.publish(2)
	for _, p := range append(peers["a"], peers["c"]...) {
		p.want("tick", 2)
	}
	if n := s.open(); n != 6 {
		t.Errorf("%d streams are open, want 6", n)
	}
	// A stream whose request was checked just before the session ended.
	late := s.connect("?session=b")
	late.want("hello", 0)
	late.want("bye", 0)
	late.ended()
}

func TestLimits(t *testing.T) {
	s := open(t, withConfig(func(c *Config) { c.MaxViewers, c.MaxViewersPerUser = 3, 2 }))
	s.setState(1, 0)
	refused := func(query string) {
		t.Helper()
		for _, encoding := range []string{"gzip", "identity"} {
			p := s.connect(query, "Accept-Encoding: "+encoding)
			e := p.next()
			if ms, err := strconv.Atoi(e.retry); err != nil || ms < 5000 || ms > 20000 || e.name != "" {
				t.Errorf("refused with %+v, want retry of 5000 to 20000 only", e)
			}
			p.ended()
		}
	}
	first := s.connect("?user=a")
	first.want("hello", 0)
	s.connect("?user=a").want("hello", 0)
	refused("?user=a")
	s.connect("?user=b").want("hello", 0)
	refused("?user=c")
	_ = first.conn.Close()
	eventually(t, "a place is free", func() bool { return s.open() == 2 })
	s.connect("?user=c").want("hello", 0)
}

func TestCloseIdle(t *testing.T) {
	s := open(t)
	s.setState(1, 0)
	p := s.connect("")
	p.want("hello", 0)
	if s.topic.CloseIdle(0) {
		t.Fatal("closed a topic that is watched")
	}
	_ = p.conn.Close()
	eventually(t, "idle", func() bool { return !s.topic.CloseIdle(time.Hour) && s.topic.CloseIdle(0) })
	late := s.connect("")
	if e := late.next(); e.retry == "" || e.name != "" {
		t.Errorf("a closed topic gave %+v, want retry", e)
	}
	late.ended()
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	c := DefaultConfig()
	c.Stall, c.RingFrames = 0, -1
	err := c.Validate()
	if err == nil || !strings.Contains(err.Error(), "Stall is 0") || !strings.Contains(err.Error(), "RingFrames is -1") {
		t.Errorf("error %v does not name both fields", err)
	}
}
