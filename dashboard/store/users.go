package store

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Role says what a user may do.
type Role string

// The roles.
const (
	Admin   Role = "admin"
	Analyst Role = "analyst" // sees dashboards and asks history anything
	Viewer  Role = "viewer"
)

// ErrWrongCredentials is returned by Verify for a wrong password and for an unknown user alike.
var ErrWrongCredentials = errors.New("wrong user name or password")

// ErrLastAdmin is returned by Delete for the only admin there is.
var ErrLastAdmin = errors.New("the last admin cannot be deleted: make another one first")

// User is somebody who can sign in.
type User struct {
	Name    string // lower case
	Role    Role
	Created time.Time
	Changed time.Time // when the password was last set

	generation int64
}

// userRecord is a user as stored. Sessions of an older generation than their user's are over.
type userRecord struct {
	Name       string    `json:"name"`
	Hash       string    `json:"hash"`
	Role       Role      `json:"role"`
	Created    time.Time `json:"created"`
	Changed    time.Time `json:"changed"`
	Generation int64     `json:"generation"` // nanoseconds since the Unix epoch, only ever growing
}

func (r userRecord) user() User {
	return User{Name: r.Name, Role: r.Role, Created: r.Created, Changed: r.Changed, generation: r.Generation}
}

// Users is everybody who can sign in. Names do not differ by case.
type Users struct {
	cache   *cache[userRecord]
	hasher  *hasher
	signIns *prometheus.CounterVec
	nobody  argon2idHash // checked in place of the hash of a user who does not exist
	now     func() time.Time
}

func openUsers(ctx context.Context, js jetstream.JetStream, cfg Config, log *slog.Logger) (*Users, error) {
	kv, err := openBucket(ctx, js, jetstream.KeyValueConfig{Bucket: usersBucket, Replicas: cfg.Replicas})
	if err != nil {
		return nil, err
	}
	standing := func(userRecord) error { return nil }
	c, err := openCache(ctx, js.Conn(), kv, standing, ErrNotFound, log)
	if err != nil {
		return nil, err
	}
	return &Users{
		cache:  c,
		hasher: newHasher(cfg.Metrics),
		signIns: promauto.With(cfg.Metrics).NewCounterVec(prometheus.CounterOpts{
			Name: "telltale_store_sign_ins_total", Help: "Passwords checked, by result: right, wrong or failed.",
		}, []string{"result"}),
		nobody: newHash(),
		now:    cfg.now,
	}, nil
}

// Create adds a user; ErrExists when there is one of that name.
func (u *Users) Create(ctx context.Context, name, password string, role Role) error {
	name = foldName(name)
	if err := errors.Join(checkUserName(name), checkRole(role), checkPassword(password)); err != nil {
		return fmt.Errorf("create user: %w", err)
	}
	hash, err := u.hasher.hash(ctx, password)
	if err != nil {
		return fmt.Errorf("create user %q: %w", name, err)
	}
	now := u.now().UTC()
	record := userRecord{Name: name, Hash: hash, Role: role, Created: now, Changed: now, Generation: now.UnixNano()}
	if err := u.cache.create(ctx, userKey(name), record); err != nil {
		return fmt.Errorf("create user %q: %w", name, err)
	}
	return nil
}

// SetPassword changes a user's password and ends all the user's sessions.
func (u *Users) SetPassword(ctx context.Context, name, password string) error {
	if err := checkPassword(password); err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	hash, err := u.hasher.hash(ctx, password)
	if err == nil {
		err = u.change(ctx, name, func(r *userRecord) { r.Hash, r.Changed = hash, u.now().UTC() })
	}
	if err != nil {
		return fmt.Errorf("set password of %q: %w", foldName(name), err)
	}
	return nil
}

// change rewrites a user's record in its next generation.
func (u *Users) change(ctx context.Context, name string, set func(*userRecord)) error {
	e, ok := u.cache.get(userKey(foldName(name)))
	if !ok {
		return ErrNotFound
	}
	record := e.value
	set(&record)
	record.Generation = max(record.Generation+1, u.now().UnixNano())
	return u.cache.update(ctx, e, record)
}

// Verify returns the user if name and password are right, else ErrWrongCredentials; ErrBusy when
// too many are checked at once. An unknown user costs the same work as a wrong password.
func (u *Users) Verify(ctx context.Context, name, password string) (User, error) {
	user, err := u.verify(ctx, name, password)
	result := "right"
	if errors.Is(err, ErrWrongCredentials) {
		result = "wrong"
	} else if err != nil {
		result = "failed"
	}
	u.signIns.WithLabelValues(result).Inc()
	return user, err
}

func (u *Users) verify(ctx context.Context, name, password string) (User, error) {
	if len(password) > maxPasswordBytes {
		return User{}, ErrWrongCredentials
	}
	hash := u.nobody
	e, known := u.cache.get(userKey(foldName(name)))
	if known {
		var err error
		if hash, err = parseHash(e.value.Hash); err != nil {
			return User{}, fmt.Errorf("read password hash of %q: %w", e.value.Name, err)
		}
	}
	right, err := u.hasher.matches(ctx, password, hash)
	if err != nil {
		return User{}, err
	}
	if !known || !right {
		return User{}, ErrWrongCredentials
	}
	return e.value.user(), nil
}

// List returns all users by name.
func (u *Users) List() []User {
	var list []User
	for _, e := range u.cache.all() {
		list = append(list, e.value.user())
	}
	slices.SortFunc(list, func(a, b User) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Delete removes a user, whose sessions end with it; ErrLastAdmin keeps one from locking everybody out.
func (u *Users) Delete(ctx context.Context, name string) error {
	name = foldName(name)
	e, ok := u.cache.get(userKey(name))
	if !ok {
		return fmt.Errorf("delete user %q: %w", name, ErrNotFound)
	}
	otherAdmin := slices.ContainsFunc(u.List(), func(o User) bool { return o.Role == Admin && o.Name != name })
	if e.value.Role == Admin && !otherAdmin {
		return fmt.Errorf("delete user %q: %w", name, ErrLastAdmin)
	}
	if err := u.cache.remove(ctx, e); err != nil {
		return fmt.Errorf("delete user %q: %w", name, err)
	}
	return nil
}

var userName = regexp.MustCompile(`^[a-z0-9][a-z0-9._@-]{0,63}$`)

func checkUserName(name string) error {
	if !userName.MatchString(name) {
		return fmt.Errorf("the user name %.80q is not 1 to 64 of a-z, 0-9 and . _ @ -, the first a letter or digit", name)
	}
	return nil
}

func checkRole(role Role) error {
	if role != Admin && role != Analyst && role != Viewer {
		return fmt.Errorf("unknown role %.80q: use %s, %s or %s", role, Admin, Analyst, Viewer)
	}
	return nil
}

func foldName(name string) string { return strings.ToLower(name) }

// userKey is the bucket's key of a folded name; NATS keys cannot hold every name as it is.
func userKey(name string) string { return base64.RawURLEncoding.EncodeToString([]byte(name)) }
