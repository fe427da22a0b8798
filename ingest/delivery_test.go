package ingest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"telltale/ingest/wire"
)

// courier is an agent that loses nothing: it holds every batch until it is acknowledged,
// and does what slow and welcome say.
type courier struct {
	h        *hub
	c        *client
	frames   chan wire.Frame // closed with the connection
	epochs   []string
	made     map[string]uint64 // last seq of each epoch
	acked    map[string]uint64
	sent     map[string]uint64
	window   int
	liveOnly bool
}

func (c *courier) connect() {
	c.c = c.h.agent("a", c.epochs...)
	w := expect[*wire.Welcome](c.c)
	c.window, c.liveOnly = w.Limits.MaxInFlight, w.LiveOnly
	for epoch, seq := range w.Epochs {
		c.acked[epoch] = max(c.acked[epoch], seq)
		c.sent[epoch] = seq
	}
	client, frames := c.c, make(chan wire.Frame, 10_000)
	c.frames = frames
	go func() {
		defer close(frames)
		for {
			frame, err := client.read()
			if err != nil {
				return
			}
			frames <- frame
		}
	}()
}

func (c *courier) disconnect() {
	_ = c.c.conn.Close()
	for range c.frames {
	}
}

// listen takes what the hub has said by now.
func (c *courier) listen() {
	c.h.t.Helper()
	for {
		select {
		case frame, open := <-c.frames:
			if !open {
				c.h.t.Fatal("the hub has closed the connection")
			}
			switch f := frame.(type) {
			case *wire.Ack:
				c.acked[f.Epoch] = max(c.acked[f.Epoch], f.Seq)
			case *wire.Slow:
				if c.window = f.MaxInFlight; c.liveOnly && !f.LiveOnly {
					for _, epoch := range c.epochs {
						c.sent[epoch] = c.acked[epoch]
					}
					c.open()
				}
				c.liveOnly = f.LiveOnly
			case *wire.Error:
				c.h.t.Fatalf("the hub says %+v", f)
			}
		default:
			return
		}
	}
}

// open begins an epoch for what is fresh, and forgets those that are done.
func (c *courier) open() {
	c.epochs = slices.DeleteFunc(c.epochs, func(e string) bool { return c.acked[e] == c.made[e] })
	c.epochs = append(c.epochs, fmt.Sprint("e", len(c.made)))
	c.made[c.epochs[len(c.epochs)-1]] = 0
}

func (c *courier) send(epoch string, seq uint64) {
	c.sent[epoch] = seq
	c.c.send(one(epoch, seq, float64(seq)))
}

func (c *courier) tick() {
	fresh := c.epochs[len(c.epochs)-1]
	c.made[fresh]++
	if c.liveOnly {
		c.send(fresh, c.made[fresh])
	}
}

// drain sends what is held, as far as the window allows.
func (c *courier) drain() {
	inFlight := 0
	for _, epoch := range c.epochs {
		inFlight += int(c.sent[epoch] - min(c.sent[epoch], c.acked[epoch]))
	}
	for _, epoch := range slices.Backward(c.epochs) { // fresh first
		for !c.liveOnly && c.sent[epoch] < c.made[epoch] && inFlight < c.window {
			c.send(epoch, c.sent[epoch]+1)
			inFlight++
		}
	}
}

func (c *courier) done() bool {
	for epoch, made := range c.made {
		if c.acked[epoch] < made {
			return false
		}
	}
	return true
}

// Whatever the order in which storage falls behind, fills up, comes back and connections
// break: each batch is stored once, in order, and shown at most once.
func TestNothingLostNothingTwice(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { deliver(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func deliver(t *testing.T, random *rand.Rand) {
	h := startHub(t, func(c *Config, _ *fakeSink) { c.LiveOnlyTime = 1; c.StallTimeout = 1 })
	take, full := h.sink.take, false
	h.sink.take = func(b *Batch) error {
		h.mu.Lock()
		refuse := full
		h.mu.Unlock()
		if refuse {
			return ErrFull
		}
		return take(b)
	}
	c := &courier{h: h, made: map[string]uint64{}, acked: map[string]uint64{}, sent: map[string]uint64{}}
	c.open()
	c.connect()
	behind := false
	for range 300 {
		switch random.IntN(12) {
		case 0:
			behind = !behind
			h.server.SetLiveOnly(behind)
		case 1:
			h.mu.Lock()
			full = !full
			h.used = map[bool]float64{true: 1}[full]
			h.mu.Unlock()
		case 2:
			c.disconnect()
			c.connect()
		case 3:
			h.mu.Lock()
			h.storing = !h.storing
			h.mu.Unlock()
		case 4:
			h.storeAll("a")
		default:
			c.tick()
		}
		c.listen()
		c.drain()
	}
	h.mu.Lock()
	full, h.used, h.storing = false, 0, true
	h.mu.Unlock()
	h.server.SetLiveOnly(false)
	eventually(t, "delivering all", func() bool {
		h.storeAll("a")
		c.listen()
		if c.liveOnly { // it is lifted when there is something to lift it for
			c.tick()
		}
		c.drain()
		return c.done()
	})
	c.disconnect()
	taken, shown := map[string]uint64{}, map[string]bool{}
	for _, b := range h.taken("a") {
		if taken[b.Epoch]++; b.Seq != taken[b.Epoch] {
			t.Fatalf("epoch %s: taken %d where %d must come", b.Epoch, b.Seq, taken[b.Epoch])
		}
	}
	for epoch, made := range c.made {
		if taken[epoch] != made {
			t.Errorf("epoch %s: %d of %d are taken", epoch, taken[epoch], made)
		}
	}
	for _, b := range h.shown {
		key := fmt.Sprint(b.Epoch, "/", b.Seq)
		if shown[key] {
			t.Errorf("%s is shown twice", key)
		}
		shown[key] = true
	}
}

// Storage knows that batches are stored a moment before the door hears of it. An agent that
// connects in between must not be left with them in flight for ever.
func TestConnectingBetweenStoredAndHeardOf(t *testing.T) {
	h := startHub(t)
	h.hold()
	c := h.welcomed("a", "e")
	c.send(one("e", 1, 1))
	c.send(one("e", 2, 1))
	eventually(t, "taking", func() bool { return h.status("a").InFlight == 2 })
	h.mu.Lock()
	h.stored["a"] = map[string]uint64{"e": 2}
	h.mu.Unlock()
	c = h.agent("a", "e")
	if w := expect[*wire.Welcome](c); w.Epochs["e"] != 0 {
		t.Errorf("welcome says %d, before the acks of what is in flight", w.Epochs["e"])
	}
	h.store("a", "e", 2)
	if ack := expect[*wire.Ack](c); ack.Seq != 2 {
		t.Errorf("ack %+v", ack)
	}
	if st := h.status("a"); st.InFlight != 0 || st.Stored != 2 {
		t.Errorf("status %+v", st)
	}
}

// storeAll stores what was taken of an agent.
func (h *hub) storeAll(agent string) {
	last := map[string]uint64{}
	for _, b := range h.taken(agent) {
		last[b.Epoch] = b.Seq
	}
	for epoch, seq := range last {
		h.store(agent, epoch, seq)
	}
}
