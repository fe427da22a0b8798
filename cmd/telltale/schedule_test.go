package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// blow is one thing that the chaos does.
type blow struct {
	after   time.Duration // the blow before
	kind    string
	agent   int           // of those that hit one, and the pick of a connection
	lasting time.Duration // until it is undone
	bytes   int64         // of a cut: how many pass before it; of damage: how much of the tail
	half    int           // of a cut: 0 towards the hub, 1 towards the agent
	damage  string        // what is done to the spool of an agent that is dead
	insert  bool          // waits until an insert runs
	seed    uint64        // of the bytes that are flipped
}

func (b blow) String() string {
	text := b.kind
	switch b.kind {
	case agentKill, agentStop, agentRestart:
		text += fmt.Sprintf(" %d for %v", b.agent, b.lasting)
	case cutLink:
		text += fmt.Sprintf(" %d after %d bytes on half %d", b.agent, b.bytes, b.half)
	default:
		text += fmt.Sprintf(" for %v", b.lasting)
	}
	if b.insert {
		text += ", in an insert"
	}
	if b.damage != "" {
		text += fmt.Sprintf(", %s %d bytes of its tail", b.damage, b.bytes)
	}
	return text
}

// The kinds of blows. A kill is SIGKILL; a stop is SIGSTOP, then SIGCONT; a restart begins with SIGTERM.
const (
	agentKill     = "kill agent"
	agentStop     = "stop agent"
	agentRestart  = "restart agent"
	hubKill       = "kill hub"
	hubStop       = "stop hub"
	hubRestart    = "restart hub"
	engineKill    = "kill clickhouse"
	engineStop    = "stop clickhouse"
	cutLink       = "cut connection"
	stallLink     = "stall connection"
	truncateSpool = "truncate"
	flipSpool     = "flip"
)

// weights are out of 100.
var weights = []struct {
	kind   string
	weight int
}{
	{agentKill, 28}, {agentStop, 9}, {agentRestart, 4},
	{hubKill, 8}, {hubStop, 5}, {hubRestart, 2},
	{engineKill, 8}, {engineStop, 6},
	{cutLink, 20}, {stallLink, 10},
}

// schedule draws the blows: the same for the same seed.
type schedule struct {
	random *rand.Rand
	agents int
}

func newSchedule(seed uint64, agents int) *schedule {
	return &schedule{random: rand.New(rand.NewPCG(seed, 0)), agents: agents}
}

func (s *schedule) next() blow {
	b := blow{
		after: s.between(50*time.Millisecond, 800*time.Millisecond), kind: s.kind(), agent: s.random.IntN(s.agents),
		lasting: s.between(50*time.Millisecond, 3*time.Second), half: s.random.IntN(2), seed: s.random.Uint64(),
	}
	b.insert = (b.kind == hubKill || b.kind == engineKill) && s.random.IntN(3) > 0
	b.bytes = s.random.Int64N(300) + 1
	if b.kind == agentKill && s.random.IntN(2) == 0 {
		b.damage = []string{truncateSpool, flipSpool}[s.random.IntN(2)]
	}
	return b
}

func (s *schedule) kind() string {
	draw := s.random.IntN(100)
	for _, w := range weights {
		if draw -= w.weight; draw < 0 {
			return w.kind
		}
	}
	return cutLink
}

func (s *schedule) between(least, most time.Duration) time.Duration {
	return (least + time.Duration(s.random.Int64N(int64(most-least)))).Round(time.Millisecond)
}
