package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
)

// FirstAdmin is the name of the user that Seed makes.
const FirstAdmin = "admin"

// Seeded is what Seed made, each to be shown once; what it found in place is zero.
type Seeded struct {
	AdminPassword Secret
	AgentToken    Secret
}

// Seed makes the user "admin" where there never was a user, and an agent token where there
// never was a token, of the secrets given or else of random ones. What was deleted or revoked is not made again.
func (s *Store) Seed(ctx context.Context, adminPassword, agentToken string) (Seeded, error) {
	var made Seeded
	password, err := s.seedAdmin(ctx, adminPassword)
	if err != nil {
		return made, fmt.Errorf("seed admin: %w", err)
	}
	made.AdminPassword = password
	if made.AgentToken, err = s.seedToken(ctx, agentToken); err != nil {
		return made, fmt.Errorf("seed agent token: %w", err)
	}
	return made, nil
}

func (s *Store) seedAdmin(ctx context.Context, password string) (Secret, error) {
	untouched, err := s.Users.cache.untouched(ctx)
	if err != nil || !untouched {
		return Secret{}, err
	}
	if password == "" {
		password = rand.Text()
	}
	err = s.Users.Create(ctx, FirstAdmin, password, Admin)
	if errors.Is(err, ErrExists) { // another hub was quicker
		return Secret{}, nil
	}
	if err != nil {
		return Secret{}, err
	}
	return Secret{password}, nil
}

func (s *Store) seedToken(ctx context.Context, token string) (Secret, error) {
	untouched, err := s.Tokens.cache.untouched(ctx)
	if err != nil || !untouched {
		return Secret{}, err
	}
	secret := Secret{token}
	if token == "" {
		secret = newSecret(scopePrefix[AgentScope])
	}
	_, err = s.Tokens.CreateWith(ctx, "first", AgentScope, secret.Reveal())
	if errors.Is(err, ErrExists) {
		return Secret{}, nil
	}
	if err != nil {
		return Secret{}, err
	}
	return secret, nil
}
