package store

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestEverythingSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	server := startTestServer(t, dir)
	nc := connectTo(t, server)
	s := openOn(t, nc, DefaultConfig())
	ctx := t.Context()
	must(t, s.Users.Create(ctx, "Ada@example.org", goodPassword, Viewer))
	token, secret, err := s.Tokens.Create(ctx, "rack 1", AgentScope)
	must(t, err)
	user, err := s.Users.Verify(ctx, "ada@EXAMPLE.org", goodPassword)
	must(t, err)
	session, cookie, err := s.Sessions.Create(ctx, user, "192.0.2.7")
	must(t, err)
	s.Close()
	wantEnd(t, token.Context(), ErrClosed)
	wantEnd(t, session.Context(), ErrClosed)
	nc.Close()
	server.Close()

	s = openOn(t, connectTo(t, startTestServer(t, dir)), DefaultConfig())
	if user, err := s.Users.Verify(ctx, "ada@example.org", goodPassword); err != nil || user.Role != Viewer {
		t.Errorf("Verify after restart: %+v, %v", user, err)
	}
	if again, err := s.Tokens.Verify(secret.Reveal(), AgentScope); err != nil || again.ID != token.ID || again.Name != "rack 1" {
		t.Errorf("token after restart: %+v, %v", again, err)
	}
	again, err := s.Sessions.Get(ctx, cookie.Reveal())
	if err != nil || again.User.Name != "ada@example.org" || again.Remote != "192.0.2.7" || !again.Expires.Equal(session.Expires) {
		t.Errorf("session after restart: %+v, %v", again, err)
	}
}

func TestCloseAfterTheConnection(t *testing.T) {
	nc := connectTo(t, startTestServer(t, t.TempDir()))
	s := openOn(t, nc, DefaultConfig())
	nc.Close()
	s.Close()
	s.Close()
}

func TestOpenRefusesBadConfig(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		cfg := DefaultConfig()
		change(&cfg)
		_, err := Open(t.Context(), nil, cfg, testLog(t))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one with %q", err, want)
		}
	}
	f(func(c *Config) { c.Replicas = 0 }, "replicas is 0: use 1 to 5")
	f(func(c *Config) { c.SessionIdle = time.Second }, "use at least 5m0s")
	f(func(c *Config) { c.SessionLifetime = time.Hour }, "session lifetime is 1h0m0s")
	f(func(c *Config) { c.SessionLifetime = 1000 * time.Hour * 24 }, "at most 2160h0m0s")
}

func TestOpenGivesUp(t *testing.T) {
	nc := connectTo(t, startTestServer(t, t.TempDir()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, nc, DefaultConfig(), testLog(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want %v", err, context.Canceled)
	}
}

func TestUnreadableRecordIsIgnored(t *testing.T) {
	nc := connectTo(t, startTestServer(t, t.TempDir()))
	s := openOn(t, nc, DefaultConfig())
	ctx := t.Context()
	_, err := s.Tokens.cache.kv.Put(ctx, hashKey("some secret or other"), []byte("{"))
	must(t, err)
	_, secret, err := s.Tokens.Create(ctx, "a", AgentScope)
	must(t, err)
	if _, err := s.Tokens.Verify(secret.Reveal(), AgentScope); err != nil {
		t.Error(err)
	}
	if _, err := s.Tokens.Verify("some secret or other", AgentScope); !errors.Is(err, ErrWrongToken) {
		t.Errorf("error is %v, want %v", err, ErrWrongToken)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	cfg := DefaultConfig()
	cfg.Metrics = reg
	s := openOn(t, connectTo(t, startTestServer(t, t.TempDir())), cfg)
	_, _, err := s.Tokens.Create(t.Context(), "a", MetricsScope)
	must(t, err)
	want := "# HELP telltale_store_tokens Tokens that are valid.\n# TYPE telltale_store_tokens gauge\ntelltale_store_tokens 1\n"
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "telltale_store_tokens"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(reg); err != nil || n < 5 {
		t.Errorf("%d metrics, %v", n, err)
	}
}
