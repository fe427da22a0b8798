package history

import (
	"context"
	"fmt"
	"maps"
	"time"
)

// agentRow is a row of known_agents.
type agentRow struct {
	agent              string
	labels, attributes map[string]string
	firstSeen, updated time.Time
	clockOffsetMS      *int32 // nil: never measured
}

// agentState is what the writer remembers of an admitted agent.
type agentState struct {
	row    agentRow
	epochs map[string]*epochState
}

// Admit makes an agent known to the writer and says how far storage has each of its epochs:
// the last stored seq by epoch. It asks ClickHouse for an agent the writer does not remember.
// It fails with ErrNotReady while the history cannot vouch for an answer.
func (w *Writer) Admit(ctx context.Context, agent string, labels, attributes map[string]string) (map[string]uint64, error) {
	w.mu.Lock()
	state, ready := w.agents[agent], w.ready
	w.mu.Unlock()
	if !ready {
		return nil, ErrNotReady
	}
	if state == nil {
		loaded, err := w.admissions.load(ctx, agent)
		if err != nil {
			return nil, err
		}
		state = loaded
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	if newer := w.agents[agent]; newer != nil {
		state = newer
	}
	w.agents[agent] = state
	w.describeLocked(state, agent, labels, attributes)
	progress := make(map[string]uint64, len(state.epochs))
	for epoch, e := range state.epochs {
		progress[epoch] = e.stored
	}
	return progress, nil
}

// knows says whether storage has anything of an agent, or is about to. What it has is remembered for Admit.
func (w *Writer) knows(ctx context.Context, agent string) (bool, error) {
	w.mu.Lock()
	state, ready := w.agents[agent], w.ready
	w.mu.Unlock()
	if !ready {
		return false, ErrNotReady
	}
	if state != nil {
		return true, nil
	}
	state, err := w.admissions.load(ctx, agent)
	if err != nil || state.row.agent == "" && len(state.epochs) == 0 {
		return false, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.agents[agent] == nil {
		w.agents[agent] = state
	}
	return true, nil
}

// describeLocked has the agent's row written with the next block where it says something new.
func (w *Writer) describeLocked(state *agentState, agent string, labels, attributes map[string]string) {
	row := &state.row
	if row.agent != "" && maps.Equal(row.labels, labels) && maps.Equal(row.attributes, attributes) {
		return
	}
	now := time.Now().UTC()
	if row.agent == "" {
		row.firstSeen = now
	}
	row.agent, row.labels, row.attributes, row.updated = agent, labels, attributes, now
	w.newAgents = append(w.newAgents, *row)
}

// clockChange is by how much an agent's clock must have moved for that to be written down: round
// trips differ from one connection to the next.
const clockChange = 100 * time.Millisecond

// ClockOffset notes how far an admitted agent's clock is ahead of the hub's. It is written with the
// next block where it is news.
func (w *Writer) ClockOffset(agent string, ahead time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	state := w.agents[agent]
	if state == nil || state.row.agent == "" {
		return
	}
	row := &state.row
	if known := row.clockOffsetMS; known != nil && (ahead-time.Duration(*known)*time.Millisecond).Abs() < clockChange {
		return
	}
	ms := int32(ahead.Milliseconds())
	row.clockOffsetMS, row.updated = &ms, time.Now().UTC()
	w.newAgents = append(w.newAgents, *row)
}

// Forget drops what the writer remembers of an agent that has left. An agent with samples on
// their way to storage is kept: what ClickHouse says of it is not the whole truth yet.
func (w *Writer) Forget(agent string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	state := w.agents[agent]
	if state == nil {
		return
	}
	for _, e := range state.epochs {
		if e.stored != e.taken {
			return
		}
	}
	delete(w.agents, agent)
}

// admissions gathers the agents that ask while a query runs into the next query, so that
// 10,000 agents that come back at once cost a few dozen queries.
type admissions struct {
	lookup  func(ctx context.Context, agents []string) (map[string]*agentState, error)
	waiting chan admission
}

type admission struct {
	agent string
	reply chan admissionReply // buffered, so that run never waits for a caller who has left
}

type admissionReply struct {
	state *agentState
	err   error
}

// maxAdmissionsPerQuery bounds the length of one IN list.
const maxAdmissionsPerQuery = 1000

func newAdmissions(lookup func(context.Context, []string) (map[string]*agentState, error)) *admissions {
	return &admissions{lookup: lookup, waiting: make(chan admission, maxAdmissionsPerQuery)}
}

func (a *admissions) load(ctx context.Context, agent string) (*agentState, error) {
	ask := admission{agent: agent, reply: make(chan admissionReply, 1)}
	select {
	case a.waiting <- ask:
	case <-ctx.Done():
		return nil, fmt.Errorf("admit agent %s: %w", agent, context.Cause(ctx))
	}
	select {
	case r := <-ask.reply:
		return r.state, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("admit agent %s: %w", agent, context.Cause(ctx))
	}
}

// run answers until ctx ends.
func (a *admissions) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-a.waiting:
			a.answer(ctx, a.gather(first))
		}
	}
}

func (a *admissions) gather(first admission) []admission {
	asked := []admission{first}
	for len(asked) < maxAdmissionsPerQuery {
		select {
		case next := <-a.waiting:
			asked = append(asked, next)
		default:
			return asked
		}
	}
	return asked
}

func (a *admissions) answer(ctx context.Context, asked []admission) {
	agents := make([]string, len(asked))
	for i := range asked {
		agents[i] = asked[i].agent
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	states, err := a.lookup(ctx, agents)
	for i := range asked {
		state := states[asked[i].agent]
		if state == nil {
			state = &agentState{epochs: make(map[string]*epochState)}
		}
		asked[i].reply <- admissionReply{state, err}
	}
}

// lookupAgents reads what storage knows of the agents. Every row of progress is true by now:
// rows of dead hubs were settled at the start, rows of this one belong to remembered agents.
func (w *Writer) lookupAgents(ctx context.Context, agents []string) (map[string]*agentState, error) {
	states := make(map[string]*agentState, len(agents))
	for _, agent := range agents {
		states[agent] = &agentState{epochs: make(map[string]*epochState)}
	}
	if err := w.lookupProgress(ctx, agents, states); err != nil {
		return nil, err
	}
	return states, w.lookupRows(ctx, agents, states)
}

func (w *Writer) lookupProgress(ctx context.Context, agents []string, states map[string]*agentState) error {
	found, err := w.conn.Query(ctx, "SELECT agent, epoch, version, to_seq FROM progress FINAL WHERE agent IN (?)", agents)
	if err != nil {
		return fmt.Errorf("read progress: %w", err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var agent, epoch string
		var e epochState
		if err := found.Scan(&agent, &epoch, &e.version, &e.stored); err != nil {
			return fmt.Errorf("read progress: %w", err)
		}
		e.taken = e.stored
		states[agent].epochs[epoch] = &e
	}
	return found.Err()
}

func (w *Writer) lookupRows(ctx context.Context, agents []string, states map[string]*agentState) error {
	found, err := w.conn.Query(ctx, "SELECT agent, labels, attributes, first_seen, updated, clock_offset_ms FROM known_agents FINAL WHERE agent IN (?)", agents)
	if err != nil {
		return fmt.Errorf("read known agents: %w", err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var row agentRow
		if err := found.Scan(&row.agent, &row.labels, &row.attributes, &row.firstSeen, &row.updated, &row.clockOffsetMS); err != nil {
			return fmt.Errorf("read known agents: %w", err)
		}
		states[row.agent].row = row
	}
	return found.Err()
}
