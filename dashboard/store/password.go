package store

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/crypto/argon2"
)

const (
	minPasswordChars = 10
	maxPasswordBytes = 256
)

// maxHashes run at once, each with 19 MiB; maxHashesWaiting more wait, the rest gets ErrBusy.
const (
	maxHashes        = 2
	maxHashesWaiting = 32
)

// ErrBusy is returned when too many passwords are being checked at once.
var ErrBusy = errors.New("too many sign-ins at once, try again in a few seconds")

// argon2idHash is a password's hash with all that is needed to make it again.
type argon2idHash struct {
	memoryKiB, passes uint32
	lanes             uint8
	salt, key         []byte
}

// newHash has the cost OWASP recommends for argon2id, a fresh salt and room for the key.
func newHash() argon2idHash {
	h := argon2idHash{memoryKiB: 19456, passes: 2, lanes: 1, salt: make([]byte, 16), key: make([]byte, 32)}
	_, _ = rand.Read(h.salt)
	return h
}

// String is the PHC form: $argon2id$v=19$m=19456,t=2,p=1$salt$key.
func (h argon2idHash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memoryKiB, h.passes, h.lanes,
		phcBase64.EncodeToString(h.salt), phcBase64.EncodeToString(h.key))
}

var phcBase64 = base64.RawStdEncoding.Strict()

var errNotPHC = errors.New("not an argon2id hash in PHC form")

// parseHash reads the PHC form. Its costs are bounded, so that a record that was tampered
// with cannot take the machine's memory.
func parseHash(text string) (h argon2idHash, err error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return h, errNotPHC
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return h, errNotPHC
	}
	memory, err1 := parseCost(costs[0], "m=", 64<<10)
	passes, err2 := parseCost(costs[1], "t=", 16)
	lanes, err3 := parseCost(costs[2], "p=", 16)
	salt, err4 := phcBase64.DecodeString(parts[4])
	key, err5 := phcBase64.DecodeString(parts[5])
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return h, fmt.Errorf("%w: %w", errNotPHC, err)
	}
	if len(salt) < 8 || len(salt) > 64 || len(key) < 16 || len(key) > 64 {
		return h, fmt.Errorf("%w: salt of %d bytes, key of %d", errNotPHC, len(salt), len(key))
	}
	return argon2idHash{memory, passes, uint8(lanes), salt, key}, nil
}

func parseCost(text, name string, most uint32) (uint32, error) {
	digits, ok := strings.CutPrefix(text, name)
	n, err := strconv.ParseUint(digits, 10, 32)
	if !ok || err != nil || n < 1 || n > uint64(most) {
		return 0, fmt.Errorf("%q is not %s1 to %d", text, name, most)
	}
	return uint32(n), nil
}

// checkPassword applies the rules for a new password.
func checkPassword(password string) error {
	switch {
	case len(password) > maxPasswordBytes:
		return fmt.Errorf("the password has %d bytes: use at most %d", len(password), maxPasswordBytes)
	case !utf8.ValidString(password):
		return errors.New("the password is not valid UTF-8 text")
	case utf8.RuneCountInString(password) < minPasswordChars:
		return fmt.Errorf("the password has %d characters: use at least %d", utf8.RuneCountInString(password), minPasswordChars)
	}
	return nil
}

// hasher makes argon2id hashes, few at a time.
type hasher struct {
	running chan struct{}
	present chan struct{} // running or waiting
	hashes  prometheus.Counter
	busy    prometheus.Counter
}

func newHasher(reg prometheus.Registerer) *hasher {
	counter := func(name, help string) prometheus.Counter {
		return promauto.With(reg).NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return &hasher{
		running: make(chan struct{}, maxHashes),
		present: make(chan struct{}, maxHashes+maxHashesWaiting),
		hashes:  counter("telltale_store_password_hashes_total", "Passwords hashed, to set or to check one."),
		busy:    counter("telltale_store_password_busy_total", "Password checks refused because too many were waiting."),
	}
}

// derive computes the key of a password with the cost and salt of h.
func (a *hasher) derive(ctx context.Context, password string, h argon2idHash) ([]byte, error) {
	select {
	case a.present <- struct{}{}:
	default:
		a.busy.Inc()
		return nil, ErrBusy
	}
	defer func() { <-a.present }()
	select {
	case a.running <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
	defer func() { <-a.running }()
	a.hashes.Inc()
	return argon2.IDKey([]byte(password), h.salt, h.passes, h.memoryKiB, h.lanes, uint32(len(h.key))), nil
}

// hash makes the PHC string of a new password.
func (a *hasher) hash(ctx context.Context, password string) (string, error) {
	h := newHash()
	key, err := a.derive(ctx, password, h)
	h.key = key
	return h.String(), err
}

// matches reports whether a password is the one that was hashed.
func (a *hasher) matches(ctx context.Context, password string, h argon2idHash) (bool, error) {
	key, err := a.derive(ctx, password, h)
	return err == nil && subtle.ConstantTimeCompare(key, h.key) == 1, err
}
