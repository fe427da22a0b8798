package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// ExamineAll is Examine of the server at o, or of all shards of a cluster that is named, as one. The error names the shards
// that did not answer; there is a Health of the others, nil where there are none.
func ExamineAll(ctx context.Context, o *clickhouse.Options, cluster string) (*Health, error) {
	if cluster == "" {
		h, err := Examine(ctx, o)
		return h, timedOut(ctx, err)
	}
	c, err := ReadCluster(ctx, o, cluster)
	if err != nil {
		return nil, timedOut(ctx, err)
	}
	shards, failures := make([]*Health, len(c.Shards)), make([]error, len(c.Shards))
	var asking sync.WaitGroup
	for i, shard := range c.Shards {
		asking.Go(func() {
			h, err := Examine(ctx, shardOptions(o, shard.Replicas[0]))
			if err != nil {
				failures[i] = fmt.Errorf("%v: %w", shard, timedOut(ctx, err))
				return
			}
			h.name(shard)
			shards[i] = h
		})
	}
	asking.Wait()
	shards = slices.DeleteFunc(shards, func(h *Health) bool { return h == nil })
	if len(shards) == 0 {
		return nil, errors.Join(failures...)
	}
	return together(shards), errors.Join(failures...)
}

// timedOut says why ctx has ended where that is the reason.
func timedOut(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// name has every text say which shard it is of.
func (h *Health) name(s Shard) {
	of := func(table *string) {
		if *table != "" {
			*table = fmt.Sprintf("%s on shard %d", *table, s.Number)
		}
	}
	h.MemoryOf, h.DiskOf = s.String(), s.String()
	of(&h.Parts.MostTable)
	of(&h.Parts.LongestTable)
	of(&h.Parts.MutationError)
	for i := range h.Parts.Detached {
		of(&h.Parts.Detached[i].Table)
	}
	for i := range h.Unknown {
		of(&h.Unknown[i])
	}
}

// together is of each figure that of the shard that is worst off, of counts the sum, and of lists all of them.
func together(shards []*Health) *Health {
	all := *shards[0]
	for _, h := range shards[1:] {
		all.addServer(h)
		all.Parts.add(&h.Parts)
		all.Agents, all.Unknown = append(all.Agents, h.Agents...), append(all.Unknown, h.Unknown...)
		if all.Gaps != nil && h.Gaps != nil {
			all.Gaps = append(all.Gaps, h.Gaps...)
		} else {
			all.Gaps = nil // not known
		}
	}
	slices.SortFunc(all.Agents, func(a, b AgentHealth) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortStableFunc(all.Gaps, func(a, b GapCount) int { return cmp.Compare(b.Samples, a.Samples) })
	all.Gaps = all.Gaps[:min(len(all.Gaps), maxGapCounts)]
	return &all
}

// addServer adds what there is one of on each server.
func (h *Health) addServer(o *Health) {
	if o.Version < h.Version {
		h.Version = o.Version
	}
	if o.ClockAhead.Abs()-o.RoundTrip/2 > h.ClockAhead.Abs()-h.RoundTrip/2 {
		h.ClockAhead, h.RoundTrip = o.ClockAhead, o.RoundTrip
	}
	if o.memoryUse() > h.memoryUse() {
		h.MemoryBytes, h.MemoryLimitBytes, h.MemoryOf = o.MemoryBytes, o.MemoryLimitBytes, o.MemoryOf
	}
	if o.DiskFreeBytes < h.DiskFreeBytes {
		h.DiskFreeBytes, h.DiskTotalBytes, h.DiskOf, h.Tables = o.DiskFreeBytes, o.DiskTotalBytes, o.DiskOf, o.Tables
	}
	if h.Schema.Applied <= h.Schema.Known && (o.Schema.Pending > h.Schema.Pending || o.Schema.Applied > o.Schema.Known) {
		h.Schema = o.Schema
	}
}

// memoryUse is the share of the limit; the lowest where there is none.
func (h *Health) memoryUse() float64 {
	if h.MemoryLimitBytes == 0 {
		return math.Inf(-1)
	}
	return float64(h.MemoryBytes) / float64(h.MemoryLimitBytes)
}

func (p *PartsHealth) add(o *PartsHealth) {
	p.Active, p.Merges = p.Active+o.Active, p.Merges+o.Merges
	if o.Most > p.Most {
		p.Most, p.MostTable, p.MostPartition, p.Delayed, p.Refused = o.Most, o.MostTable, o.MostPartition, o.Delayed, o.Refused
	}
	if o.LongestMerge > p.LongestMerge {
		p.LongestMerge, p.LongestTable = o.LongestMerge, o.LongestTable
	}
	if o.Mutations > 0 && (p.Mutations == 0 || o.OldestSince.Before(p.OldestSince)) {
		p.OldestSince = o.OldestSince
	}
	p.Mutations, p.MutationError = p.Mutations+o.Mutations, cmp.Or(p.MutationError, o.MutationError)
	p.Detached = append(p.Detached, o.Detached...)
}
