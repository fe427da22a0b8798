package store

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
)

func TestHashIsPHC(t *testing.T) {
	a := newHasher(nil)
	text, err := a.hash(t.Context(), goodPassword)
	must(t, err)
	if !strings.HasPrefix(text, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash is %s", text)
	}
	again, err := a.hash(t.Context(), goodPassword)
	must(t, err)
	if again == text {
		t.Error("two hashes of one password are equal: the salt is not fresh")
	}
	h, err := parseHash(text)
	must(t, err)
	if want := argon2.IDKey([]byte(goodPassword), h.salt, 2, 19456, 1, 32); string(want) != string(h.key) {
		t.Error("the key is not argon2id of the password and the salt")
	}
}

func TestParseHash(t *testing.T) {
	const salt, key = "c2FsdHNhbHQ", "a2V5a2V5a2V5a2V5a2V5a2U" // 8 and 17 bytes
	h, err := parseHash("$argon2id$v=19$m=64,t=1,p=2$" + salt + "$" + key)
	if err != nil || h.memoryKiB != 64 || h.passes != 1 || h.lanes != 2 || string(h.salt) != "saltsalt" || len(h.key) != 17 {
		t.Errorf("parsed %+v, %v", h, err)
	}
	bad := func(text string) {
		t.Helper()
		if _, err := parseHash(text); !errors.Is(err, errNotPHC) {
			t.Errorf("%q: error is %v", text, err)
		}
	}
	bad("")
	bad("$argon2id$v=19$m=64,t=1,p=1$" + salt)
	bad("$argon2i$v=19$m=64,t=1,p=1$" + salt + "$" + key)
	bad("$argon2id$v=16$m=64,t=1,p=1$" + salt + "$" + key)
	bad("$argon2id$v=19$m=64,t=1$" + salt + "$" + key)
	bad("$argon2id$v=19$m=9999999,t=1,p=1$" + salt + "$" + key) // would take 10 GB
	bad("$argon2id$v=19$m=64,t=99,p=1$" + salt + "$" + key)
	bad("$argon2id$v=19$m=64,t=0,p=1$" + salt + "$" + key)
	bad("$argon2id$v=19$m=64,t=1,p=0$" + salt + "$" + key)
	bad("$argon2id$v=19$m=64,t=1,p=1$" + salt + "$!")
	bad("$argon2id$v=19$m=64,t=1,p=1$c2FsdA$" + key) // 4 bytes of salt
}

func FuzzParseHash(f *testing.F) {
	f.Add(newHash().String())
	f.Add("$argon2id$v=19$m=64,t=1,p=2$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5a2U")
	f.Add("$argon2id$v=19$m=,t=,p=$$")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHash(text)
		if err != nil {
			return
		}
		if h.passes < 1 || h.lanes < 1 || h.memoryKiB > 64<<10 {
			t.Errorf("%q gives costs argon2 must not be called with: %+v", text, h)
		}
		again, err := parseHash(h.String())
		if err != nil || !reflect.DeepEqual(h, again) {
			t.Errorf("%q is read as %v and then as %v, %v", text, h, again, err)
		}
	})
}

func TestHashingIsBounded(t *testing.T) {
	a := newHasher(nil)
	for range maxHashes {
		a.running <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	for range cap(a.present) {
		go func() {
			_, err := a.hash(ctx, goodPassword)
			waiting <- err
		}()
	}
	eventually(t, "all are waiting", func() bool { return len(a.present) == cap(a.present) })
	if _, err := a.hash(t.Context(), goodPassword); !errors.Is(err, ErrBusy) {
		t.Errorf("error is %v, want %v", err, ErrBusy)
	}
	cancel()
	for range cap(a.present) {
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v, want %v", err, context.Canceled)
		}
	}
	for range maxHashes {
		<-a.running
	}
	if _, err := a.hash(t.Context(), goodPassword); err != nil {
		t.Error(err)
	}
}
