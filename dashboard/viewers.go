package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"telltale/dashboard/store"
	"telltale/stream"
)

// streamVersion is that of the stream's format, docs/protocol.md.
const streamVersion = 1

// hello is the data of a stream's first event.
type hello struct {
	Version    int    `json:"version"`
	Build      string `json:"build"`
	ServerTime int64  `json:"server_time"` // ms
	Dashboard  string `json:"dashboard"`
	StepMS     int64  `json:"step_ms"`
}

// stream opens a dashboard's live stream for a viewer.
func (a *App) stream(c *fiber.Ctx) error {
	board, err := a.boards.resolve(c.Query("dashboard"), c.Query)
	if err != nil {
		return err
	}
	first, err := json.Marshal(hello{streamVersion, a.BuildID, a.now().UnixMilli(), board.ID, board.StepMS})
	if err != nil {
		return fmt.Errorf("encode hello: %w", err)
	}
	session := sessionOf(c)
	a.sessions.watch(session)
	return a.topics.serve(a.now(), board, func(t *stream.Topic) {
		a.Streams.Serve(c.Context(), stream.Request{Topic: t, Session: session.Key, User: session.User.Name, Hello: first})
	})
}

// sessionEnds ends the streams of a session with it.
type sessionEnds struct {
	hub *stream.Hub

	mu      sync.Mutex
	watched map[string]bool // keys of the live sessions that opened streams; guarded by mu
}

func newSessionEnds(hub *stream.Hub) *sessionEnds {
	return &sessionEnds{hub: hub, watched: map[string]bool{}}
}

// watch must come before the stream: a session that ends meanwhile then ends it too.
func (e *sessionEnds) watch(s store.Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.watched[s.Key] {
		return
	}
	e.watched[s.Key] = true
	ctx := s.Context()
	context.AfterFunc(ctx, func() {
		e.mu.Lock()
		delete(e.watched, s.Key)
		e.mu.Unlock()
		e.hub.End(s.Key, byeReason(context.Cause(ctx)))
	})
}

// useEvery is far less than a session lasts without use.
const useEvery = 5 * time.Minute

// use counts an open stream as use of its session, until ctx ends: a screen on a wall has nothing else.
func (e *sessionEnds) use(ctx context.Context, sessions *store.Sessions) {
	tick := time.NewTicker(useEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, key := range e.hub.Sessions() {
			sessions.Use(ctx, key)
		}
	}
}

func byeReason(cause error) string {
	switch {
	case errors.Is(cause, store.SignedOut):
		return "signed_out"
	case errors.Is(cause, store.Expired):
		return "expired"
	case errors.Is(cause, store.ErrClosed):
		return "shutdown"
	}
	return "revoked"
}
