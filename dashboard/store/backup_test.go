package store

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestExportAndImport(t *testing.T) {
	ctx := t.Context()
	nc := connectTo(t, startTestServer(t, t.TempDir()))
	s := openOn(t, nc, DefaultConfig())
	must(t, s.Users.Create(ctx, "ada@example.org", goodPassword, Viewer))
	must(t, s.Users.Create(ctx, "gone", goodPassword, Viewer))
	must(t, s.Users.Delete(ctx, "gone"))
	_, secret, err := s.Tokens.Create(ctx, "rack 1", AgentScope)
	must(t, err)
	user, err := s.Users.Verify(ctx, "ada@example.org", goodPassword)
	must(t, err)
	_, cookie, err := s.Sessions.Create(ctx, user, "192.0.2.7")
	must(t, err)

	var copied bytes.Buffer
	if records, err := Export(ctx, nc, &copied); err != nil || records != 2 {
		t.Fatalf("exported %d records, want a user and a token (%v)", records, err)
	}
	if text := copied.String(); strings.Contains(text, goodPassword) || strings.Contains(text, secret.Reveal()) {
		t.Error("an export has a secret in the clear")
	}
	if _, err := Import(ctx, nc, bytes.NewReader(copied.Bytes())); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("import into a used store: %v", err)
	}

	other := connectTo(t, startTestServer(t, t.TempDir()))
	if records, err := Import(ctx, other, bytes.NewReader(copied.Bytes())); err != nil || records != 2 {
		t.Fatalf("imported %d records (%v)", records, err)
	}
	s = openOn(t, other, DefaultConfig())
	if user, err := s.Users.Verify(ctx, "ada@example.org", goodPassword); err != nil || user.Role != Viewer {
		t.Errorf("the user afterwards: %+v, %v", user, err)
	}
	if token, err := s.Tokens.Verify(secret.Reveal(), AgentScope); err != nil || token.Name != "rack 1" {
		t.Errorf("the token afterwards: %+v, %v", token, err)
	}
	if _, err := s.Sessions.Get(ctx, cookie.Reveal()); !errors.Is(err, ErrNoSession) {
		t.Errorf("the session afterwards: %v", err)
	}
	if len(s.Users.List()) != 1 {
		t.Errorf("%d users afterwards", len(s.Users.List()))
	}
}

func TestImportRefusesNonsense(t *testing.T) {
	for text, want := range map[string]string{
		`{"bucket":"telltale_users","key":"a","value":"AA=="}` + "\n{": "record 2",
		`{"bucket":"other","key":"a","value":"AA=="}`:                  "not one of ours",
		`{"bucket":"telltale_users","key":"a b","value":"AA=="}`:       "record 1",
		`{"bucket":"telltale_users","key":"a","value":5}`:              "record 1",
	} {
		nc := connectTo(t, startTestServer(t, t.TempDir()))
		if _, err := Import(t.Context(), nc, strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
