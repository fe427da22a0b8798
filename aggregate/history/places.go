package history

import (
	"sync"

	"github.com/cespare/xxhash/v2"

	"telltale/aggregate"
)

// maxUnplaced bounds the new series that wait for it to be known which shard their agent is on.
const maxUnplaced = 1_000_000

// home is the shard that an agent, or anything else with a name, is put on where it is on none yet.
func home(name string, shards int) int { return int(xxhash.Sum64String(name) % uint64(shards)) }

// AllDefinitions is where the series of all shards come from.
type AllDefinitions interface {
	Definitions
	// SetWaiting says how many of the series that were taken no shard has asked for yet. They are to count as new ones
	// that were not taken: a shard that is away may keep them waiting for long.
	SetWaiting(series int)
}

// places knows which shard each admitted agent is on, and gives each shard the new series of its agents. Series of agents
// that are not admitted yet wait; beyond maxUnplaced of them they go to the agent's home, which is where it is unless shards
// were added.
type places struct {
	all    AllDefinitions
	shards int

	mu       sync.RWMutex // guards what follows
	of       map[string]int
	fresh    [][]*aggregate.Series // by shard
	unplaced map[string][]*aggregate.Series
	waiting  int // series in unplaced
}

func newPlaces(all AllDefinitions, shards int) *places {
	return &places{
		all: all, shards: shards,
		of: map[string]int{}, fresh: make([][]*aggregate.Series, shards), unplaced: map[string][]*aggregate.Series{},
	}
}

// find returns the shard of an admitted agent.
func (p *places) find(agent string) (shard int, admitted bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	shard, admitted = p.of[agent]
	return shard, admitted
}

// put notes the shard of an agent.
func (p *places) put(agent string, shard int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of[agent] = shard
	waited := p.unplaced[agent]
	delete(p.unplaced, agent)
	p.waiting -= len(waited)
	p.fresh[shard] = append(p.fresh[shard], waited...)
}

// forget drops what was put. Its series that wait go on waiting: nobody makes them known again.
func (p *places) forget(agent string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.of, agent)
}

// takeNew hands over the series made known that are a shard's.
func (p *places) takeNew(shard int) []*aggregate.Series {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.all.TakeNew() {
		p.enterLocked(s)
	}
	taken := p.fresh[shard]
	p.fresh[shard] = nil
	waiting := p.waiting
	for _, fresh := range p.fresh {
		waiting += len(fresh)
	}
	p.all.SetWaiting(waiting)
	return taken
}

func (p *places) enterLocked(s *aggregate.Series) {
	agent := s.Label(aggregate.AgentLabel)
	at, placed := p.of[agent]
	if !placed && p.waiting < maxUnplaced {
		p.unplaced[agent] = append(p.unplaced[agent], s)
		p.waiting++
		return
	}
	if !placed {
		at = home(agent, p.shards)
	}
	p.fresh[at] = append(p.fresh[at], s)
}

// definitionsOf is places for the writer of one shard.
type definitionsOf struct {
	*places
	shard int
}

var _ Definitions = definitionsOf{}

// TakeNew hands over the shard's series made known since the last call.
func (d definitionsOf) TakeNew() []*aggregate.Series { return d.takeNew(d.shard) }

// Series returns the series with this id.
func (d definitionsOf) Series(id aggregate.SeriesID) (*aggregate.Series, bool) {
	return d.all.Series(id)
}
