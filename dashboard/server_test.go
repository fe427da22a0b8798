package dashboard

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/nats-io/nats.go/jetstream"

	"telltale/dashboard/store"
)

// Nothing of the API answers without a session, whatever is added to it.
func TestNoSession(t *testing.T) {
	s := open(t)
	c := s.client()
	open := map[string]bool{"/api/v1/ingest": true, "/api/v1/login": true}
	found := 0
	for _, route := range s.Fiber().GetRoutes(true) {
		if !strings.HasPrefix(route.Path, "/api/") || open[route.Path] || route.Method == http.MethodConnect {
			continue
		}
		found++
		path := strings.NewReplacer(":id", "overview", ":agent", "a", "*", "x").Replace(route.Path)
		body := ""
		if route.Method == http.MethodPost || route.Method == http.MethodPut || route.Method == http.MethodPatch {
			body = "{}"
		}
		code := "unauthorized"
		if route.Method == http.MethodHead {
			code = ""
		}
		c.do(route.Method, path, body).want(http.StatusUnauthorized, code)
	}
	if found < 6 {
		t.Errorf("only %d routes were tried", found)
	}
	c.get("/api/v1/nothing").want(http.StatusUnauthorized, "unauthorized")
	c.cookies = []*http.Cookie{{Name: "telltale", Value: "made-up"}}
	c.get("/api/v1/session").want(http.StatusUnauthorized, "unauthorized")
	c.cookies[0].Value = strings.Repeat("x", 3000)
	c.get("/api/v1/session").want(http.StatusUnauthorized, "unauthorized")
	c.get("/api/v1/ingest").want(http.StatusOK, "")
}

func TestSignInAndOut(t *testing.T) {
	s := open(t)
	c := s.client()
	in := c.post("/api/v1/login", `{"user":"Admin","password":"`+password+`"}`)
	in.want(http.StatusNoContent, "")
	c.cookies = in.Cookies()
	cookie := c.cookies[0]
	if cookie.Name != "telltale" || !cookie.HttpOnly || cookie.Secure || cookie.SameSite != http.SameSiteLaxMode ||
		cookie.Path != "/" || cookie.Domain != "" || time.Until(cookie.Expires) < 7*24*time.Hour {
		t.Errorf("cookie %v", cookie)
	}
	var session struct {
		User    string
		Expires int64
	}
	answer := c.get("/api/v1/session")
	answer.want(http.StatusOK, "")
	answer.decode(&session)
	if left := time.Until(time.UnixMilli(session.Expires)); session.User != "admin" || left < 11*time.Hour || left > 12*time.Hour {
		t.Errorf("session %+v", session)
	}
	if got := answer.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("cache control %q", got)
	}
	out := c.post("/api/v1/logout", "")
	out.want(http.StatusNoContent, "")
	if gone := out.Cookies(); len(gone) != 1 || gone[0].Value != "" || time.Until(gone[0].Expires) > 0 {
		t.Errorf("cookies %v, want one that has expired", gone)
	}
	c.get("/api/v1/session").want(http.StatusUnauthorized, "unauthorized")
}

func TestSignInIsRefused(t *testing.T) {
	s := open(t)
	c := s.client()
	f := func(body string, status int, code string) {
		t.Helper()
		r := c.post("/api/v1/login", body)
		r.want(status, code)
		if len(r.Cookies()) > 0 {
			t.Errorf("a refusal sets cookies: %v", r.Cookies())
		}
	}
	f(`{`, http.StatusBadRequest, "bad_request")
	f(`{"user":1}`, http.StatusBadRequest, "bad_request")
	f(`{"user":"admin","password":"`+strings.Repeat("x", 257)+`"}`, http.StatusBadRequest, "too_long")
	f(`{"user":"admin","password":"wrong password"}`, http.StatusUnauthorized, "wrong_credentials")
	f(`{"user":"nobody","password":"`+password+`"}`, http.StatusUnauthorized, "wrong_credentials")
	f(`{}`, http.StatusUnauthorized, "wrong_credentials")

	c.header.Set("Content-Type", "text/plain")
	f(`{"user":"admin","password":"`+password+`"}`, http.StatusUnsupportedMediaType, "not_json")
	c.header.Set("Content-Type", "application/json")
	c.header.Set("Content-Encoding", "gzip")
	f("zipped", http.StatusUnsupportedMediaType, "compressed")
	c.header.Del("Content-Encoding")
}

