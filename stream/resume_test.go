package stream

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestResumeFromRing(t *testing.T) {
	s := open(t)
	s.publish(10)
	p := s.connect("", "Last-Event-ID: 7")
	p.want("hello", 0)
	p.want("tick", 8)
	p.want("tick", 9)
	p.want("tick", 10)
	s.publish(11)
	p.want("tick", 11)

	packed := s.connect("?last_event_id=9", "Accept-Encoding: gzip")
	packed.want("hello", 0)
	packed.want("tick", 10)
	packed.want("tick", 11)

	both := s.connect("?last_event_id=2", "Last-Event-ID: 10")
	both.want("hello", 0)
	both.want("tick", 11)

	current := s.connect("", "Last-Event-ID: 11")
	current.want("hello", 0)
	ahead := s.connect("", "Last-Event-ID: 12") // another hub was faster
	ahead.want("hello", 0)
	eventually(t, "both are in", func() bool { return s.open() == 5 })
	s.publish(13)
	current.want("tick", 12)
	current.want("tick", 13)
	ahead.want("tick", 13)
	if s.builds != 0 {
		t.Errorf("%d snapshots were built for viewers that the ring could serve", s.builds)
	}
}

func TestResumeBeyondRing(t *testing.T) {
	s := open(t, withConfig(func(c *Config) { c.RingFrames = 5 }))
	s.publish(20) // the ring holds 16 to 20
	s.setState(20, 12)
	f := func(last int64, wantGap string) {
		t.Helper()
		p := s.connect("", fmt.Sprintf("Last-Event-ID: %d", last))
		p.want("hello", 0)
		if wantGap != "" {
			if got := p.want("gap", 0); got != wantGap {
				t.Errorf("gap holds %s, want %s", got, wantGap)
			}
		}
		p.want("snapshot", 20)
	}
	f(3, `{"from":3,"to":12,"reason":"ring"}`)
	f(12, "") // the snapshot holds all that is missing
	f(14, "")
	p := s.connect("", "Last-Event-ID: 15")
	p.want("hello", 0)
	p.want("tick", 16)
}

func TestResumeAfterRestart(t *testing.T) {
	s := open(t)
	s.setState(100, 90)
	f := func(last int64) *peer {
		t.Helper()
		p := s.connect("", fmt.Sprintf("Last-Event-ID: %d", last))
		p.want("hello", 0)
		return p
	}
	before := f(50)
	if got := before.want("gap", 0); got != `{"from":50,"to":90,"reason":"restart"}` {
		t.Errorf("gap holds %s", got)
	}
	before.want("snapshot", 100)
	within := f(95)
	within.want("snapshot", 100)
	current := f(100)
	eventually(t, "all are in", func() bool { return s.open() == 3 })
	s.publish(101)
	before.want("tick", 101)
	within.want("tick", 101)
	// It may have taken its place only after the tick, which a hub just started cannot vouch for then.
	if e := current.next(); e.id != "101" || e.name != "tick" && e.name != "snapshot" {
		t.Errorf("got %+v, want tick or snapshot 101", e)
	}
}

func TestLastEventIDThatIsNone(t *testing.T) {
	s := open(t)
	s.publish(10)
	for _, id := range []string{"", "x", "-5", "0", "9999999999999999999", fmt.Sprint(time.Now().Add(time.Hour).UnixMilli())} {
		p := s.connect("", "Last-Event-ID: "+id)
		p.want("hello", 0)
		p.want("snapshot", 10)
	}
}

// Many come back at once after longer than memory reaches back: the past is asked once, and each
// gets one snapshot that holds all it missed, and goes on from there.
func TestResumeFromThePast(t *testing.T) {
	s := open(t, withConfig(func(c *Config) { c.RingFrames = 5 }))
	s.publish(20)
	s.setState(20, 15)
	arrived := make(chan struct{})
	s.far = func(ctx context.Context) Keyframe {
		select { // not before all are there
		case <-arrived:
		case <-ctx.Done():
			return Keyframe{}
		}
		return Keyframe{ID: 20, Since: 3, Data: []byte("all on screen")}
	}
	var back []*peer
	for i := range 20 {
		p := s.connect("", fmt.Sprintf("Last-Event-ID: %d", 3+i%5))
		p.want("hello", 0)
		back = append(back, p)
	}
	eventually(t, "all are in", func() bool { return s.open() == len(back) })
	s.publish(21) // meanwhile the topic goes on
	close(arrived)
	late := s.connect("", "Last-Event-ID: 9")
	late.want("hello", 0)
	for _, p := range append(back, late) {
		if got := p.want("snapshot", 20); got != "all on screen" {
			t.Fatalf("snapshot holds %s", got)
		}
		p.want("tick", 21)
	}
	older := s.connect("", "Last-Event-ID: 1")
	older.want("hello", 0)
	if got := older.want("gap", 0); got != `{"from":1,"to":3,"reason":"ring"}` {
		t.Errorf("gap holds %s", got)
	}
	older.want("snapshot", 20)
	older.want("tick", 21)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked != 1 {
		t.Errorf("the past was asked %d times, want once", s.asked)
	}
}

// A past that fails is asked once, not for every viewer and tick.
func TestResumeWithoutAPast(t *testing.T) {
	s := open(t, withConfig(func(c *Config) { c.RingFrames = 5 }))
	s.publish(20)
	s.setState(20, 15)
	for range 5 {
		p := s.connect("", "Last-Event-ID: 3")
		p.want("hello", 0)
		if got := p.want("gap", 0); got != `{"from":3,"to":15,"reason":"ring"}` {
			t.Errorf("gap holds %s", got)
		}
		p.want("snapshot", 20)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked != 1 {
		t.Errorf("the past was asked %d times, want once", s.asked)
	}
}
