package main

// position is how far a viewer has come in its stream, and what it did not get on the way.
// Windows are named by their ends, in milliseconds.
type position struct {
	last int64 // 0: nothing yet
	step int64 // between two windows
}

// hole is windows, between two that a viewer got, that it was not told about.
type hole struct{ after, before int64 }

// tick goes on to a window, and returns the hole before it, if any. It is repeated if the
// viewer had it already.
func (p *position) tick(id int64) (h hole, repeated bool) {
	if id <= p.last {
		return hole{}, true
	}
	h = p.holeTo(id)
	p.last = id
	return h, false
}

// snapshot goes on to a snapshot, which holds the windows from since on.
func (p *position) snapshot(id, since int64) (h hole) {
	if since == 0 || since > id {
		since = id
	}
	h = p.holeTo(since)
	p.last = max(p.last, id)
	return h
}

func (p *position) holeTo(next int64) hole {
	if p.last == 0 || next <= p.last+p.step {
		return hole{}
	}
	return hole{p.last, next}
}

// gap goes over windows of which the viewer is told that it does not get them: those after
// from, up to and with to. It returns how many they are.
func (p *position) gap(from, to int64) int64 {
	p.last = max(p.last, to)
	return max((to-from)/p.step, 0)
}

// heartbeat moves on where there was nothing to tell.
func (p *position) heartbeat(id int64) { p.last = max(p.last, id) }
