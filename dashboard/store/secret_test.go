package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	secret := Secret{"hunter2hunter2"}
	seeded := Seeded{AdminPassword: secret, AgentToken: secret}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+"\n", secret, &secret, seeded)
	}
	encoded, err := json.Marshal(seeded)
	must(t, err)
	out.Write(encoded)
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("made", "secret", secret, "seeded", seeded)
	}
	if text := out.String(); strings.Contains(text, "hunter") || strings.Contains(text, fmt.Sprintf("%x", "hunter")) {
		t.Errorf("the secret came out:\n%s", text)
	}
	if secret.Reveal() != "hunter2hunter2" || secret.IsZero() || !(Secret{}).IsZero() {
		t.Error("the secret is not kept")
	}
}
