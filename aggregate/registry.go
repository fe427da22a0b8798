package aggregate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unique"
)

// Limits bounds what a Registry keeps.
type Limits struct {
	SeriesPerAgent int // default 20,000
	Series         int // in all; default 2,000,000

	// Own is the hub's own agent, which has series of every other one: it has no limit of its own,
	// and its idle series are forgotten though it never leaves. Empty: none.
	Own string
}

// DefaultLimits fit a hub of one machine: about 1 GB at the most.
func DefaultLimits() Limits { return Limits{SeriesPerAgent: 20_000, Series: 2_000_000} }

// Registry knows every series that is active on this hub. Its methods may be called from any goroutine.
type Registry struct {
	limits Limits

	// mu guards everything below and the fields of entry, sender and metric that say so.
	// It is taken after Live.mu where both are needed.
	mu      sync.RWMutex
	entries map[SeriesID]*entry
	metrics map[string]*metric
	senders map[string]*sender
	unsaved []*Series // for storage: see TakeNew; at most limits.Series with those that are taken and wait
	waiting int       // see SetWaiting
	unbound []*entry  // for Live: new, or changed

	refused atomic.Uint64
}

// metric is all series of one name. They share one kind, so that a query on the metric has one meaning.
type metric struct {
	kind    Kind
	entries []*entry
}

// NewRegistry makes an empty registry. A limit of zero or less takes its default.
func NewRegistry(limits Limits) *Registry {
	defaults := DefaultLimits()
	if limits.SeriesPerAgent <= 0 {
		limits.SeriesPerAgent = defaults.SeriesPerAgent
	}
	if limits.Series <= 0 {
		limits.Series = defaults.Series
	}
	return &Registry{
		limits:  limits,
		entries: map[SeriesID]*entry{},
		metrics: map[string]*metric{},
		senders: map[string]*sender{},
	}
}

