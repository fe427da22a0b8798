package main

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// A hub whose ClickHouse is away when it starts shows what agents send, stores and
// acknowledges none of it, and has all of it once ClickHouse is there.
func TestClickHouseAwayAtTheStart(t *testing.T) {
	in := newIntake(t)
	direct := in.options.Addr[0]
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	own := *in.options
	own.Addr = []string{dead.Addr().String()}
	in.options = &own
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	in.begin()
	t.Cleanup(in.crash)

	const agents, ticks = 5, 6
	models := make([]*modelAgent, agents)
	for i := range models {
		a := newModelAgent(in, fmt.Sprint("away-", i), uint64(i))
		a.connect()
		if a.conn == nil || !a.liveOnly {
			t.Fatalf("agent %s is not welcomed live-only", a.id)
		}
		for range ticks {
			a.tick()
		}
		models[i] = a
	}
	hub := in.current().hub
	eventually(t, "all is shown live", func() bool { return hub.live.Stats().Samples == agents*ticks })
	if err := hub.writer.Ready(); err == nil {
		t.Fatal("the history is ready without its ClickHouse")
	}
	for _, a := range models {
		if a.listen(); a.conn == nil || a.current().acked != 0 {
			t.Errorf("agent %s is closed, or has an acknowledgement of what is not stored: %s", a.id, a.state())
		}
	}

	relay(t, own.Addr[0], direct)
	eventually(t, "the history is ready", func() bool { return hub.writer.Ready() == nil })
	var finishing sync.WaitGroup
	for _, a := range models {
		conn := a.conn
		finishing.Go(func() {
			for a.liveOnly && a.conn == conn { // on the same connection
				a.listen()
				time.Sleep(time.Millisecond)
			}
			if a.conn != conn {
				t.Errorf("agent %s had to come back: %s", a.id, a.state())
			}
			if err := a.finish(); err != nil {
				t.Error(err)
			}
		})
	}
	finishing.Wait()
	compare(t, in, models)
}

// relay passes connections to an address on to another, until the test ends.
func relay(t *testing.T, from, to string) {
	t.Helper()
	listener, err := net.Listen("tcp", from) // the address was free a moment ago
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() { _ = listener.Close() })
	running.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
				running.Go(func() {
					_, _ = io.Copy(way[0], way[1])
					_, _ = way[0].Close(), way[1].Close()
				})
			}
		}
	})
}
