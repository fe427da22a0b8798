package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go/jetstream"
)

// Scope says what a token is for.
type Scope string

// The scopes.
const (
	AgentScope   Scope = "agent"   // send samples
	MetricsScope Scope = "metrics" // read the hub's own metrics
	QueryScope   Scope = "query"   // read history, by queries and by SQL
	EventsScope  Scope = "events"  // record events
)

var scopePrefix = map[Scope]string{AgentScope: "tta_", MetricsScope: "ttm_", QueryScope: "ttq_", EventsScope: "tte_"}

// ErrWrongToken is returned by Verify for a token that is unknown, revoked or of another scope.
var ErrWrongToken = errors.New("unknown or revoked token")

// ErrRevoked is the cause of a revoked token's context.
var ErrRevoked = errors.New("the token was revoked")

// Token is what is known of a token; the secret itself is not.
type Token struct {
	ID      string // public, to list and revoke it by
	Name    string
	Scope   Scope
	Created time.Time

	ctx context.Context
}

// Context is done when the token is revoked, with cause ErrRevoked; it begins with the token, not
// with the call, so context.AfterFunc on it misses nothing. Closing the store ends it with ErrClosed.
func (t Token) Context() context.Context { return t.ctx }

// tokenRecord is a token as stored, under the SHA-256 of its secret.
type tokenRecord struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Scope   Scope     `json:"scope"`
	Created time.Time `json:"created"`
}

func asToken(e *entry[tokenRecord]) Token {
	r := e.value
	return Token{ID: r.ID, Name: r.Name, Scope: r.Scope, Created: r.Created, ctx: e.ctx}
}

// Tokens is what programs show to be let in.
type Tokens struct {
	cache *cache[tokenRecord]
	now   func() time.Time
}

func openTokens(ctx context.Context, js jetstream.JetStream, cfg Config, log *slog.Logger) (*Tokens, error) {
	kv, err := openBucket(ctx, js, jetstream.KeyValueConfig{Bucket: tokensBucket, Replicas: cfg.Replicas})
	if err != nil {
		return nil, err
	}
	standing := func(tokenRecord) error { return nil }
	c, err := openCache(ctx, js.Conn(), kv, standing, ErrRevoked, log)
	if err != nil {
		return nil, err
	}
	return &Tokens{cache: c, now: cfg.now}, nil
}

// Create makes a token of 256 random bits. The secret is returned here and never again.
func (t *Tokens) Create(ctx context.Context, name string, scope Scope) (Token, Secret, error) {
	secret := newSecret(scopePrefix[scope])
	token, err := t.CreateWith(ctx, name, scope, secret.Reveal())
	if err != nil {
		return Token{}, Secret{}, err
	}
	return token, secret, nil
}

// CreateWith makes a token of a secret that is given: 16 to 256 printable ASCII characters without
// spaces, not easily guessed. ErrExists when there is such a token.
func (t *Tokens) CreateWith(ctx context.Context, name string, scope Scope, secret string) (Token, error) {
	if err := errors.Join(checkTokenName(name), checkScope(scope), checkTokenSecret(secret)); err != nil {
		return Token{}, fmt.Errorf("create token: %w", err)
	}
	key := hashKey(secret)
	record := tokenRecord{ID: newTokenID(), Name: name, Scope: scope, Created: t.now().UTC()}
	if err := t.cache.create(ctx, key, record); err != nil {
		return Token{}, fmt.Errorf("create token %q: %w", name, err)
	}
	e, ok := t.cache.get(key)
	if !ok { // revoked in the very moment
		return Token{}, fmt.Errorf("create token %q: %w", name, ErrRevoked)
	}
	return asToken(e), nil
}

// Verify returns the token a secret belongs to, else ErrWrongToken. It asks nobody: it is a
// hash and a look into memory.
func (t *Tokens) Verify(secret string, scope Scope) (Token, error) {
	if len(secret) > maxTokenBytes {
		return Token{}, ErrWrongToken
	}
	e, ok := t.cache.get(hashKey(secret))
	if !ok || e.value.Scope != scope {
		return Token{}, ErrWrongToken
	}
	return asToken(e), nil
}

// List returns all tokens, oldest first.
func (t *Tokens) List() []Token {
	var list []Token
	for _, e := range t.cache.all() {
		list = append(list, asToken(e))
	}
	slices.SortFunc(list, func(a, b Token) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// Revoke ends the token with this id: it opens nothing any more, and its context is done here
// when Revoke returns, on other hubs within moments.
func (t *Tokens) Revoke(ctx context.Context, id string) error {
	for _, e := range t.cache.all() {
		if e.value.ID != id {
			continue
		}
		if err := t.cache.remove(ctx, e); err != nil {
			return fmt.Errorf("revoke token %s: %w", id, err)
		}
		return nil
	}
	return fmt.Errorf("revoke token %.80q: %w", id, ErrNotFound)
}

const (
	minTokenBytes = 16
	maxTokenBytes = 256
)

var tokenText = regexp.MustCompile(`^[!-~]+$`)

func checkTokenSecret(secret string) error {
	if len(secret) < minTokenBytes || len(secret) > maxTokenBytes {
		return fmt.Errorf("the token has %d characters: use %d to %d", len(secret), minTokenBytes, maxTokenBytes)
	}
	if !tokenText.MatchString(secret) {
		return errors.New("the token has characters other than printable ASCII without spaces")
	}
	if distinct := countDistinct(secret); distinct < 6 {
		return fmt.Errorf("the token has only %d different characters: use a random one", distinct)
	}
	return nil
}

func countDistinct(text string) int {
	seen := map[rune]bool{}
	for _, r := range text {
		seen[r] = true
	}
	return len(seen)
}

func checkTokenName(name string) error {
	if name == "" || len(name) > 64 || !utf8.ValidString(name) {
		return fmt.Errorf("the token name %.80q is not 1 to 64 bytes of text", name)
	}
	return nil
}

func checkScope(scope Scope) error {
	if scopePrefix[scope] == "" {
		return fmt.Errorf("unknown scope %.80q: use %s, %s, %s or %s", scope, AgentScope, MetricsScope, QueryScope, EventsScope)
	}
	return nil
}

// newTokenID is random and not made from the secret: it is printed and logged, and
// must not help to guess a secret somebody chose.
func newTokenID() string {
	var id [5]byte
	_, _ = rand.Read(id[:])
	return hex.EncodeToString(id[:])
}
