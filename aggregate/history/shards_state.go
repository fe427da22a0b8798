package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Each returns the writers, in the order of the shards; none before a cluster has said which shards it has.
func (s *Shards) Each() []*Writer { return s.spread.Load().writers }

// Ready says whether agents of at least one shard can be admitted, and if not, why. Those of others wait for theirs.
func (s *Shards) Ready() error {
	err := ErrNotReady
	for _, w := range s.Each() {
		if err = w.Ready(); err == nil {
			return nil
		}
	}
	return err
}

// Away tells of the shards on which nothing is stored now, each with the reason; nil where it is so on all or on none.
func (s *Shards) Away() []string {
	sp := s.spread.Load()
	var away []string
	for i, shard := range sp.shards {
		reason := sp.writers[i].Behind()
		if err := sp.writers[i].Ready(); err != nil {
			reason = err.Error()
		}
		if reason != "" {
			away = append(away, fmt.Sprintf("%v: %s", shard, reason))
		}
	}
	if len(away) == len(sp.shards) {
		return nil
	}
	return away
}

// Behind is Writer.Behind of the first shard that is.
func (s *Shards) Behind() string {
	reason := ""
	for _, w := range s.Each() {
		reason = cmp.Or(reason, w.Behind())
	}
	return reason
}

// Waiting is how long the oldest sample has waited that is taken and not stored.
func (s *Shards) Waiting() time.Duration {
	var longest time.Duration
	for _, w := range s.Each() {
		longest = max(longest, w.Waiting())
	}
	return longest
}

// UnstoredBytes is the memory held by samples that are taken and not stored.
func (s *Shards) UnstoredBytes() int64 {
	var sum int64
	for _, w := range s.Each() {
		sum += w.UnstoredBytes()
	}
	return sum
}

// Level is how much of the bound on unstored samples is used, from 0 to 1, where the agent's go.
func (s *Shards) Level(agent string) float64 {
	if w := s.Of(agent); w != nil {
		return w.Level()
	}
	return 0
}

// TierStates is Writer.TierStates of all shards together: a window is told by a tier once every shard's tier has it.
func (s *Shards) TierStates() []TierState {
	writers := s.Each()
	if len(writers) == 0 {
		return nil
	}
	states := writers[0].TierStates()
	for _, w := range writers[1:] {
		states = joinStates(states, w.TierStates())
	}
	return states
}

// joinStates is what both can tell. It changes neither.
func joinStates(a, b []TierState) []TierState {
	if a == nil || b == nil {
		return nil
	}
	joined := slices.Clone(a)
	for i := range joined {
		j := &joined[i]
		j.Through = min(j.Through, b[i].Through)
		j.Stale = rangeSet(union(append(slices.Clone(j.Stale), b[i].Stale...))).joined(maxStaleRanges)
	}
	return joined
}

// Tiers is Writer.Tiers of each shard.
func (s *Shards) Tiers() []TierHealth {
	var tiers []TierHealth
	for _, w := range s.Each() {
		tiers = append(tiers, w.Tiers()...)
	}
	return tiers
}

// Failure is the last failure to store a block on any shard, nil where there was none.
func (s *Shards) Failure() *Failure {
	var last *Failure
	for _, w := range s.Each() {
		if f := w.Failure(); f != nil && (last == nil || f.At.After(last.At)) {
			last = f
		}
	}
	return last
}
