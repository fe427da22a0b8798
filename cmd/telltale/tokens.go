package main

import (
	"context"
	"errors"
	"sync"

	"telltale/dashboard/store"
)

// agentTokens shows the store's agent tokens to the agents' door, and tells it of revocations.
type agentTokens struct {
	store   *store.Tokens
	revoked func(tokenID string)

	watched sync.Map // ids of tokens whose revocation is awaited
}

// Agent returns the id of a token.
func (t *agentTokens) Agent(_ context.Context, secret string) (id string, ok bool, err error) {
	token, err := t.store.Verify(secret, store.AgentScope)
	if errors.Is(err, store.ErrWrongToken) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	if _, watched := t.watched.LoadOrStore(token.ID, true); !watched {
		context.AfterFunc(token.Context(), func() {
			t.watched.Delete(token.ID)
			t.revoked(token.ID)
		})
	}
	return token.ID, true, nil
}
