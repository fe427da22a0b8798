package main

import (
	"errors"
	"maps"
	"sync"

	"telltale/ingest/wire"
)

// trouble is what went wrong, by reason.
type trouble struct {
	mu          sync.Mutex // guards what follows
	refused     map[string]int64
	disconnects map[string]int64
	lastErr     error
}

// unnamed is the reason of refusals that an ack counts without naming them.
const unnamed = "not_named"

// refuse counts the refusals that an ack tells of, and returns how many they are.
func (t *trouble) refuse(a *wire.Ack) int64 {
	if len(a.Refused) == 0 && a.Unnamed == 0 {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refused == nil {
		t.refused = make(map[string]int64)
	}
	for _, r := range a.Refused {
		t.refused[string(r.Reason)]++
	}
	if a.Unnamed > 0 {
		t.refused[unnamed] += int64(a.Unnamed)
	}
	return int64(len(a.Refused)) + int64(a.Unnamed)
}

// disconnect counts the end of a connection, or of the try to make one.
func (t *trouble) disconnect(err error) {
	reason := "connection_lost"
	var closing *wire.CloseError
	if errors.As(err, &closing) {
		reason = closing.Code.String()
	} else if errors.Is(err, errDial) {
		reason = "no_connection"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.disconnects == nil {
		t.disconnects = make(map[string]int64)
	}
	t.disconnects[reason]++
	t.lastErr = err
}

// turnedAway counts a viewer that was asked to come back later, or else lost its stream.
func (t *trouble) turnedAway(refusal string, err error) {
	if refusal == "" {
		t.disconnect(err)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refused == nil {
		t.refused = make(map[string]int64)
	}
	t.refused[refusal]++
	t.lastErr = errors.New(refusal)
}

func (t *trouble) refusals() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return sum(t.refused)
}

func (t *trouble) disconnected() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return sum(t.disconnects)
}

func sum(counts map[string]int64) (total int64) {
	for _, n := range counts {
		total += n
	}
	return total
}

// all returns copies.
func (t *trouble) all() (refused, disconnects map[string]int64, lastErr error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.refused), maps.Clone(t.disconnects), t.lastErr
}
