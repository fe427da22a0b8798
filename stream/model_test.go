package stream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// model plays a topic, one writer and some clients by hand: no network, no goroutine that
// runs by itself. Connections take as many bytes as the play lets them, streams break
// anywhere and are resumed, the topic's memory is short and is lost at times; and still each
// client gets each tick once, or a snapshot or gap that accounts for it.
type model struct {
	t       *testing.T
	hub     *Hub
	writer  *writer
	topic   *Topic
	told    []int64 // the ids that had something to tell
	id      int64
	back    int64 // how far a snapshot reaches back
	notices int
	clients []*client

	building sync.Mutex // keyframe or past runs; the play itself stands still meanwhile
	overtake bool       // let a tick pass the next snapshot
	reach    int64      // how far past reaches back; 0: it gives nothing
	lag      int        // how many ticks are published meanwhile
	deep     int        // snapshots that only past could give
}

// client is a page: it keeps its last id from one stream to the next.
type client struct {
	m      *model
	v      *viewer // nil: not connected
	got    bytes.Buffer
	room   int // how many bytes its connection takes now
	have   int64
	notice int
}

func (c *client) start() error { return nil }
func (c *client) write(p []byte) (int, error) {
	if c.room < 0 {
		return 0, errors.New("broken")
	}
	n := min(len(p), c.room)
	c.room -= n
	c.got.Write(p[:n])
	return n, nil
}
func (c *client) failure() string { return "closed" }
func (c *client) close(bool)      { c.v = nil }

func newModel(t *testing.T) *model {
	cfg := DefaultConfig()
	cfg.RingFrames = 8
	m := &model{t: t, back: 5}
	metrics, err := newMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	m.hub = &Hub{
		cfg: cfg, log: slog.New(slog.DiscardHandler), metrics: metrics, lifetime: t.Context(),
		users: map[string]int{}, sessions: map[string][]*viewer{}, ended: [2]map[string]string{},
	}
	m.writer = newWriter(m.hub, 0)
	m.hub.writers = []*writer{m.writer}
	m.topic = m.hub.NewTopic(m.keyframe, m.past)
	for range 4 {
		m.clients = append(m.clients, &client{m: m})
	}
	return m
}

func (m *model) keyframe(context.Context) Keyframe {
	m.building.Lock()
	defer m.building.Unlock()
	if m.id == 0 {
		return Keyframe{}
	}
	since := max(0, m.id-m.back)
	k := Keyframe{ID: m.id, Since: since, Data: strconv.AppendInt(nil, since, 10)}
	if m.overtake { // a tick is published while the snapshot is on its way
		m.overtake = false
		m.tick(1, false)
	}
	return k
}

func (m *model) past(context.Context) Keyframe {
	m.building.Lock()
	defer m.building.Unlock()
	if m.reach == 0 || m.id == 0 {
		return Keyframe{}
	}
	since := max(0, m.id-m.reach)
	k := Keyframe{ID: m.id, Since: since, Data: strconv.AppendInt(nil, since, 10)}
	for range m.lag { // it takes its time
		m.tick(1, false)
	}
	return k
}

// settle runs the writer until it and the snapshot builder have nothing left to do.
func (m *model) settle() {
	for {
		m.writer.round()
		m.hub.running.Wait()
		m.writer.mu.Lock()
		idle := len(m.writer.groups)+len(m.writer.told) == 0
		m.writer.mu.Unlock()
		if idle {
			break
		}
	}
	for _, c := range m.clients {
		c.read()
	}
}

func (c *client) connect() {
	if c.v != nil {
		return
	}
	c.got.Reset()
	v := &viewer{topic: c.m.topic, conn: c, lastID: c.have, rest: []byte("event: hello\ndata: {}\n\n"), endsAt: time.Now().Add(time.Hour)}
	if refusal := c.m.hub.admit(v); refusal != "" {
		c.m.t.Fatal(refusal)
	}
	c.m.hub.running.Done()
	c.v = v
	c.m.writer.signal(v, joined)
}

func (c *client) leave() {
	if c.v != nil {
		c.m.writer.signal(c.v, left)
	}
}

func (c *client) give(room int) {
	c.room += room
	if c.v != nil {
		c.m.writer.signal(c.v, writable)
	}
}

// read takes in the blocks that have come whole.
func (c *client) read() {
	for {
		end := bytes.Index(c.got.Bytes(), []byte("\n\n"))
		if end < 0 {
			return
		}
		p := &peer{t: c.m.t, body: bufio.NewReader(io.LimitReader(&c.got, int64(end+2)))}
		e, err := p.read()
		if err != nil {
			c.m.t.Fatal(err)
		}
		c.take(e)
	}
}

