package store

import (
	"errors"
	"strings"
	"testing"
)

func TestSeedGenerates(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	made, err := s.Seed(ctx, "", "")
	must(t, err)
	if user, err := s.Users.Verify(ctx, FirstAdmin, made.AdminPassword.Reveal()); err != nil || user.Role != Admin {
		t.Errorf("generated password: %+v, %v", user, err)
	}
	if _, err := s.Tokens.Verify(made.AgentToken.Reveal(), AgentScope); err != nil {
		t.Errorf("generated token: %v", err)
	}
	again, err := s.Seed(ctx, "", "")
	if err != nil || !again.AdminPassword.IsZero() || !again.AgentToken.IsZero() {
		t.Errorf("second seed made something: %v", err)
	}
}

func TestSeedTakesWhatIsGivenAndNeverAgain(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	const token = "given-token-0123456789"
	_, err := s.Seed(ctx, goodPassword, token)
	must(t, err)
	_, err = s.Users.Verify(ctx, FirstAdmin, goodPassword)
	must(t, err)
	seeded, err := s.Tokens.Verify(token, AgentScope)
	must(t, err)

	// The same environment at the next start must not bring back what was taken away.
	must(t, s.Tokens.Revoke(ctx, seeded.ID))
	must(t, s.Users.Create(ctx, "boss", goodPassword, Admin))
	must(t, s.Users.Delete(ctx, FirstAdmin))
	_, err = s.Seed(ctx, goodPassword, token)
	must(t, err)
	if _, err := s.Tokens.Verify(token, AgentScope); !errors.Is(err, ErrWrongToken) {
		t.Errorf("revoked token after the second seed: %v", err)
	}
	if _, err := s.Users.Verify(ctx, FirstAdmin, goodPassword); !errors.Is(err, ErrWrongCredentials) {
		t.Errorf("deleted admin after the second seed: %v", err)
	}
}

func TestSeedRefusesWeakSecrets(t *testing.T) {
	s := openTest(t)
	if _, err := s.Seed(t.Context(), "short", ""); err == nil || !strings.Contains(err.Error(), "seed admin") {
		t.Errorf("short password: %v", err)
	}
	if _, err := s.Seed(t.Context(), goodPassword, "short"); err == nil || !strings.Contains(err.Error(), "seed agent token") {
		t.Errorf("short token: %v", err)
	}
}
