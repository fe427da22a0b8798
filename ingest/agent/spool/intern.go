package spool

import (
	"encoding/binary"

	"telltale/ingest/wire"
)

// internedSeries bounds how many series are remembered by name.
const internedSeries = 4096

// interner gives one pointer to each series, wherever its description comes from: the
// pointer is what a connection's encoder knows a series by.
type interner struct {
	byName map[string]*wire.Series
	key    []byte
}

func (n *interner) intern(s *wire.Series) *wire.Series {
	n.key = appendName(n.key[:0], s)
	if known, ok := n.byName[string(n.key)]; ok {
		return known
	}
	n.set(s)
	return s
}

// register makes s the pointer of its series: the collector's, which it uses again.
func (n *interner) register(s *wire.Series) {
	n.key = appendName(n.key[:0], s)
	n.set(s)
}

func (n *interner) set(s *wire.Series) {
	if n.byName == nil || len(n.byName) >= internedSeries {
		n.byName = make(map[string]*wire.Series)
	}
	n.byName[string(n.key)] = s
}

// appendName appends all that describes a series. Texts cannot run into each other: their
// lengths come first.
func appendName(dst []byte, s *wire.Series) []byte {
	text := func(t string) {
		dst = append(binary.AppendUvarint(dst, uint64(len(t))), t...)
	}
	text(s.Metric)
	text(s.Unit)
	for _, l := range s.Labels {
		text(l.Name)
		text(l.Value)
	}
	return append(binary.AppendVarint(dst, int64(s.Interval)), byte(s.Kind))
}
