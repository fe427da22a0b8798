package ingest

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"telltale/ingest/wire"
)

// All who come at once are let in when they were told to come back.
func TestAdmissionKeepsItsWord(t *testing.T) {
	a := newAdmission(500)
	start := time.Now()
	due := map[int]int{0: 10_000} // how many come, by second
	for second := 0; len(due) > 0; second++ {
		if second > 60 {
			t.Fatalf("%v are still waiting", due)
		}
		admitted := 0
		for range due[second] {
			wait, ok := a.enter(start.Add(time.Duration(second) * time.Second))
			switch {
			case ok:
				admitted++
			case second > 0:
				t.Fatalf("second %d: one who came back is turned away again", second)
			default:
				due[int(math.Ceil(wait.Seconds()))]++
			}
		}
		if admitted > 500 {
			t.Errorf("second %d: %d let in", second, admitted)
		}
		delete(due, second)
	}
}

func TestAdmissionBoundsTheWait(t *testing.T) {
	a := newAdmission(1)
	now := time.Now()
	for range 10_000 {
		if wait, _ := a.enter(now); wait > longestWait {
			t.Fatalf("told to wait %v", wait)
		}
	}
}

// Two thousand agents at once: those turned away come back when they are told, and all are
// welcome in the end.
func TestManyAgentsAtOnce(t *testing.T) {
	h := startHub(t, func(c *Config, _ *fakeSink) { c.AdmissionRate = 800 })
	const agents = 2000
	var clients sync.WaitGroup
	dialing := make(chan struct{}, 50)
	connections := make(chan *bare, agents)
	for i := range agents {
		clients.Go(func() {
			for range 5 {
				dialing <- struct{}{}
				c, response, err := h.upgrade()
				if c != nil {
					err = c.hello("host-" + strconv.Itoa(i))
				}
				<-dialing
				if err != nil {
					t.Error(err)
					return
				}
				if c != nil {
					connections <- c
					return
				}
				wait, err := strconv.Atoi(response.Header.Get("Retry-After"))
				if response.StatusCode != http.StatusServiceUnavailable || err != nil || wait > 10 {
					t.Errorf("turned away with %d %v", response.StatusCode, response.Header)
					return
				}
				time.Sleep(time.Duration(wait) * time.Second)
			}
			t.Error("turned away five times")
		})
	}
	clients.Wait()
	eventually(t, "welcoming all", func() bool {
		welcome := 0
		for _, st := range h.server.Agents() {
			if st.Connected {
				welcome++
			}
		}
		return welcome == agents
	})
	close(connections)
	for c := range connections {
		_ = c.conn.Close()
	}
	eventually(t, "leaving", func() bool { return h.counter("connections") == 0 })
}

// hello says it, without waiting for the welcome.
func (b *bare) hello(id string) error {
	return b.write(wire.Binary(&wire.Hello{Agent: wire.Agent{ID: id}, Epochs: []string{"e"}}))
}

// BenchmarkRefusal is what it costs the hub, and the client beside it, to turn one away.
func BenchmarkRefusal(b *testing.B) {
	h := startHub(b, func(c *Config, _ *fakeSink) { c.AdmissionRate = 1 })
	for b.Loop() {
		if c, _, err := h.upgrade(); err != nil || c != nil {
			continue
		}
	}
}
