package store

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

// Secret is a password, token or cookie that is shown once. However it is printed, logged or
// encoded, it comes out as "[redacted]"; Reveal is the only way to its text.
type Secret struct{ text string }

const redacted = "[redacted]"

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.text == "" }

// String returns a placeholder.
func (s Secret) String() string { return redacted }

// Format writes a placeholder, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns a placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns a placeholder.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// newSecret returns 256 random bits behind a prefix.
func newSecret(prefix string) Secret {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // never fails: it ends the process instead
	return Secret{prefix + base64.RawURLEncoding.EncodeToString(bits[:])}
}

// hashKey is the key a secret's record is kept under, the SHA-256 in hex. A fast hash is enough for
// random bits, and looking up a hash compares no secret in a way that takes telling time.
func hashKey(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