// Intern makes the series known and returns its id; s.ID is not read. The labels must be sorted by name,
// with unique names and AgentLabel among them. A known series takes on a changed unit or interval.
// The error is a *Refusal where a limit or a conflict stands in the way. The strings are copied.
//
// The id stays valid until Detach, and after it until the series has been idle for long enough.
func (r *Registry) Intern(s Series) (SeriesID, error) {
	if s.Interval <= 0 {
		return 0, fmt.Errorf("intern series %s: interval %v: must be positive", s.Metric, s.Interval)
	}
	s.ID = NewSeriesID(s.Metric, s.Labels)
	if unchanged, err := r.recall(&s); unchanged || err != nil {
		return s.ID, r.count(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.entries[s.ID]; e != nil {
		return s.ID, r.count(r.amend(e, &s))
	}
	return s.ID, r.count(r.add(&s))
}

// recall is the common case: the series is known, just as it is.
func (r *Registry) recall(s *Series) (unchanged bool, err error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	e := r.entries[s.ID]
	if e == nil {
		return false, nil
	}
	if err := conflict(e.desc, s); err != nil {
		return false, err
	}
	e.give()
	return e.desc.Unit == s.Unit && e.desc.Interval == s.Interval, nil
}

func conflict(known, s *Series) error {
	if known.Metric != s.Metric || !slices.Equal(known.Labels, s.Labels) {
		return &Refusal{ReasonIDConflict, fmt.Sprintf("series of metric %q has the id of another series: change a label", s.Metric)}
	}
	return kindConflict(known.Kind, s)
}

func kindConflict(known Kind, s *Series) error {
	if known == s.Kind {
		return nil
	}
	return &Refusal{ReasonKindConflict, fmt.Sprintf("metric %q is a %v, not a %v: use another name", s.Metric, known, s.Kind)}
}

// amend gives a known series a new unit or interval. Others may hold the old description, so it is replaced, not written to.
func (r *Registry) amend(e *entry, s *Series) error {
	if err := conflict(e.desc, s); err != nil {
		return err
	}
	e.give()
	if e.desc.Unit == s.Unit && e.desc.Interval == s.Interval {
		return nil // another goroutine was faster
	}
	if err := r.saving(); err != nil {
		return err
	}
	changed := *e.desc
	changed.Unit, changed.Interval = shared(s.Unit), s.Interval
	r.describe(e, &changed)
	return nil
}

func (r *Registry) add(s *Series) error {
	from := r.senders[s.Label(AgentLabel)]
	if err := r.room(from, s); err != nil {
		return err
	}
	m := r.metrics[s.Metric]
	if m == nil {
		m = &metric{kind: s.Kind}
		r.metrics[strings.Clone(s.Metric)] = m
	} else if err := kindConflict(m.kind, s); err != nil {
		return err
	}
	if from == nil {
		from = &sender{agent: shared(s.Label(AgentLabel)), turn: 1}
		r.senders[from.agent] = from
	}
	e := &entry{id: s.ID, sender: from, place: int32(len(from.entries))}
	e.give()
	r.entries[s.ID] = e
	from.entries = append(from.entries, e)
	m.entries = append(m.entries, e)
	r.describe(e, m.copyOf(s))
	return nil
}

func (r *Registry) room(from *sender, s *Series) error {
	switch {
	case len(r.entries) >= r.limits.Series:
		return &Refusal{ReasonSeriesLimit, fmt.Sprintf("the hub has its limit of %d series: send fewer distinct labels, or raise --max-series", r.limits.Series)}
	case from != nil && from.agent != r.limits.Own && len(from.entries) >= r.limits.SeriesPerAgent:
		return &Refusal{ReasonSeriesLimit, fmt.Sprintf("agent %q has its limit of %d series: send fewer distinct labels, or raise --max-series-per-agent",
			s.Label(AgentLabel), r.limits.SeriesPerAgent)}
	}
	return r.saving()
}

// saving refuses what storage would have to write down where too much waits for that: while storage is away, series come
// and are forgotten, and would fill the memory.
func (r *Registry) saving() error {
	if len(r.unsaved)+r.waiting < r.limits.Series {
		return nil
	}
	return &Refusal{ReasonSeriesLimit, fmt.Sprintf("%d new series wait to be stored, the limit: send fewer distinct labels, or see why the history is away", r.limits.Series)}
}

// copyOf makes the series the registry keeps, sharing its text with other series.
func (m *metric) copyOf(s *Series) *Series {
	c := &Series{ID: s.ID, Kind: s.Kind, Unit: shared(s.Unit), Interval: s.Interval, Labels: make([]Label, len(s.Labels))}
	if len(m.entries) > 1 { // the entry being added is the last
		c.Metric = m.entries[0].desc.Metric
	} else {
		c.Metric = shared(s.Metric)
	}
	for i, l := range s.Labels {
		c.Labels[i] = Label{shared(l.Name), shared(l.Value)}
	}
	return c
}

// shared returns one copy of equal texts that come at about the same time: the garbage collector
// ends the sharing, never the text, so nothing has to be kept or swept.
func shared(text string) string { return unique.Make(text).Value() }

func (r *Registry) describe(e *entry, s *Series) {
	e.desc = s
	r.unsaved = append(r.unsaved, s)
	r.unbound = append(r.unbound, e)
}

func (r *Registry) count(err error) error {
	if err != nil {
		r.refused.Add(1)
	}
	return err
}

// TakeNew returns the series made known or changed since the last call; they are read-only. Storage
// writes them before the rows that refer to them, and keeps them for its next attempt where that fails.
// Called after a block is closed, it has every series of the block that no earlier call returned.
func (r *Registry) TakeNew() []*Series {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.unsaved
	r.unsaved = nil
	return taken
}

// SetWaiting says how many of the series that TakeNew returned wait, outside the registry, to be stored. They count as if
// they had not been taken.
func (r *Registry) SetWaiting(series int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = series
}

// takeUnbound returns the entries that are new or changed since the last call.
func (r *Registry) takeUnbound() []*entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.unbound
	r.unbound = nil
	return taken
}

// Series returns the series with this id. It is read-only.
func (r *Registry) Series(id SeriesID) (*Series, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	e := r.entries[id]
	if e == nil {
		return nil, false
	}
	return e.desc, true
}

// Kind returns the kind of a metric that has active series.
func (r *Registry) Kind(metric string) (kind Kind, known bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	m := r.metrics[metric]
	if m == nil {
		return 0, false
	}
	return m.kind, true
}

// Metric returns the active series of a metric, in the order in which they became known. They are read-only.
func (r *Registry) Metric(name string) []*Series {
	r.mu.RLock()
	defer r.mu.RUnlock()
	m := r.metrics[name]
	if m == nil {
		return nil
	}
	series := make([]*Series, len(m.entries))
	for i, e := range m.entries {
		series[i] = e.desc
	}
	return series
}

// Metrics returns the names of the metrics that have active series, sorted.
func (r *Registry) Metrics() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.metrics))
}

// Detach says that nobody holds ids of the agent's series that were given out before: its connection has ended and nothing is
// pending, or it begins to describe its series anew. From then on those may be forgotten that are not interned again and
// have been idle for long enough.
func (r *Registry) Detach(agent string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if from := r.senders[agent]; from != nil {
		from.turn++
		from.held.Store(0)
	}
}

// RegistryStats is what a registry holds and has refused.
type RegistryStats struct {
	Series, Agents, Metrics int
	Refused                 uint64
}

// Stats returns the present figures.
func (r *Registry) Stats() RegistryStats {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return RegistryStats{len(r.entries), len(r.senders), len(r.metrics), r.refused.Load()}
}
