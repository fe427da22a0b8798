package aggregate

import (
	"encoding/binary"
	"slices"
)

// Group is one line of a result: the series with equal values of the labels that the query groups by.
type Group struct {
	Labels []Label // by name, in the query's order of by; empty where it groups by nothing
	Other  bool    // the groups that are not among the top, as one; then there are no Labels
}

// Compare orders groups by their labels' values, other last.
func (g Group) Compare(than Group) int {
	if g.Other != than.Other {
		if g.Other {
			return 1
		}
		return -1
	}
	return slices.CompareFunc(g.Labels, than.Labels, func(a, b Label) int {
		switch {
		case a.Value < b.Value:
			return -1
		case a.Value > b.Value:
			return 1
		}
		return 0
	})
}

// grouping says which group each series of a track belongs to. Groups are numbered in the order of their first series.
type grouping struct {
	by     []string // sorted
	of     []int32  // by position; nil where all series are one group
	groups []Group
	index  map[string]int32
}

func newGrouping(by []string) *grouping {
	if len(by) == 0 {
		return &grouping{groups: make([]Group, 1)}
	}
	return &grouping{by: by, index: map[string]int32{}}
}

// add gives the next position to a series.
func (g *grouping) add(s *Series) {
	if len(g.by) == 0 {
		return
	}
	var buffer [256]byte
	key := buffer[:0]
	for _, label := range g.by {
		key = appendKey(key, s.Label(label))
	}
	group, known := g.index[string(key)]
	if !known {
		group = int32(len(g.groups))
		labels := make([]Label, len(g.by))
		for i, label := range g.by {
			labels[i] = Label{label, s.Label(label)}
		}
		g.groups = append(g.groups, Group{Labels: labels})
		g.index[string(key)] = group
	}
	g.of = append(g.of, group)
}

// find returns the number of the group with these labels, -1 where there is none.
func (g *grouping) find(labels []Label) int32 {
	if len(g.by) == 0 {
		return 0
	}
	var key []byte
	for _, l := range labels {
		key = appendKey(key, l.Value)
	}
	if group, known := g.index[string(key)]; known {
		return group
	}
	return -1
}

// appendKey appends a value so that different lists of values never give equal keys.
func appendKey(key []byte, value string) []byte {
	return append(binary.AppendUvarint(key, uint64(len(value))), value...)
}
