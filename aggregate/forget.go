package aggregate

import (
	"maps"
	"slices"
)

// forget drops the series that nobody holds, and those of the hub's own agent, that have been idle for so long that no window still kept
// can show them. The caller holds mu.
func (l *Live) forget() {
	r := l.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	metrics, tracks := map[string]bool{}, map[*track]bool{}
	for agent, from := range r.senders {
		own := agent == r.limits.Own // it asks for its ids anew each time
		ended := func(e *entry) bool { return (own || !e.isHeld()) && l.ended(e) }
		if !own && int(from.held.Load()) == len(from.entries) || !slices.ContainsFunc(from.entries, ended) {
			continue
		}
		for _, e := range from.entries {
			if e.gone = ended(e); !e.gone {
				continue
			}
			if e.isHeld() {
				from.held.Add(-1)
			}
			delete(r.entries, e.id)
			metrics[e.desc.Metric] = true
			for _, b := range e.tracks {
				tracks[b.track] = true
			}
			e.tracks = nil
		}
		from.entries = withoutGone(from.entries)
		for i, e := range from.entries {
			e.place = int32(i)
		}
		if len(from.entries) == 0 {
			delete(r.senders, agent)
		}
	}
	for name := range metrics {
		m := r.metrics[name]
		if m.entries = withoutGone(m.entries); len(m.entries) == 0 {
			delete(r.metrics, name)
		}
	}
	for t := range tracks {
		l.compact(t)
	}
}

// ended says whether the series has been idle for the configured time, and for longer than its last value is carried
// or its samples are in the ring of any query.
func (l *Live) ended(e *entry) bool {
	keep := l.config.Idle
	for _, b := range e.tracks {
		keep = max(keep, ringWindows*b.track.step.Duration())
	}
	keep += e.desc.Interval * 5 / 2
	return e.bound && l.last/1000-int64(e.seen) > int64(keep.Seconds())
}

func withoutGone(entries []*entry) []*entry {
	return slices.Clip(slices.DeleteFunc(entries, func(e *entry) bool { return e.gone }))
}

// compact gives the track's remaining series new places, without holes.
func (l *Live) compact(t *track) {
	places, n := make([]int32, len(t.entries)), int32(0)
	for i, e := range t.entries {
		places[i] = -1
		if !e.gone {
			places[i] = n
			n++
		}
	}
	t.entries = gather(t.entries, places)
	for _, e := range t.entries {
		for i := range e.tracks {
			if e.tracks[i].track == t {
				e.tracks[i].pos = places[e.tracks[i].pos]
			}
		}
	}
	t.spare = nil
	for _, c := range t.columns {
		c.value, c.aux = gather(c.value, places), gather(c.aux, places)
		c.bins.renumber(places)
	}
	t.before, t.carry = gather(t.before, places), gather(t.carry, places)
	for _, g := range t.groupings {
		l.regroup(g, places)
	}
}

// gather keeps the elements that have a place.
func gather[T any](all []T, places []int32) []T {
	kept := all[:0]
	for i, v := range all {
		if places[i] >= 0 {
			kept = append(kept, v)
		}
	}
	clear(all[len(kept):])
	return kept
}

// regroup drops groups that have no series any more, and renumbers the others everywhere.
func (l *Live) regroup(g *grouping, places []int32) {
	if len(g.by) == 0 {
		return
	}
	g.of = gather(g.of, places)
	numbers, n := make([]int32, len(g.groups)), int32(0)
	fill(numbers, -1)
	for _, group := range g.of {
		numbers[group] = 0
	}
	for i := range numbers {
		if numbers[i] == 0 {
			numbers[i] = n
			n++
		}
	}
	if int(n) == len(g.groups) {
		return
	}
	g.groups = gather(g.groups, numbers)
	maps.DeleteFunc(g.index, func(_ string, group int32) bool { return numbers[group] < 0 })
	for key, group := range g.index {
		g.index[key] = numbers[group]
	}
	for i := range g.of {
		g.of[i] = numbers[g.of[i]]
	}
	for _, p := range l.panels {
		if p.grouping == g {
			p.renumber(numbers)
		}
	}
}

// renumber follows a change of the groups' numbers; -1 is for groups that are gone.
func (p *panel) renumber(numbers []int32) {
	for i := range p.ring.slots {
		s := &p.ring.slots[i]
		s.values = gather(s.values, numbers)
	}
	p.seen, p.top = gather(p.seen, numbers), gather(p.top, numbers)
	if p.past != nil {
		p.past.renumber(numbers)
	}
	p.current, p.ranked = renumbered(p.current, numbers), renumbered(p.ranked, numbers)
	if listed := renumbered(p.listed, numbers); len(listed) == len(p.listed) {
		p.listed = listed
	} else {
		p.relist(listed)
	}
}

func renumbered(groups []int32, numbers []int32) []int32 {
	var kept []int32
	for _, g := range groups {
		if g == otherGroup {
			kept = append(kept, g)
		} else if numbers[g] >= 0 {
			kept = append(kept, numbers[g])
		}
	}
	return kept
}
