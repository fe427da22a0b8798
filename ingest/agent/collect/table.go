package collect

import "time"

// maxInstances bounds how many instances (disks, interfaces, mount points, sensors, programs) a
// collector reports, so that no host, however odd, floods the hub with series.
const maxInstances = 64

// forgetAfter is how long an instance may be unseen before another can have its place. It bounds
// how many series an agent can make in a day, also where names come and go all the time.
const forgetAfter = time.Hour

// A table keeps what belongs to each instance of one kind, its series and counters, from reading
// to reading.
type table[K comparable, V any] struct {
	open    func(K) V
	entries map[K]*entry[V]
	reading int // counts readings: clocks may jump
	patient int // the readings an instance may miss before it can be forgotten
}

type entry[V any] struct {
	value V
	seen  int // the reading that last saw it
}

func newTable[K comparable, V any](interval time.Duration, open func(K) V) *table[K, V] {
	return &table[K, V]{open: open, entries: map[K]*entry[V]{}, patient: int(forgetAfter / interval)}
}

// begin starts a reading.
func (t *table[K, V]) begin() { t.reading++ }

// get returns what belongs to the instance. Where the table is full it returns nil and counts
// the instance as cut.
func (t *table[K, V]) get(r *readings, key K) *V {
	e := t.entries[key]
	if e == nil {
		if len(t.entries) >= maxInstances && !t.forgetOne() {
			r.cut++
			return nil
		}
		e = &entry[V]{value: t.open(key)}
		t.entries[key] = e
	}
	e.seen = t.reading
	return &e.value
}

// forgetOne makes room by forgetting the instance that has been unseen for longest, if for long enough.
func (t *table[K, V]) forgetOne() bool {
	var oldest K
	seen := t.reading
	for key, e := range t.entries {
		if e.seen < seen {
			oldest, seen = key, e.seen
		}
	}
	if t.reading-seen <= t.patient {
		return false
	}
	delete(t.entries, oldest)
	return true
}
