package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// read returns the events of a stream that arrives in pieces of the size given.
func readEvents(stream string, size int) []string {
	var r eventReader
	var got []string
	for piece := range slices.Chunk([]byte(stream), size) {
		r.feed(piece, func(e *event) {
			got = append(got, fmt.Sprintf("%s|%s|%d|%v|%s", e.name, e.data, e.id, e.retry, e.comment))
		})
	}
	return got
}

func TestEventReader(t *testing.T) {
	stream := "retry: 1500\nevent: hello\ndata: {\"step_ms\":1000}\n\n" +
		"id: 1763800000000\nevent: tick\r\ndata:{\"a\":1}\ndata: second line\n\r\n" +
		"id: 1763800001000\n\n" +
		": refused for now: user_limit\nretry: 7000\n\n" +
		"nonsense\nid: x\nid\n\n" +
		"event: tick\ndata: unfinished"
	want := []string{
		`hello|{"step_ms":1000}|0|1.5s|`,
		`tick|{"a":1}|1763800000000|0s|`,
		`||1763800001000|0s|`,
		`||0|7s|refused for now: user_limit`,
		`||0|0s|`,
	}
	for _, size := range []int{1, 2, 7, 4096} {
		if got := readEvents(stream, size); !slices.Equal(got, want) {
			t.Errorf("in pieces of %d:\n%s\nwant\n%s", size, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestLongLineIsCut(t *testing.T) {
	long := `{"end":5,"since":3,` + strings.Repeat("x", 100_000)
	var r eventReader
	events := 0
	r.feed([]byte("event: snapshot\ndata: "+long+"\nid: 5\n\nevent: tick\nid: 6\n\n"), func(e *event) {
		events++
		if events == 1 && (string(e.name) != "snapshot" || e.id != 5 || numberIn(e.data, "since") != 3 || len(e.data) > keptBytes) {
			t.Errorf("snapshot: %s %d %.40s", e.name, e.id, e.data)
		}
		if events == 2 && (string(e.name) != "tick" || e.id != 6 || len(e.data) > 0) {
			t.Errorf("tick after it: %+v", e)
		}
	})
	if events != 2 {
		t.Errorf("%d events, want 2", events)
	}
}

func TestNumberIn(t *testing.T) {
	for data, want := range map[string]int64{
		`{"from":5,"to":70}`: 70, `{"to":1763800000000`: 1763800000000, `{"from":5}`: 0, `{"to":"x"}`: 0, ``: 0, `{"to":99999999999999999999}`: 0,
	} {
		if got := numberIn([]byte(data), "to"); got != want {
			t.Errorf("numberIn(%s) = %d, want %d", data, got, want)
		}
	}
}

func TestPosition(t *testing.T) {
	p := position{step: 1000}
	if h := p.snapshot(5000, 1000); h != (hole{}) || p.last != 5000 {
		t.Errorf("joining: %+v, at %d", h, p.last)
	}
	if h, repeated := p.tick(6000); h != (hole{}) || repeated {
		t.Errorf("the next tick: %+v %v", h, repeated)
	}
	if _, repeated := p.tick(6000); !repeated {
		t.Error("a tick twice is not noticed")
	}
	if h, _ := p.tick(9000); h != (hole{6000, 9000}) {
		t.Errorf("two ticks left out: %+v", h)
	}
	if n := p.gap(9000, 12000); n != 3 || p.last != 12000 {
		t.Errorf("a gap of three: %d, at %d", n, p.last)
	}
	if h := p.snapshot(20000, 13000); h != (hole{}) || p.last != 20000 {
		t.Errorf("a snapshot right after the gap: %+v, at %d", h, p.last)
	}
	if h := p.snapshot(30000, 23000); h != (hole{20000, 23000}) {
		t.Errorf("a snapshot that begins too late: %+v", h)
	}
	p.heartbeat(31000)
	if h, _ := p.tick(32000); h != (hole{}) {
		t.Errorf("a tick after a heartbeat: %+v", h)
	}
	if h, repeated := p.tick(31500); h != (hole{}) || !repeated {
		t.Errorf("a tick of the past: %+v %v", h, repeated)
	}
}

// Only windows that somebody got can be missed.
func TestMissed(t *testing.T) {
	a := &audience{published: map[int64]struct{}{}}
	for _, id := range []int64{1000, 2000, 4000, 5000} {
		a.publish(id)
	}
	a.miss(hole{})
	a.miss(hole{2000, 4000}) // 3000 was not sent to anybody
	if n := a.missed(); n != 0 {
		t.Errorf("missed %d, want none", n)
	}
	a.miss(hole{1000, 5000})
	if n := a.missed(); n != 2 {
		t.Errorf("missed %d, want 2", n)
	}
}

func FuzzEventReader(f *testing.F) {
	f.Add([]byte("id: 5\nevent: tick\ndata: {}\n\n"), 3)
	f.Add([]byte("data: "+strings.Repeat("x", 2*keptBytes)+"\n\n"), 100)
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		size = max(size%64, 1)
		whole, pieces := readEvents(string(stream), len(stream)+1), readEvents(string(stream), size)
		if !slices.Equal(whole, pieces) {
			t.Errorf("in pieces of %d %q, at once %q", size, pieces, whole)
		}
		if blocks := bytes.Count(stream, []byte("\n")); len(whole) > blocks {
			t.Errorf("%d events in %d lines", len(whole), blocks)
		}
		for _, e := range whole {
			if len(e) > 4*keptBytes+100 {
				t.Errorf("an event keeps %d bytes", len(e))
			}
		}
	})
}
