package dashboard

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// client is a browser, or a program.
type client struct {
	t       testing.TB
	site    *site
	cookies []*http.Cookie
	header  http.Header
}

func (s *site) client() *client { return &client{t: s.t, site: s, header: http.Header{}} }

// signedIn is a client with a session, without the work of checking a password.
func (s *site) signedIn() *client {
	s.t.Helper()
	_, cookie, err := s.Store.Sessions.Create(s.t.Context(), s.Store.Users.List()[0], "test")
	must(s.t, err)
	c := s.client()
	c.cookies = []*http.Cookie{{Name: "telltale", Value: cookie.Reveal()}}
	return c
}

func (c *client) get(path string) reply { c.t.Helper(); return c.do(http.MethodGet, path, "") }

func (c *client) post(path, body string) reply {
	c.t.Helper()
	return c.do(http.MethodPost, path, body)
}

// transport keeps no connections, which would look like leaks, and decompresses nothing.
var transport = &http.Transport{DisableKeepAlives: true, DisableCompression: true}

func (c *client) open(method, path, body string) *http.Response {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	c.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, c.site.url+path, strings.NewReader(body))
	must(c.t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, values := range c.header {
		r.Header[name] = values
		if name == "Host" {
			r.Host = values[0]
		}
	}
	for _, cookie := range c.cookies {
		r.AddCookie(cookie)
	}
	answer, err := transport.RoundTrip(r)
	must(c.t, err)
	return answer
}

func (c *client) do(method, path, body string) reply {
	c.t.Helper()
	answer := c.open(method, path, body)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	must(c.t, err)
	return reply{answer, c.t, method + " " + path, text}
}

// reply is an answer that was read.
type reply struct {
	*http.Response
	t    testing.TB
	what string
	body []byte
}

// want checks the status, and the code of an error.
func (r reply) want(status int, code string) {
	r.t.Helper()
	var failure struct {
		Error struct{ Code, Message string }
	}
	if code != "" {
		if err := json.Unmarshal(r.body, &failure); err != nil {
			r.t.Errorf("%s: body %s: %v", r.what, r.body, err)
		}
	}
	if r.StatusCode != status || failure.Error.Code != code {
		r.t.Errorf("%s: got %d %s, want %d %q", r.what, r.StatusCode, r.body, status, code)
	}
	if code != "" && failure.Error.Message == "" {
		r.t.Errorf("%s: an error without a message: %s", r.what, r.body)
	}
}

// decode reads the body as JSON.
func (r reply) decode(into any) {
	r.t.Helper()
	if err := json.Unmarshal(r.body, into); err != nil {
		r.t.Fatalf("%s: body %s: %v", r.what, r.body, err)
	}
}

// viewer reads an event stream as a browser does.
type viewer struct {
	t    testing.TB
	body io.ReadCloser
	in   *bufio.Reader
}

type event struct{ id, name, data string }

func (c *client) view(query string) *viewer {
	c.t.Helper()
	answer := c.open(http.MethodGet, "/api/v1/stream?"+query, "")
	c.t.Cleanup(func() { _ = answer.Body.Close() })
	if got := answer.Header.Get("Content-Type"); answer.StatusCode != 200 || got != "text/event-stream" {
		c.t.Fatalf("stream: status %s, content type %q", answer.Status, got)
	}
	v := &viewer{c.t, answer.Body, bufio.NewReader(answer.Body)}
	return v
}

// next returns the next event; a block without one is passed over.
func (v *viewer) next() event {
	v.t.Helper()
	var e event
	for {
		line, err := v.in.ReadString('\n')
		if err != nil {
			v.t.Fatalf("read the stream: %v", err)
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" && e.name != "" {
			return e
		}
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		}
	}
}

// want checks the next event's name and reads its data.
func (v *viewer) want(name string, into any) event {
	v.t.Helper()
	e := v.next()
	if e.name != name {
		v.t.Fatalf("got event %+v, want %s", e, name)
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(e.data)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		v.t.Fatalf("event %+v: %v", e, err)
	}
	return e
}

func (v *viewer) wantBye(reason string) {
	v.t.Helper()
	var bye struct{ Reason string }
	v.want("bye", &bye)
	if bye.Reason != reason {
		v.t.Errorf("bye for %q, want %q", bye.Reason, reason)
	}
	if rest, err := io.ReadAll(v.in); err != nil || len(rest) > 0 {
		v.t.Errorf("after bye came %q, %v", rest, err)
	}
}
