package store

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// signedIn is a store with a clock, a user and a session.
type signedIn struct {
	*Store
	clock   *testClock
	user    User
	session Session
	cookie  string
}

func signIn(t *testing.T) signedIn {
	t.Helper()
	clock := newTestClock()
	s := openOn(t, connectTo(t, startTestServer(t, t.TempDir())), clock.config())
	must(t, s.Users.Create(t.Context(), "ada", goodPassword, Admin))
	user, err := s.Users.Verify(t.Context(), "ada", goodPassword)
	must(t, err)
	session, cookie, err := s.Sessions.Create(t.Context(), user, "192.0.2.7")
	must(t, err)
	return signedIn{s, clock, user, session, cookie.Reveal()}
}

func (s signedIn) wantGet(t *testing.T, want error) Session {
	t.Helper()
	got, err := s.Sessions.Get(t.Context(), s.cookie)
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
	return got
}

func TestSessionIdle(t *testing.T) {
	s := signIn(t)
	s.clock.advance(12*time.Hour - time.Second)
	s.wantGet(t, nil) // counts as use
	s.clock.advance(12*time.Hour - time.Second)
	s.wantGet(t, nil)
	s.clock.advance(12 * time.Hour)
	if _, err := s.Sessions.Get(t.Context(), s.cookie); err == nil {
		t.Error("an idle session is still alive")
	}
	wantEnd(t, s.session.Context(), Expired)
	eventually(t, "the session is forgotten", func() bool {
		_, err := s.Sessions.Get(t.Context(), s.cookie)
		return errors.Is(err, ErrNoSession)
	})
}

func TestSessionLifetime(t *testing.T) {
	s := signIn(t)
	for range 14*24 - 1 { // every half hour of a week
		s.clock.advance(30 * time.Minute)
		s.wantGet(t, nil)
	}
	if left := s.wantGet(t, nil).Expires.Sub(s.clock.Now()); left > 30*time.Minute {
		t.Errorf("%v left after a week less half an hour", left)
	}
	s.clock.advance(30 * time.Minute)
	wantEnd(t, s.session.Context(), Expired)
}

// A screen on a wall makes no requests: its open stream is used in their place.
func TestSessionIsUsedByItsKey(t *testing.T) {
	s := signIn(t)
	for range 13 {
		s.clock.advance(12*time.Hour - time.Second)
		s.Sessions.Use(t.Context(), s.session.Key)
	}
	s.wantGet(t, nil)
	s.clock.advance(13 * time.Hour) // 7 days are over
	s.Sessions.Use(t.Context(), s.session.Key)
	wantEnd(t, s.session.Context(), Expired)
}

func TestSessionUseIsWrittenOnceAMinute(t *testing.T) {
	s := signIn(t)
	revision := func() uint64 {
		e, ok := s.Sessions.cache.get(s.session.Key)
		if !ok {
			t.Fatal("the session is gone")
		}
		return e.revision
	}
	first := revision()
	for range 59 {
		s.clock.advance(time.Second)
		s.wantGet(t, nil)
	}
	if revision() != first {
		t.Error("written within the first minute")
	}
	s.clock.advance(time.Second)
	for range 10 {
		s.wantGet(t, nil)
	}
	if got := revision(); got != first+1 {
		t.Errorf("%d writes after a minute, want 1", got-first)
	}
	if got, want := s.wantGet(t, nil).Expires, s.session.Expires.Add(time.Minute); !got.Equal(want) {
		t.Errorf("expires %v, want %v", got, want)
	}
	if s.session.Context().Err() != nil {
		t.Error("the context ended with the write")
	}
}

func TestSessionEnds(t *testing.T) {
	s := signIn(t)
	ctx := t.Context()
	must(t, s.Sessions.SignOut(ctx, s.session.Key))
	wantEnd(t, s.session.Context(), SignedOut)
	s.wantGet(t, ErrNoSession)
	if err := s.Sessions.SignOut(ctx, s.session.Key); !errors.Is(err, ErrNotFound) {
		t.Errorf("sign out again: %v", err)
	}

	second, _, err := s.Sessions.Create(ctx, s.user, strings.Repeat("x", 1000))
	must(t, err)
	if len(second.Remote) != maxRemoteBytes {
		t.Errorf("remote has %d bytes", len(second.Remote))
	}
	must(t, s.Sessions.Revoke(ctx, second.Key))
	wantEnd(t, second.Context(), Revoked)
}

// A write of use that was under way when the session was ended must not bring it back.
func TestEndedSessionStaysEnded(t *testing.T) {
	s := signIn(t)
	before, ok := s.Sessions.cache.get(s.session.Key)
	if !ok {
		t.Fatal("no session")
	}
	must(t, s.Sessions.Revoke(t.Context(), s.session.Key))
	s.Sessions.cache.mu.Lock()
	s.Sessions.cache.entries[before.key] = before // as it was when the use was seen
	s.Sessions.cache.mu.Unlock()
	s.clock.advance(time.Hour)
	s.Sessions.touch(t.Context(), before.key)
	e, err := s.Sessions.cache.kv.Get(t.Context(), before.key)
	if err != nil || !strings.Contains(string(e.Value()), string(Revoked)) {
		t.Errorf("stored is %v, %v", e, err)
	}
}

