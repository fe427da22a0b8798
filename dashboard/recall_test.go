package dashboard

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"telltale/aggregate"
)

// record is a history in which every query without groups has the same value in every window, and
// each query by host has web-1's.
type record struct {
	value atomic.Int64 // 0: history does not answer
	asked atomic.Int64
	seen  time.Time // when its agent was seen last
}

func (r *record) option(_ *Config, parts *Parts) {
	parts.History = past{query: r.query, agents: func(context.Context) ([]KnownAgent, error) {
		return []KnownAgent{{ID: "web-1", LastSeen: r.seen}}, nil
	}}
}

func (r *record) query(_ context.Context, ask HistoryQuery) (HistoryAnswer, error) {
	r.asked.Add(1)
	value := float64(r.value.Load())
	if value == 0 {
		return HistoryAnswer{}, errors.New("it is away")
	}
	answer := HistoryAnswer{Step: ask.Step, Results: map[string]aggregate.Columns{}}
	var row []float64
	for end := ask.From - ask.From%int64(ask.Step) + int64(ask.Step); end <= ask.To; end += int64(ask.Step) {
		answer.Ends = append(answer.Ends, end)
		row = append(row, value)
	}
	for name, q := range ask.Queries {
		c := aggregate.Columns{Groups: []aggregate.Group{{}}, Values: [][]float64{row}}
		if len(q.By) > 0 {
			c.Groups = []aggregate.Group{{Labels: []aggregate.Label{{Name: "agent", Value: "web-1"}}}}
		}
		answer.Results[name] = c
	}
	return answer, nil
}

// at sets the site's clock, before anything is watched.
func (s *site) at(ms int64) {
	s.clock.ms.Store(ms)
	s.Live.Advance(s.now())
}

func (c *client) back(lastID int64) *viewer {
	c.t.Helper()
	c.header.Set("Last-Event-ID", strconv.FormatInt(lastID, 10))
	v := c.view("dashboard=overview")
	v.want("hello", &helloData{})
	return v
}

// The hub was killed and is started anew: who comes back gets the windows between from history, those that
// the outage cut short marked, and amended when the agents have sent what they kept.
func TestRestartIsBridgedFromHistory(t *testing.T) {
	now := time.Now().Truncate(time.Second).UnixMilli() - 120_000 + 500
	r := &record{seen: time.UnixMilli(now - 10_500)} // the hub before stopped 10 s ago
	r.value.Store(1)
	s := open(t, r.option)
	s.at(now)
	s.topics.publish(s.t.Context(), s.now()) // the hub begins; who was connected comes back a second later
	eventually(t, "the outage is known", func() bool { return s.topics.memory.missing(s.now()).from == now-14_500 })
	s.clock.add(time.Second)
	s.Live.Advance(s.now())

	last := now - 500 - 11_000 // the viewer's
	v := s.signedIn().back(last)
	var snapshot snapshotData
	v.want("snapshot", &snapshot)
	// The window in which the topic was opened is history's, too: live begins with the first whole one.
	if snapshot.End != now+1500 || snapshot.Since != snapshot.End-59_000 {
		t.Fatalf("snapshot of %d..%d, want a minute up to %d", snapshot.Since, snapshot.End, now+1500)
	}
	if snapshot.Partial.From != now-14_500 || snapshot.Partial.To != snapshot.End {
		t.Errorf("partial %+v, want from %d", snapshot.Partial, now-14_500)
	}
	if got := snapshot.Queries["cpu_by_host"].Groups; len(got) != 1 || got[0]["agent"] != "web-1" {
		t.Errorf("groups %v", got)
	}
	values := snapshot.Queries["cpu"].Values[0]
	for i, v := range values {
		if v == nil || *v != 1 {
			t.Fatalf("value %d of %d is missing or not history's", i, len(values))
		}
	}

	var tick tickData
	s.tick()
	s.tick()
	v.want("tick", &tick)
	if tick.End != snapshot.End+1000 || !tick.Partial {
		t.Fatalf("tick %d partial %v after snapshot %d", tick.End, tick.Partial, snapshot.End)
	}
	r.value.Store(2) // the agent has sent what it kept
	asked := r.asked.Load()
	marked := map[int64]bool{tick.End: true}
	for end := snapshot.Partial.From - snapshot.Partial.From%1000 + 1000; end <= snapshot.Partial.To; end += 1000 {
		marked[end] = true
	}
	amended := map[int64]float64{}
	for second := 0; second < 45; second++ {
		s.tick()
		tick = tickData{} // or its marks would stay
		v.want("tick", &tick)
		if tick.Partial {
			marked[tick.End] = true
		}
		for _, a := range tick.Amend {
			if a.Values["cpu"] != nil {
				amended[a.End] = *a.Values["cpu"][0]
			}
			if !a.Partial {
				delete(marked, a.End)
			}
		}
		if n := int64(second); n%5 == 0 { // the questions run beside the ticks
			eventually(t, "history was asked", func() bool { return !s.recalling() })
		}
	}
	if r.asked.Load() == asked || amended[last+1000] != 2 || amended[snapshot.End-1000] != 2 {
		t.Errorf("amended %v, history asked %d times more", amended, r.asked.Load()-asked)
	}
	if len(marked) != 0 {
		t.Errorf("windows stay marked: %v", marked)
	}
}