// The refusal comes before the body: what is sent of it is not read, so here nothing is.
func TestBodyTooLarge(t *testing.T) {
	s := open(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	must(t, err)
	defer func() { _ = conn.Close() }()
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = fmt.Fprintf(conn, "POST /api/v1/login HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", maxBodyBytes+1)
	must(t, err)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	must(t, err)
	reply{answer, t, "a large body", text}.want(http.StatusRequestEntityTooLarge, "body_too_large")
}

func TestPublicErrors(t *testing.T) {
	f := func(err error, status int, code string) {
		t.Helper()
		if got := publicError(fmt.Errorf("wrapped: %w", err)); got.status != status || got.code != code || strings.Contains(got.message, "secret") {
			t.Errorf("%v: got %+v, want %d %s", err, got, status, code)
		}
	}
	f(errors.New("secret"), http.StatusInternalServerError, "internal")
	f(fiber.ErrBadGateway, http.StatusBadRequest, "bad_request")
	f(fiber.ErrRequestHeaderFieldsTooLarge, http.StatusRequestHeaderFieldsTooLarge, "head_too_large")
	f(fiber.ErrRequestTimeout, http.StatusRequestTimeout, "request_timeout")
	f(&fiber.Error{Code: http.StatusBadGateway, Message: "secret"}, http.StatusInternalServerError, "internal")
	f(&apiError{http.StatusServiceUnavailable, "busy", "later", errors.New("secret")}, http.StatusServiceUnavailable, "busy")
}

func TestPanicEndsOneRequestOnly(t *testing.T) {
	s := open(t, func(_ *Config, p *Parts) {
		p.Register = func(r fiber.Router) { r.Get("/door", func(*fiber.Ctx) error { panic("secret") }) }
	})
	r := s.client().get("/door")
	r.want(http.StatusInternalServerError, "internal")
	if strings.Contains(string(r.body), "secret") {
		t.Errorf("the answer tells the cause: %s", r.body)
	}
	s.client().get("/healthz").want(http.StatusOK, "")
}

func TestTooManyAttempts(t *testing.T) {
	s := open(t)
	c := s.client()
	wrong := `{"user":"admin","password":"wrong password"}`
	for range 5 {
		c.post("/api/v1/login", wrong).want(http.StatusUnauthorized, "wrong_credentials")
	}
	r := c.post("/api/v1/login", `{"user":"admin","password":"`+password+`"}`)
	r.want(http.StatusTooManyRequests, "too_many_attempts")
	if wait := r.Header.Get("Retry-After"); wait == "" || wait == "0" || len(wait) > 2 {
		t.Errorf("Retry-After is %q, want up to 10 s", wait)
	}
}

func TestForeignOrigin(t *testing.T) {
	s := open(t)
	c := s.signedIn()
	signIn := `{"user":"admin","password":"` + password + `"}`
	f := func(origin string, ok bool) {
		t.Helper()
		c.header.Set("Origin", origin)
		if ok {
			c.post("/api/v1/login", signIn).want(http.StatusNoContent, "")
			c.post("/api/v1/query", "{}").want(http.StatusBadRequest, "bad_request")
			return
		}
		for _, path := range []string{"/api/v1/login", "/api/v1/logout", "/api/v1/query"} {
			c.post(path, signIn).want(http.StatusForbidden, "foreign_origin")
		}
		c.get("/api/v1/session").want(http.StatusOK, "") // changes nothing
	}
	f(s.url, true)
	f("https://evil.example", false)
	f("null", false)
	f(strings.Replace(s.url, "http:", "https:", 1), false)
	f(s.url+".evil.example", false)
	f(s.url+"1", false)
}

func TestPublicURL(t *testing.T) {
	s := open(t, func(c *Config, _ *Parts) { c.PublicURL = "https://Telltale.example:443/ignored" })
	c := s.client()
	c.header.Set("Origin", "https://telltale.example")
	r := c.post("/api/v1/login", `{"user":"admin","password":"`+password+`"}`)
	r.want(http.StatusNoContent, "")
	if cookie := r.Cookies()[0]; cookie.Name != "__Host-telltale" || !cookie.Secure || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("cookie %v", cookie)
	}
	c.header.Set("Origin", s.url)
	c.post("/api/v1/login", "{}").want(http.StatusForbidden, "foreign_origin")

	for _, wrong := range []string{"telltale.example", "ftp://telltale.example", "https://", "://"} {
		if _, err := parsePublicURL(wrong); err == nil {
			t.Errorf("public URL %q was taken", wrong)
		}
	}
}