func TestSessionsEndWithTheirUser(t *testing.T) {
	f := func(what string, change func(s signedIn) error) {
		t.Run(what, func(t *testing.T) {
			s := signIn(t)
			must(t, s.Users.Create(t.Context(), "bob", goodPassword, Admin))
			bob, err := s.Users.Verify(t.Context(), "bob", goodPassword)
			must(t, err)
			bobs, _, err := s.Sessions.Create(t.Context(), bob, "")
			must(t, err)
			must(t, change(s))
			if _, err := s.Sessions.Get(t.Context(), s.cookie); err == nil {
				t.Error("the session is alive")
			}
			wantEnd(t, s.session.Context(), Revoked)
			if bobs.Context().Err() != nil {
				t.Error("another user's session ended, too")
			}
			// What was verified before the change opens nothing after it.
			if _, _, err := s.Sessions.Create(t.Context(), s.user, ""); err == nil {
				t.Error("a session was made from a sign-in that is out of date")
			}
		})
	}
	f("password", func(s signedIn) error { return s.Users.SetPassword(t.Context(), "ada", "another long password") })
	f("delete", func(s signedIn) error { return s.Users.Delete(t.Context(), "ada") })
	f("revoke", func(s signedIn) error { return s.Sessions.RevokeUser(t.Context(), "Ada") })
	f("delete and create", func(s signedIn) error {
		s.clock.advance(time.Second)
		return errors.Join(s.Users.Delete(t.Context(), "ada"), s.Users.Create(t.Context(), "ada", goodPassword, Admin))
	})
}

func TestSessionsPerUserAreBounded(t *testing.T) {
	s := signIn(t)
	var cookies []Secret
	for range maxSessionsPerUser - 1 {
		s.clock.advance(time.Second)
		_, cookie, err := s.Sessions.Create(t.Context(), s.user, "")
		must(t, err)
		cookies = append(cookies, cookie)
	}
	s.wantGet(t, nil)
	s.clock.advance(time.Second)
	_, _, err := s.Sessions.Create(t.Context(), s.user, "")
	must(t, err)
	// The first session was just used, which was written: the second is the one to go.
	if _, err := s.Sessions.Get(t.Context(), cookies[0].Reveal()); !errors.Is(err, ErrNoSession) {
		t.Errorf("the least recently used session: %v", err)
	}
	s.wantGet(t, nil)
	if n := s.Sessions.cache.size(); n != maxSessionsPerUser {
		t.Errorf("%d sessions, want %d", n, maxSessionsPerUser)
	}
}

func TestEndIsSeenByOthers(t *testing.T) {
	server := startTestServer(t, t.TempDir())
	here := openOn(t, connectTo(t, server), DefaultConfig())
	there := openOn(t, connectTo(t, server), DefaultConfig())
	ctx := t.Context()
	must(t, here.Users.Create(ctx, "ada", goodPassword, Admin))
	user, err := here.Users.Verify(ctx, "ada", goodPassword)
	must(t, err)
	f := func(end func(Session) error, want End) {
		t.Helper()
		made, cookie, err := here.Sessions.Create(ctx, user, "")
		must(t, err)
		var seen Session
		eventually(t, "the session is known there", func() bool {
			seen, err = there.Sessions.Get(ctx, cookie.Reveal())
			return err == nil
		})
		must(t, end(made))
		wantEnd(t, seen.Context(), want)
	}
	f(func(s Session) error { return here.Sessions.SignOut(ctx, s.Key) }, SignedOut)
	f(func(s Session) error { return there.Sessions.Revoke(ctx, s.Key) }, Revoked)
	f(func(Session) error { return here.Users.SetPassword(ctx, "ada", "another long password") }, Revoked)
}

func TestWrongCookies(t *testing.T) {
	s := signIn(t)
	for _, cookie := range []string{"", "x", s.session.Key, s.cookie + "x", strings.Repeat("x", 1<<20)} {
		if _, err := s.Sessions.Get(t.Context(), cookie); !errors.Is(err, ErrNoSession) {
			t.Errorf("%.50q: error is %v, want %v", cookie, err, ErrNoSession)
		}
	}
}

// The server removes a session's record by itself, an hour after the session could last end.
func TestRecordsHaveATimeToLive(t *testing.T) {
	s := signIn(t)
	check := func(what string, want time.Duration) {
		t.Helper()
		stream, err := s.Sessions.js.Stream(t.Context(), "KV_"+sessionsBucket)
		must(t, err)
		msg, err := stream.GetLastMsgForSubject(t.Context(), "$KV."+sessionsBucket+"."+s.session.Key)
		must(t, err)
		ttl, err := time.ParseDuration(msg.Header.Get("Nats-TTL"))
		if err != nil || ttl > want || ttl < want-time.Minute {
			t.Errorf("%s: the record lives %v (%v), want %v", what, ttl, err, want)
		}
	}
	check("new", 13*time.Hour)
	s.clock.advance(2 * time.Minute)
	s.wantGet(t, nil)
	check("used", 13*time.Hour)
	s.clock.advance(6 * time.Hour)
	must(t, s.Sessions.SignOut(t.Context(), s.session.Key))
	check("ended", 7*time.Hour)
}