func (c *client) take(e event) {
	t := c.m.t
	t.Helper()
	id, _ := strconv.ParseInt(e.id, 10, 64)
	switch e.name {
	case "tick":
		want := int64(0)
		for _, told := range c.m.told {
			if told > c.have {
				want = told
				break
			}
		}
		if id != want {
			t.Fatalf("tick %d after %d, want %d", id, c.have, want)
		}
	case "snapshot":
		since, _ := strconv.ParseInt(e.data, 10, 64)
		if id <= c.have || c.have != 0 && since > c.have {
			t.Fatalf("snapshot %d since %d after %d", id, since, c.have)
		}
		if since < id-11 {
			c.m.deep++
		}
	case "gap":
		var from, to int64
		if _, err := fmt.Sscanf(e.data, `{"from":%d,"to":%d,`, &from, &to); err != nil {
			t.Fatal(err)
		}
		if from != c.have || to <= from || to > c.m.id {
			t.Fatalf("gap %s after %d", e.data, c.have)
		}
		id = to
	case "notice":
		n, _ := strconv.Atoi(e.data)
		if n <= c.notice {
			t.Fatalf("notice %d after %d", n, c.notice)
		}
		c.notice = n
	case "": // heartbeat
		if id < c.have {
			t.Fatalf("heartbeat %d after %d", id, c.have)
		}
	}
	c.have = max(c.have, id)
}

func (m *model) step(op, arg byte) {
	c := m.clients[int(arg)%len(m.clients)]
	switch op % 10 {
	case 0, 1, 2:
		m.tick(1+int64(arg%3), arg%16 == 1)
	case 3:
		m.id++
		m.publish(nil)
	case 4:
		m.notices++
		m.topic.Notice("notice", strconv.AppendInt(nil, int64(m.notices), 10))
	case 5:
		c.connect()
	case 6:
		c.leave()
	case 7:
		c.give(int(arg) * 2)
	case 8:
		if v := c.v; v != nil && v.placed && len(v.rest) == 0 {
			v.rest = v.heartbeat()
		}
	case 9:
		if arg%16 == 0 { // the hub is started anew
			for _, c := range m.clients {
				c.leave()
			}
			m.settle()
			m.topic = m.hub.NewTopic(m.keyframe, m.past)
		}
		m.back = int64(arg % 12)
		m.reach, m.lag = int64(arg%5)*20, int(arg%11)
		m.overtake = arg%3 == 0
	}
	if arg%2 == 0 {
		m.settle()
	}
}

// tick publishes the id that lies step ahead. With early, snapshots tell of it before.
func (m *model) tick(step int64, early bool) {
	m.id += step
	m.told = append(m.told, m.id)
	if early {
		lag := m.lag
		m.overtake, m.lag = false, 0
		m.settle()
		m.lag = lag
	}
	m.publish([]byte("{}"))
}

func (m *model) publish(data []byte) {
	if err := m.topic.Publish(m.id, data); err != nil {
		m.t.Fatal(err)
	}
}

// play runs the steps, then lets everybody catch up.
func play(t *testing.T, steps []byte) *model {
	m := newModel(t)
	for i := 0; i+1 < len(steps); i += 2 {
		m.step(steps[i], steps[i+1])
	}
	m.settle()
	for _, c := range m.clients {
		c.connect()
		c.give(1 << 20)
	}
	m.settle()
	m.step(0, 0)
	for _, c := range m.clients {
		if c.have != m.id {
			t.Fatalf("a client has %d of %d", c.have, m.id)
		}
		c.leave()
	}
	m.settle()
	if m.hub.open != 0 || len(m.writer.viewers) != 0 {
		t.Fatalf("%d streams are open", m.hub.open)
	}
	return m
}

func TestModel(t *testing.T) {
	seen, deep := map[string]float64{}, 0
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		steps := make([]byte, 600)
		for i := range steps {
			steps[i] = byte(random.Uint32())
		}
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			m := play(t, steps)
			deep += m.deep
			for _, reason := range []string{"ring", "restart", "conflated"} {
				seen[reason] += testutil.ToFloat64(m.hub.metrics.gaps.WithLabelValues(reason))
			}
		})
	}
	if deep < 20 {
		t.Errorf("only %d snapshots came from the past", deep)
	}
	if len(seen) != 3 || seen["ring"] < 20 || seen["restart"] < 20 || seen["conflated"] < 20 {
		t.Errorf("the plays had too few gaps of some kind: %v", seen)
	}
}

func FuzzModel(f *testing.F) {
	f.Add([]byte{5, 0, 0, 1, 7, 200, 0, 2})
	f.Fuzz(func(t *testing.T, steps []byte) { play(t, steps[:min(len(steps), 2000)]) })
}
