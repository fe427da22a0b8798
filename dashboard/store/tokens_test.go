package store

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

func TestTokens(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	agent, agentSecret, err := s.Tokens.Create(ctx, "rack 1", AgentScope)
	must(t, err)
	metrics, metricsSecret, err := s.Tokens.Create(ctx, "prometheus", MetricsScope)
	must(t, err)
	for prefix, secret := range map[string]Secret{"tta_": agentSecret, "ttm_": metricsSecret} {
		bits, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(secret.Reveal(), prefix))
		if err != nil || len(bits) != 32 {
			t.Errorf("%s token has %d bytes, %v", prefix, len(bits), err)
		}
	}
	list := s.Tokens.List()
	if len(list) != 2 || list[0].ID != agent.ID || list[1].ID != metrics.ID || list[0].Scope != AgentScope || list[0].Name != "rack 1" {
		t.Errorf("list is %+v", list)
	}

	verify := func(secret string, scope Scope, want error) {
		t.Helper()
		if _, err := s.Tokens.Verify(secret, scope); !errors.Is(err, want) {
			t.Errorf("error is %v, want %v", err, want)
		}
	}
	verify(agentSecret.Reveal(), AgentScope, nil)
	verify(agentSecret.Reveal(), MetricsScope, ErrWrongToken)
	verify(metricsSecret.Reveal(), AgentScope, ErrWrongToken)
	verify(agentSecret.Reveal()+"x", AgentScope, ErrWrongToken)
	verify("", AgentScope, ErrWrongToken)
	verify(strings.Repeat("x", 1<<20), AgentScope, ErrWrongToken)

	must(t, s.Tokens.Revoke(ctx, agent.ID))
	wantEnd(t, agent.Context(), ErrRevoked)
	verify(agentSecret.Reveal(), AgentScope, ErrWrongToken)
	verify(metricsSecret.Reveal(), MetricsScope, nil)
	if err := s.Tokens.Revoke(ctx, agent.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("revoke again: %v", err)
	}
	if err := metrics.Context().Err(); err != nil {
		t.Errorf("the other token's context: %v", err)
	}
}

func TestTokenWithGivenSecret(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	f := func(name string, scope Scope, secret, want string) {
		t.Helper()
		_, err := s.Tokens.CreateWith(ctx, name, scope, secret)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one with %q", err, want)
		}
		if err != nil && secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
	const secret = "a-given-secret-16"
	f("a", AgentScope, "fifteen-charact", "has 15 characters: use 16 to 256")
	f("a", AgentScope, strings.Repeat("abcdefgh", 33), "has 264 characters: use 16 to 256")
	f("a", AgentScope, "with a space in it", "printable ASCII")
	f("a", AgentScope, "line\nfeed-in-the-token", "printable ASCII")
	f("a", AgentScope, strings.Repeat("ab", 10), "only 2 different characters")
	f("", AgentScope, secret, "token name")
	f(strings.Repeat("n", 65), AgentScope, secret, "token name")
	f("a", "root", secret, "unknown scope")

	token, err := s.Tokens.CreateWith(ctx, "given", AgentScope, secret)
	must(t, err)
	if got, err := s.Tokens.Verify(secret, AgentScope); err != nil || got.ID != token.ID {
		t.Errorf("given token: %+v, %v", got, err)
	}
	if _, err := s.Tokens.CreateWith(ctx, "again", AgentScope, secret); !errors.Is(err, ErrExists) {
		t.Errorf("created twice: %v", err)
	}
	must(t, s.Tokens.Revoke(ctx, token.ID))
	again, err := s.Tokens.CreateWith(ctx, "again", AgentScope, secret)
	must(t, err)
	if again.Context().Err() != nil || token.Context().Err() == nil {
		t.Error("the new token shares its context with the revoked one")
	}
}

// Two hubs, or a hub and a command line: what one does the other sees.
func TestRevocationIsSeenByOthers(t *testing.T) {
	server := startTestServer(t, t.TempDir())
	here := openOn(t, connectTo(t, server), DefaultConfig())
	there := openOn(t, connectTo(t, server), DefaultConfig())
	ctx := t.Context()
	made, secret, err := here.Tokens.Create(ctx, "a", AgentScope)
	must(t, err)
	eventually(t, "the token is known there", func() bool {
		_, err := there.Tokens.Verify(secret.Reveal(), AgentScope)
		return err == nil
	})
	seen, err := there.Tokens.Verify(secret.Reveal(), AgentScope)
	must(t, err)
	called := make(chan error, 1)
	context.AfterFunc(seen.Context(), func() { called <- context.Cause(seen.Context()) })

	must(t, here.Tokens.Revoke(ctx, made.ID))
	wantEnd(t, seen.Context(), ErrRevoked)
	if cause := <-called; !errors.Is(cause, ErrRevoked) {
		t.Errorf("callback with cause %v, want %v", cause, ErrRevoked)
	}
	if _, err := there.Tokens.Verify(secret.Reveal(), AgentScope); !errors.Is(err, ErrWrongToken) {
		t.Errorf("error is %v, want %v", err, ErrWrongToken)
	}
}

func TestNoSecretIsStored(t *testing.T) {
	nc := connectTo(t, startTestServer(t, t.TempDir()))
	s := openOn(t, nc, DefaultConfig())
	ctx := t.Context()
	must(t, s.Users.Create(ctx, "ada", goodPassword, Admin))
	user, err := s.Users.Verify(ctx, "ada", goodPassword)
	must(t, err)
	_, token, err := s.Tokens.Create(ctx, "a", AgentScope)
	must(t, err)
	_, cookie, err := s.Sessions.Create(ctx, user, "")
	must(t, err)
	js, err := jetstream.New(nc)
	must(t, err)
	for _, bucket := range []string{usersBucket, tokensBucket, sessionsBucket} {
		kv, err := js.KeyValue(ctx, bucket)
		must(t, err)
		keys, err := kv.Keys(ctx)
		must(t, err)
		for _, key := range keys {
			e, err := kv.Get(ctx, key)
			must(t, err)
			for _, secret := range []string{goodPassword, token.Reveal(), cookie.Reveal()} {
				if strings.Contains(key+string(e.Value()), secret) {
					t.Errorf("bucket %s holds a secret: %s %s", bucket, key, e.Value())
				}
			}
		}
	}
}

func BenchmarkTokenVerify(b *testing.B) {
	s := openTest(b)
	_, secret, err := s.Tokens.Create(b.Context(), "a", AgentScope)
	must(b, err)
	for b.Loop() {
		if _, err := s.Tokens.Verify(secret.Reveal(), AgentScope); err != nil {
			b.Fatal(err)
		}
	}
}
