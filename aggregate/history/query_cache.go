package history

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	cacheBytes = 32 << 20
	cacheTime  = 30 * time.Second
)

// cache keeps for a while what was read of settled times, so that a dashboard that many open at once is read once. What was
// read first leaves first, since it is the first to be too old. A late sample makes what it touches stale, and so unfit, until
// the tiers have it: a reading of its time that nobody asked for meanwhile may miss it for as long as things are kept.
type cache struct {
	hits prometheus.Counter

	mu    sync.Mutex // guards what follows
	byKey map[string]*cached
	queue []*cached // oldest first; those that were replaced or found unfit are no longer in byKey
	bytes int       // of queue
}

type cached struct {
	key    string
	span   Range // that was read
	groups []groupValues
	until  time.Time
	bytes  int
}

func newCache(hits prometheus.Counter) *cache {
	return &cache{hits: hits, byKey: map[string]*cached{}}
}

// get returns the groups of a reading, if it has them and they hold in view of the tiers' states.
func (c *cache) get(key string, states []TierState) (groups []groupValues, has bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.byKey[key]
	if kept == nil {
		return nil, false
	}
	if time.Now().After(kept.until) || !settled(kept.span, states) {
		delete(c.byKey, key)
		return nil, false
	}
	c.hits.Inc()
	return kept.groups, true
}

// put keeps the groups, and drops those that are too old or too many.
func (c *cache) put(key string, span Range, groups []groupValues) {
	added := &cached{key: key, span: span, groups: groups, until: time.Now().Add(cacheTime), bytes: len(key)}
	for _, g := range groups {
		added.bytes += g.bytes()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byKey[key] = added
	c.queue = append(c.queue, added)
	c.bytes += added.bytes
	now := time.Now()
	gone := 0
	for ; gone < len(c.queue) && (c.bytes > cacheBytes || now.After(c.queue[gone].until)); gone++ {
		old := c.queue[gone]
		c.bytes -= old.bytes
		if c.byKey[old.key] == old {
			delete(c.byKey, old.key)
		}
	}
	c.queue = slices.Delete(c.queue, 0, gone)
}

// bytes is about the memory that the group takes.
func (g groupValues) bytes() int {
	bytes := 100 + 8*(len(g.windows)+len(g.values))
	for _, label := range g.group.Labels {
		bytes += 32 + len(label.Name) + len(label.Value)
	}
	return bytes
}

// settled says whether all samples that have come from a time are in every tier that has got as far. A window that has not
// ended may be stale in advance, which tells nothing of its samples.
func settled(span Range, states []TierState) bool {
	for _, state := range states {
		if told := (Range{span.From, min(span.To, state.Through)}); len(intersect([]Range{told}, state.Stale)) > 0 {
			return false
		}
	}
	return len(states) > 0 && span.To <= states[0].Through
}
