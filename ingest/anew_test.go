package ingest

import (
	"slices"
	"testing"

	"telltale/ingest/wire"
)

// The store is told whenever an agent begins to describe its series anew: what it leaves out has ended.
func TestDescribingAnew(t *testing.T) {
	h := startHub(t)
	told := func(times int) {
		t.Helper()
		h.mu.Lock()
		defer h.mu.Unlock()
		if want := slices.Repeat([]string{"a"}, times); !slices.Equal(h.detached, want) {
			t.Fatalf("the store was told of %v, want %v", h.detached, want)
		}
	}
	for connection := range 2 {
		c := h.connect()
		c.sendBinary(&wire.Hello{Token: goodToken, Agent: wire.Agent{ID: "a"}, Epochs: []string{"e"}})
		stored := expect[*wire.Welcome](c).Epochs["e"]
		told(2*connection + 1)
		c.sendBinary(one("e", stored+1, 1))
		expect[*wire.Ack](c)
		c.Encoder.Reset()
		c.sendBinary(one("e", stored+2, 1))
		expect[*wire.Ack](c)
		told(2*connection + 2)
		_ = c.conn.Close()
	}
}
