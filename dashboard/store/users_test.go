package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestUsers(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	must(t, s.Users.Create(ctx, "Root", goodPassword, Admin))
	must(t, s.Users.Create(ctx, "zoe", goodPassword, Viewer))
	if err := s.Users.Create(ctx, "root", goodPassword, Viewer); !errors.Is(err, ErrExists) {
		t.Errorf("a second root: %v", err)
	}
	list := s.Users.List()
	if len(list) != 2 || list[0].Name != "root" || list[0].Role != Admin || list[1].Name != "zoe" || list[1].Role != Viewer {
		t.Errorf("list is %+v", list)
	}

	const other = "another long password"
	must(t, s.Users.SetPassword(ctx, "ZOE", other))
	if _, err := s.Users.Verify(ctx, "zoe", goodPassword); !errors.Is(err, ErrWrongCredentials) {
		t.Errorf("old password: %v", err)
	}
	user, err := s.Users.Verify(ctx, "Zoe", other)
	if err != nil || user.Name != "zoe" || !user.Changed.After(user.Created) {
		t.Errorf("new password: %+v, %v", user, err)
	}

	if err := s.Users.Delete(ctx, "root"); !errors.Is(err, ErrLastAdmin) {
		t.Errorf("delete the last admin: %v", err)
	}
	must(t, s.Users.Delete(ctx, "zoe"))
	if err := s.Users.Delete(ctx, "zoe"); !errors.Is(err, ErrNotFound) {
		t.Errorf("delete again: %v", err)
	}
	if _, err := s.Users.Verify(ctx, "zoe", other); !errors.Is(err, ErrWrongCredentials) {
		t.Errorf("deleted user: %v", err)
	}
	if err := s.Users.SetPassword(ctx, "zoe", other); !errors.Is(err, ErrNotFound) {
		t.Errorf("password of deleted user: %v", err)
	}
	must(t, s.Users.Create(ctx, "zoe", goodPassword, Admin))
	must(t, s.Users.Delete(ctx, "root"))
}

func TestNewUserRules(t *testing.T) {
	s := openTest(t)
	f := func(name, password string, role Role, want string) {
		t.Helper()
		err := s.Users.Create(t.Context(), name, password, role)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one with %q", err, want)
		}
		if err != nil && password != "" && strings.Contains(err.Error(), password) {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	f("a", "ninechars", Viewer, "has 9 characters: use at least 10")
	f("a", "äöüäöüäöü", Viewer, "has 9 characters: use at least 10")
	f("a", strings.Repeat("x", 257), Viewer, "has 257 bytes: use at most 256")
	f("a", "not utf-8 \xff\xff\xff", Viewer, "not valid UTF-8")
	f("", goodPassword, Viewer, "user name")
	f("a b", goodPassword, Viewer, "user name")
	f("-a", goodPassword, Viewer, "user name")
	f(strings.Repeat("a", 65), goodPassword, Viewer, "user name")
	f("a", goodPassword, "root", "unknown role")
	must(t, s.Users.Create(t.Context(), "a..b", "äöüäöüäöüß", Viewer)) // no NATS key as it is
}

// Time must not tell whether a user exists: every check that is not refused for its length hashes once.
func TestUnknownUserCostsTheSameWork(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	must(t, s.Users.Create(ctx, "ada", goodPassword, Viewer))
	f := func(name, password string, want error, wantHashes float64) {
		t.Helper()
		before := testutil.ToFloat64(s.Users.hasher.hashes)
		if _, err := s.Users.Verify(ctx, name, password); !errors.Is(err, want) {
			t.Errorf("%q: error is %v, want %v", name, err, want)
		}
		if hashes := testutil.ToFloat64(s.Users.hasher.hashes) - before; hashes != wantHashes {
			t.Errorf("%q: %v hashes, want %v", name, hashes, wantHashes)
		}
	}
	f("ada", goodPassword, nil, 1)
	f("ada", "wrong password", ErrWrongCredentials, 1)
	f("ada", "", ErrWrongCredentials, 1)
	f("nobody", goodPassword, ErrWrongCredentials, 1)
	f("", goodPassword, ErrWrongCredentials, 1)
	f("no such name \x00\xff", goodPassword, ErrWrongCredentials, 1)
	long := strings.Repeat("x", maxPasswordBytes+1)
	f("ada", long, ErrWrongCredentials, 0)
	f("nobody", long, ErrWrongCredentials, 0)

	stored, _ := s.Users.cache.get(userKey("ada"))
	hash, err := parseHash(stored.value.Hash)
	must(t, err)
	nobody := s.Users.nobody
	if hash.memoryKiB != nobody.memoryKiB || hash.passes != nobody.passes || hash.lanes != nobody.lanes || len(hash.key) != len(nobody.key) {
		t.Errorf("costs differ: %v and %v", hash, nobody)
	}
	if got := testutil.ToFloat64(s.Users.signIns.WithLabelValues("wrong")); got != 7 {
		t.Errorf("%v wrong sign-ins counted, want 7", got)
	}
}
