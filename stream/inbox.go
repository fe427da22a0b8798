package stream

import "sync"

// What a viewer's writer is told about it; bits of viewer.signals.
const (
	joined uint32 = 1 << iota
	writable
	ending
	left
)

// inbox is how the other goroutines reach a writer. Nothing stands in it twice, so the topics
// and viewers there are bound it.
type inbox struct {
	wake chan struct{} // holds one

	mu      sync.Mutex // guards the rest
	groups  []*group
	told    []*viewer // whose signals are to be read
	stopped bool
}

// look has the writer bring a group up to date.
func (b *inbox) look(g *group) {
	if g.queued.Swap(true) {
		return
	}
	b.mu.Lock()
	b.groups = append(b.groups, g)
	b.mu.Unlock()
	b.knock()
}

// signal tells the writer something about a viewer; false once the writer has stopped.
func (b *inbox) signal(v *viewer, bit uint32) bool {
	b.mu.Lock()
	if b.stopped {
		b.mu.Unlock()
		return false
	}
	if v.signals.Or(bit) == 0 {
		b.told = append(b.told, v)
	}
	b.mu.Unlock()
	b.knock()
	return true
}

func (b *inbox) knock() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// empty returns what is in the inbox and leaves nothing there.
func (b *inbox) empty() ([]*group, []*viewer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	groups, viewers := b.groups, b.told
	b.groups, b.told = nil, nil
	return groups, viewers
}

// shut refuses signals from now on.
func (b *inbox) shut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
}
