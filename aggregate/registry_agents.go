package aggregate

import (
	"cmp"
	"slices"
)

// AgentSeries is how many active series an agent has.
type AgentSeries struct {
	Agent  string
	Series int
}

// Limits returns the registry's limits.
func (r *Registry) Limits() Limits { return r.limits }

// Largest returns the agents with most active series, those first, at most n. The hub's own agent, which has no limit, is not
// among them.
func (r *Registry) Largest(n int) []AgentSeries {
	r.mu.RLock()
	all := make([]AgentSeries, 0, len(r.senders))
	for agent, from := range r.senders {
		if agent != r.limits.Own {
			all = append(all, AgentSeries{agent, len(from.entries)})
		}
	}
	r.mu.RUnlock()
	slices.SortFunc(all, func(a, b AgentSeries) int {
		return cmp.Or(cmp.Compare(b.Series, a.Series), cmp.Compare(a.Agent, b.Agent))
	})
	return all[:min(n, len(all))]
}