// Whoever is no trusted proxy cannot say that the browser speaks TLS, or to which host.
func TestForwardedHeaders(t *testing.T) {
	f := func(trusted bool, proxies ...string) {
		t.Helper()
		s := open(t, func(c *Config, _ *Parts) { c.TrustedProxies = proxies })
		c := s.client()
		c.header.Set("X-Forwarded-Proto", "https")
		c.header.Set("X-Forwarded-Host", "telltale.example")
		c.header.Set("Origin", "https://telltale.example")
		r := c.post("/api/v1/login", `{"user":"admin","password":"`+password+`"}`)
		if !trusted {
			r.want(http.StatusForbidden, "foreign_origin")
			return
		}
		r.want(http.StatusNoContent, "")
		if cookie := r.Cookies()[0]; cookie.Name != "__Host-telltale" || !cookie.Secure {
			t.Errorf("cookie %v", cookie)
		}
	}
	f(false)
	f(true, "10.0.0.0/8", "127.0.0.0/8")
}

// expire lets a client's session run out, as time would.
func (s *site) expire(c *client) {
	s.t.Helper()
	session, err := s.Store.Sessions.Get(s.t.Context(), c.cookies[0].Value)
	must(s.t, err)
	js, err := jetstream.New(s.nats)
	must(s.t, err)
	bucket, err := js.KeyValue(s.t.Context(), "telltale_sessions")
	must(s.t, err)
	entry, err := bucket.Get(s.t.Context(), session.Key)
	must(s.t, err)
	var record map[string]any
	must(s.t, json.Unmarshal(entry.Value(), &record))
	record["expires"] = time.Now().Add(-time.Second).UTC()
	data, err := json.Marshal(record)
	must(s.t, err)
	_, err = bucket.Put(s.t.Context(), session.Key, data)
	must(s.t, err)
	eventually(s.t, "the session has expired", func() bool {
		_, err := s.Store.Sessions.Get(context.Background(), c.cookies[0].Value)
		return errors.Is(err, store.Expired) || errors.Is(err, store.ErrNoSession)
	})
}

func TestHealth(t *testing.T) {
	missing := errors.New("ClickHouse starts")
	state := missing
	s := open(t, func(_ *Config, p *Parts) {
		p.Checks = []Check{{"history", func() error { return state }}, {"store", func() error { return nil }}}
	})
	c := s.client()
	c.get("/healthz").want(http.StatusOK, "")
	r := c.get("/readyz")
	r.want(http.StatusServiceUnavailable, "")
	if got := string(r.body); got != `{"checks":{"history":"ClickHouse starts","store":"ok"},"ready":false}` {
		t.Errorf("readyz says %s", got)
	}
	state = nil
	c.get("/readyz").want(http.StatusOK, "")
}

func TestMetrics(t *testing.T) {
	s := open(t)
	c := s.client()
	c.get("/metrics").want(http.StatusUnauthorized, "unauthorized")
	_, agentToken, err := s.Store.Tokens.Create(t.Context(), "web-1", store.AgentScope)
	must(t, err)
	_, token, err := s.Store.Tokens.Create(t.Context(), "prometheus", store.MetricsScope)
	must(t, err)
	f := func(authorization string, ok bool) {
		t.Helper()
		c.header.Set("Authorization", authorization)
		r := c.get("/metrics")
		if !ok {
			r.want(http.StatusUnauthorized, "unauthorized")
			return
		}
		r.want(http.StatusOK, "")
		for _, name := range []string{"telltale_dashboard_topics 0", "telltale_dashboard_publish_seconds_count 0"} {
			if !strings.Contains(string(r.body), name) {
				t.Errorf("metrics lack %s", name)
			}
		}
	}
	f("Bearer "+token.Reveal(), true)
	f("Bearer "+agentToken.Reveal(), false)
	f("Bearer x", false)
	f("Basic "+token.Reveal(), false)
	signedIn := s.signedIn()
	signedIn.get("/metrics").want(http.StatusOK, "")
	signedIn.header.Set("Authorization", "Bearer "+token.Reveal())
	signedIn.get("/api/v1/agents").want(http.StatusOK, "")
	c.header.Set("Authorization", "Bearer "+token.Reveal())
	c.get("/api/v1/agents").want(http.StatusUnauthorized, "unauthorized") // a metrics token opens metrics alone
}