func (s *site) recalling() bool {
	s.topics.mu.Lock()
	defer s.topics.mu.Unlock()
	for _, t := range s.topics.byKey {
		t.recall.mu.Lock()
		busy := t.recall.busy
		t.recall.mu.Unlock()
		if busy {
			return true
		}
	}
	return false
}

// Whoever was away for ten minutes gets everything on screen at once, and history is asked once for all.
func TestLongAbsenceIsOneSnapshot(t *testing.T) {
	now := time.Now().Truncate(time.Second).UnixMilli() - 200_000 + 500
	r := &record{seen: time.UnixMilli(now)}
	r.value.Store(7)
	s := open(t, r.option)
	s.at(now)
	c := s.signedIn()
	first := c.view("dashboard=overview")
	first.want("hello", &helloData{})
	first.want("snapshot", &snapshotData{})
	for range 70 { // the ring has lost the first of them
		s.tick()
	}
	eventually(t, "history was asked", func() bool { return !s.recalling() })
	s.topics.comparer.running.Wait() // which asks beside it
	end := s.now().Truncate(time.Second).UnixMilli()
	asked := r.asked.Load()
	var all []*viewer
	for i := range int64(5) {
		all = append(all, c.back(end-600_000-i*1000))
	}
	for _, v := range all {
		var snapshot snapshotData
		v.want("snapshot", &snapshot)
		if snapshot.End != end || snapshot.Since != end-899_000 {
			t.Fatalf("snapshot of %d..%d, want a quarter of an hour up to %d", snapshot.Since, snapshot.End, end)
		}
		hosts := snapshot.Queries["hosts"].Values[0]
		if len(hosts) != 900 || *hosts[0] != 7 || *hosts[839] != 7 || *hosts[899] != 0 {
			t.Errorf("%d values, from history %v and %v, live %v", len(hosts), *hosts[0], *hosts[839], *hosts[899])
		}
		if by := snapshot.Queries["cpu_by_host"]; len(by.Groups) != 1 || len(by.Values[0]) != 900 || *by.Values[0][0] != 7 || by.Values[0][899] != nil {
			t.Errorf("by host: %+v", by)
		}
	}
	if n := r.asked.Load() - asked; n != 1 {
		t.Errorf("history was asked %d times for %d viewers", n, len(all))
	}
	next := s.tick()
	for _, v := range all {
		var tick tickData
		if v.want("tick", &tick); tick.End != next {
			t.Errorf("tick %d, want %d", tick.End, next)
		}
	}

	older := c.back(end - 3_600_000)
	var gap gapData
	older.want("gap", &gap)
	if want := (gapData{end - 3_600_000, end - 900_000, "ring"}); gap != want {
		t.Errorf("gap %+v, want %+v", gap, want)
	}
	older.want("snapshot", &snapshotData{})
}

// While history is away, viewers get what is live, and a gap.
func TestRecallWithoutHistory(t *testing.T) {
	r := &record{seen: time.Now()}
	s := open(t, r.option)
	c := s.signedIn()
	v := c.view("dashboard=overview")
	v.want("hello", &helloData{})
	s.tick()
	eventually(t, "history was asked again", func() bool { return r.asked.Load() > 2 })
	r.value.Store(3) // it comes up just in time
	s.tick()
	var snapshot snapshotData
	v.want("snapshot", &snapshot)
	if snapshot.Since != snapshot.End-59_000 {
		t.Errorf("snapshot of %d..%d", snapshot.Since, snapshot.End)
	}
}

func TestAnswersThatTopicsCannotUse(t *testing.T) {
	f := func(want bool, step aggregate.Step, ends, groups int) {
		t.Helper()
		answer := HistoryAnswer{Step: step, Ends: make([]int64, ends), Results: map[string]aggregate.Columns{"q": {Groups: make([]aggregate.Group, groups)}}}
		if err := usable(answer, aggregate.Second); (err == nil) != want {
			t.Errorf("step %v, %d windows of %d groups: %v", step, ends, groups, err)
		}
	}
	f(true, aggregate.Second, 900, 200)
	f(false, aggregate.Second, 900, 300)
	f(false, aggregate.TenSeconds, 90, 1)
	f(false, aggregate.Second, 0, 0)
}
