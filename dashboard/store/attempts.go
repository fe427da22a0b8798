package store

import (
	"container/list"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	freeTries        = 5  // for one user from one network, before waiting begins
	freeTriesNetwork = 30 // for all users from one network
	firstWait        = 10 * time.Second
	maxWait          = 15 * time.Minute
	forgetTriesAfter = time.Hour
	maxTried         = 10_000 // what is remembered; the longest quiet is forgotten first
)

// Attempts slows down guessing of passwords. One user from one network (an IPv4 address, an IPv6 /64)
// gets 5 tries at once and then one per 10 s, 20 s, 40 s ... 15 min; all users from one network
// together get 30 and then the same. Success forgives; so does an hour of quiet. It is kept in memory.
type Attempts struct {
	refused prometheus.Counter
	evicted prometheus.Counter

	mu    sync.Mutex // guards the fields below
	tried map[tryKey]*list.Element
	quiet list.List // of *tries, the longest quiet first
}

type tryKey struct {
	network netip.Prefix
	user    string // empty with anyUser
	anyUser bool
}

type tries struct {
	key   tryKey
	count int
	last  time.Time
}

// NewAttempts remembers nothing yet. A nil registerer registers no metrics.
func NewAttempts(reg prometheus.Registerer) *Attempts {
	counter := func(name, help string) prometheus.Counter {
		return promauto.With(reg).NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return &Attempts{
		refused: counter("telltale_store_attempts_refused_total", "Sign-in attempts refused for too many before."),
		evicted: counter("telltale_store_attempts_evicted_total", "Counts of sign-in attempts forgotten early for want of room."),
		tried:   map[tryKey]*list.Element{},
	}
}

// Try counts an attempt to sign in before its outcome is known, so that many at once gain nothing,
// and returns 0; or it counts none and returns how long to wait before the next.
func (a *Attempts) Try(user string, address netip.Addr) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.forget(now)
	own, all := tryKeys(user, address)
	wait := max(a.wait(own, freeTries, now), a.wait(all, freeTriesNetwork, now))
	if wait > 0 {
		a.refused.Inc()
		return wait
	}
	a.count(own, now)
	a.count(all, now)
	return 0
}

// Succeeded takes back the attempt that Try counted and forgives the user's earlier ones.
// Those on other users stay: a guesser with an account of his own gains nothing by it.
func (a *Attempts) Succeeded(user string, address netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	own, all := tryKeys(user, address)
	if e, ok := a.tried[own]; ok {
		a.remove(e)
	}
	if e, ok := a.tried[all]; ok {
		t := e.Value.(*tries)
		if t.count--; t.count == 0 {
			a.remove(e)
		}
	}
}

func (a *Attempts) wait(key tryKey, free int, now time.Time) time.Duration {
	e, ok := a.tried[key]
	if !ok {
		return 0
	}
	t := e.Value.(*tries)
	if t.count < free {
		return 0
	}
	doublings := min(t.count-free, 10)
	return t.last.Add(min(firstWait<<doublings, maxWait)).Sub(now)
}

func (a *Attempts) count(key tryKey, now time.Time) {
	e, ok := a.tried[key]
	if !ok {
		if len(a.tried) >= maxTried {
			a.remove(a.quiet.Front())
			a.evicted.Inc()
		}
		e = a.quiet.PushBack(&tries{key: key})
		a.tried[key] = e
	}
	t := e.Value.(*tries)
	t.count++
	t.last = now
	a.quiet.MoveToBack(e)
}

func (a *Attempts) forget(now time.Time) {
	for e := a.quiet.Front(); e != nil && now.Sub(e.Value.(*tries).last) >= forgetTriesAfter; e = a.quiet.Front() {
		a.remove(e)
	}
}

func (a *Attempts) remove(e *list.Element) {
	delete(a.tried, a.quiet.Remove(e).(*tries).key)
}

func tryKeys(user string, address netip.Addr) (own, all tryKey) {
	address = address.Unmap()
	bits := min(address.BitLen(), 64)
	network, _ := address.Prefix(bits) // an invalid address has the zero prefix, and is one network
	// A copy, bounded: the text may be of any length and its memory used again by the caller.
	user = strings.Clone(foldName(user[:min(len(user), 64)]))
	return tryKey{network: network, user: user}, tryKey{network: network, anyUser: true}
}
