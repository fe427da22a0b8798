package store

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

var home = netip.MustParseAddr("192.0.2.7")

func wantWait(t *testing.T, a *Attempts, user string, address netip.Addr, want time.Duration) {
	t.Helper()
	if got := a.Try(user, address); got != want {
		t.Errorf("%s from %v: wait %v, want %v", user, address, got, want)
	}
}

func TestAttemptsSlowDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewAttempts(nil)
		for range freeTries {
			wantWait(t, a, "ada", home, 0)
		}
		wait := 10 * time.Second
		for range 10 {
			wantWait(t, a, "Ada", home, wait)
			time.Sleep(wait - time.Second)
			wantWait(t, a, "ada", home, time.Second) // asking too early costs nothing more
			time.Sleep(time.Second)
			wantWait(t, a, "ada", home, 0)
			wait = min(2*wait, 15*time.Minute)
		}
		if wait != 15*time.Minute {
			t.Errorf("the wait grew to %v only", wait)
		}
		wantWait(t, a, "bob", home, 0)
		wantWait(t, a, "ada", netip.MustParseAddr("192.0.2.8"), 0)
		time.Sleep(forgetTriesAfter)
		wantWait(t, a, "ada", home, 0)
		if got := testutil.ToFloat64(a.refused); got != 20 {
			t.Errorf("%v refused, want 20", got)
		}
	})
}

func TestSuccessForgives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewAttempts(nil)
		for range 10 * freeTriesNetwork {
			wantWait(t, a, "ada", home, 0)
			a.Succeeded("ada", home)
		}
		if len(a.tried) != 0 || a.quiet.Len() != 0 {
			t.Errorf("%d remembered", len(a.tried))
		}
		a.Succeeded("ada", home)
	})
}

// One address that tries many users is slowed down as well, and signing in to an account of its own does not help it.
func TestAttemptsOnManyUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewAttempts(nil)
		for i := range freeTriesNetwork {
			wantWait(t, a, fmt.Sprint("user", i), home, 0)
			if i%5 == 0 {
				wantWait(t, a, "own", home, 0)
				a.Succeeded("own", home)
			}
		}
		wantWait(t, a, "own", home, firstWait)
		wantWait(t, a, "user99", home, firstWait)
	})
}

func TestAttemptsFromOneNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewAttempts(nil)
		for i := range freeTries { // one IPv6 network has many addresses
			wantWait(t, a, "ada", netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i)), 0)
		}
		wantWait(t, a, "ada", netip.MustParseAddr("2001:db8::ffff:1"), firstWait)
		wantWait(t, a, "ada", netip.MustParseAddr("2001:db8:0:1::1"), 0)

		for range freeTries {
			wantWait(t, a, "ada", netip.MustParseAddr("::ffff:192.0.2.7"), 0)
		}
		wantWait(t, a, "ada", home, firstWait) // the same address, written otherwise
		wantWait(t, a, "ada", netip.Addr{}, 0)
	})
}

func TestAttemptsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewAttempts(nil)
		address := netip.MustParseAddr("10.0.0.0")
		for range maxTried { // two entries each
			address = address.Next()
			wantWait(t, a, "ada", address, 0)
		}
		if len(a.tried) != maxTried || a.quiet.Len() != maxTried {
			t.Errorf("%d and %d remembered, want %d", len(a.tried), a.quiet.Len(), maxTried)
		}
		if got := testutil.ToFloat64(a.evicted); got != maxTried {
			t.Errorf("%v evicted, want %d", got, maxTried)
		}
		time.Sleep(forgetTriesAfter)
		wantWait(t, a, "ada", home, 0)
		if len(a.tried) != 2 {
			t.Errorf("%d remembered after an hour of quiet", len(a.tried))
		}
	})
}
