package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// touchEvery is how often at most the use of a session is written down.
	touchEvery = time.Minute
	// sweepEvery is how late at most a session is ended that ran out or lost its user.
	sweepEvery = 500 * time.Millisecond
	// keepEnded is how much longer than a session its record stays, for every hub to read why it ended.
	keepEnded = time.Hour

	maxSessionsPerUser = 100
	maxRemoteBytes     = 64
)

// End says why a session is over. It is the cause of the session's context and the error of Get.
type End string

// The ends of a session.
const (
	SignedOut End = "signed out"
	Expired   End = "expired"
	Revoked   End = "revoked"
	Replaced  End = "replaced by a newer one" // the user has too many
)

func (e End) Error() string { return "the session is over: " + string(e) }

// ErrNoSession is returned by Get for a cookie that no live session has.
var ErrNoSession = errors.New("no such session")

// Session is one sign-in of a user.
type Session struct {
	Key     string // SHA-256 of the cookie in hex: a name for the session that opens nothing
	User    User   // as of now
	Created time.Time
	Expires time.Time // moves on with use
	Remote  string    // where the user signed in from

	ctx context.Context
}

// Context is done when the session ends, by an End as its cause; it begins with the session, not with
// the call, so context.AfterFunc on it misses nothing. Closing the store ends it with ErrClosed.
func (s Session) Context() context.Context { return s.ctx }

// sessionRecord is a session as stored, under the SHA-256 of its cookie.
type sessionRecord struct {
	User       string    `json:"user"`
	Generation int64     `json:"generation"` // of the user at sign-in
	Created    time.Time `json:"created"`
	Used       time.Time `json:"used"` // give or take touchEvery
	Expires    time.Time `json:"expires"`
	Remote     string    `json:"remote,omitempty"`
	Ended      End       `json:"ended,omitempty"`
}

// Sessions is who is signed in.
type Sessions struct {
	cache          *cache[sessionRecord]
	js             jetstream.JetStream
	users          *Users
	idle, lifetime time.Duration
	now            func() time.Time
	log            *slog.Logger

	mu       sync.Mutex
	touching map[string]bool // keys whose use is just being written; guarded by mu

	stop context.CancelFunc
	done chan struct{}
}

func openSessions(ctx context.Context, js jetstream.JetStream, users *Users, cfg Config, log *slog.Logger) (*Sessions, error) {
	// Marker times make the server remove each record by its own time to live.
	kv, err := openBucket(ctx, js, jetstream.KeyValueConfig{
		Bucket: sessionsBucket, Replicas: cfg.Replicas, LimitMarkerTTL: keepEnded,
	})
	if err != nil {
		return nil, err
	}
	ended := func(r sessionRecord) error {
		if r.Ended != "" {
			return r.Ended
		}
		return nil
	}
	c, err := openCache(ctx, js.Conn(), kv, ended, Expired, log)
	if err != nil {
		return nil, err
	}
	lifetime, stop := context.WithCancel(context.Background())
	s := &Sessions{
		cache: c, js: js, users: users,
		idle: cfg.SessionIdle, lifetime: cfg.SessionLifetime,
		now: cfg.now, log: log,
		touching: map[string]bool{},
		stop:     stop, done: make(chan struct{}),
	}
	go s.sweep(lifetime)
	return s, nil
}

func (s *Sessions) close() {
	s.stop()
	<-s.done
	s.cache.close()
}

// Create signs a user in, as returned by Verify, from the remote address given. The secret is the
// cookie's value. Beyond 100 sessions the user's least recently used one is ended.
func (s *Sessions) Create(ctx context.Context, user User, remote string) (Session, Secret, error) {
	if err := s.makeRoom(ctx, user.Name); err != nil {
		return Session{}, Secret{}, fmt.Errorf("create session: %w", err)
	}
	cookie := newSecret("")
	key := hashKey(cookie.Reveal())
	record := sessionRecord{User: user.Name, Generation: user.generation, Created: s.now().UTC()}
	record.Remote = remote[:min(len(remote), maxRemoteBytes)]
	s.use(&record)
	revision, err := s.write(ctx, key, record)
	if err == nil {
		err = s.cache.await(ctx, revision)
	}
	if err != nil {
		return Session{}, Secret{}, fmt.Errorf("create session: %w", err)
	}
	session, err := s.session(key)
	if err != nil { // the user was changed since Verify
		return Session{}, Secret{}, fmt.Errorf("create session: %w", err)
	}
	return session, cookie, nil
}

// Get returns the live session of a cookie, else ErrNoSession or the End that just came. It counts
// as use and moves the expiry on; that is written at most once a minute.
func (s *Sessions) Get(ctx context.Context, cookie string) (Session, error) {
	if len(cookie) > maxTokenBytes {
		return Session{}, ErrNoSession
	}
	key := hashKey(cookie)
	session, err := s.session(key)
	if err == nil {
		s.touch(ctx, key)
	}
	return session, err
}

// Use counts as use of a session, by its key. Its failure only lets the session end earlier, and is logged.
func (s *Sessions) Use(ctx context.Context, key string) {
	if _, err := s.session(key); err == nil {
		s.touch(ctx, key)
	}
}

func (s *Sessions) session(key string) (Session, error) {
	e, ok := s.cache.get(key)
	if !ok {
		return Session{}, ErrNoSession
	}
	user, err := s.check(e.value)
	if err != nil {
		return Session{}, err
	}
	r := e.value
	return Session{Key: key, User: user, Created: r.Created, Expires: r.Expires, Remote: r.Remote, ctx: e.ctx}, nil
}

// check returns the user of a session, or its End.
func (s *Sessions) check(r sessionRecord) (User, error) {
	if !s.now().Before(r.Expires) {
		return User{}, Expired
	}
	e, ok := s.users.cache.get(userKey(r.User))
	if !ok || r.Generation < e.value.Generation {
		return User{}, Revoked
	}
	return e.value.user(), nil
}

// SignOut ends a session by its key; the context of the session is done when SignOut returns.
func (s *Sessions) SignOut(ctx context.Context, key string) error {
	return s.finish(ctx, key, SignedOut)
}

// Revoke ends somebody's session by its key.
func (s *Sessions) Revoke(ctx context.Context, key string) error { return s.finish(ctx, key, Revoked) }

// RevokeUser ends all sessions of a user, on all hubs and also those that begin at this moment
// with what was verified before. Get refuses them at once, their contexts are done within a second.
func (s *Sessions) RevokeUser(ctx context.Context, name string) error {
	if err := s.users.change(ctx, name, func(*userRecord) {}); err != nil {
		return fmt.Errorf("end sessions of %q: %w", name, err)
	}
	return nil
}

// finish marks a session as ended; the mark wins over whatever is written at the same time.
func (s *Sessions) finish(ctx context.Context, key string, end End) error {
	e, ok := s.cache.get(key)
	if !ok {
		return fmt.Errorf("end session: %w", ErrNotFound)
	}
	record := e.value
	record.Ended = end
	revision, err := s.write(ctx, key, record)
	if err == nil {
		err = s.cache.await(ctx, revision)
	}
	if err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}
