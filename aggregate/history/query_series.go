package history

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"telltale/aggregate"
)

// matching are the series that a reading reads, in columns of equal length, and their groups.
type matching struct {
	id      []uint64
	group   []uint32 // its place in groups
	hold    []int64  // for how many windows the series' last value is carried
	groups  []aggregate.Group
	longest int64 // of hold

	// renamed says that some ids are not those that the series have now. One that has sent since its id changed has two.
	renamed bool
}

// lookup finds the series that a reading reads: those of the kind that its query is for. Where there are only others,
// it fails with the reason.
func (r *Reader) lookup(ctx context.Context, rd reading) (*matching, error) {
	g := newGrouping(rd)
	m := &matching{}
	found, suited := 0, 0
	var unsuited error
	err := r.rows(ctx, compileLookup(rd.query), nil, func(rows driver.Rows) error {
		var id uint64
		var kind string
		var intervalMS uint32
		var labels []string
		if err := rows.Scan(&id, &kind, &intervalMS, &labels); err != nil {
			return err
		}
		found++
		if unsuited = suits(rd.query, kind); unsuited == nil {
			suited++
			if group, wanted := g.add(labels); wanted {
				m.add(id, group, holdOf(rd.query, intervalMS))
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case found > maxSeries:
		return nil, errTooManySeries
	case suited == 0 && unsuited != nil:
		return nil, unsuited
	}
	m.groups = g.sorted(m.group)
	return m, nil
}

func suits(q aggregate.Query, kind string) error {
	k, err := aggregate.ParseKind(kind)
	if err != nil {
		return err
	}
	return q.Suits(k)
}

func holdOf(q aggregate.Query, intervalMS uint32) int64 {
	if q.Over != aggregate.Last {
		return 0
	}
	return q.Step.CarriedWindows(time.Duration(intervalMS) * time.Millisecond)
}

func (m *matching) add(id uint64, group uint32, hold int64) {
	m.renamed = m.renamed || len(m.id) > 0 && (id^m.id[0])&^aggregate.SeriesBits != 0 // for they are of one metric
	m.id, m.group, m.hold = append(m.id, id), append(m.group, group), append(m.hold, hold)
	m.longest = max(m.longest, hold)
}

// table is matching as it goes with a statement.
func (m *matching) table() (*ext.Table, error) {
	t, err := ext.NewTable("matching", ext.Column("id", "UInt64"), ext.Column("grp", "UInt32"), ext.Column("hold", "Int64"))
	if err != nil {
		return nil, err
	}
	for i, column := range []any{m.id, m.group, m.hold} {
		if _, err := t.Block().Columns[i].Append(column); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// grouping numbers the groups of a reading.
type grouping struct {
	by     []string
	except map[string]bool // by key
	groups []aggregate.Group
	index  map[string]uint32 // by key: its place in groups
}

func newGrouping(rd reading) *grouping {
	g := &grouping{by: rd.query.By, index: map[string]uint32{}}
	if rd.except != nil {
		g.except = make(map[string]bool, len(rd.except))
		for _, group := range rd.except {
			g.except[groupKey(group)] = true
		}
	}
	return g
}

func groupKey(g aggregate.Group) string { return fmt.Sprintf("%q", g.Labels) }

// add returns the group of the series with these values of the labels, and whether its series are read at all.
func (g *grouping) add(values []string) (place uint32, wanted bool) {
	var group aggregate.Group
	for i, value := range values {
		group.Labels = append(group.Labels, aggregate.Label{Name: g.by[i], Value: value})
	}
	key := groupKey(group)
	if g.except != nil {
		if g.except[key] {
			return 0, false
		}
		group, key = aggregate.Group{}, ""
	}
	place, known := g.index[key]
	if !known {
		place = uint32(len(g.groups))
		g.groups, g.index[key] = append(g.groups, group), place
	}
	return place, true
}

// sorted returns the groups in their order, and changes places into places in that order.
func (g *grouping) sorted(places []uint32) []aggregate.Group {
	order := make([]uint32, len(g.groups))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return g.groups[a].Compare(g.groups[b]) })
	sorted := make([]aggregate.Group, len(order))
	newPlace := make([]uint32, len(order))
	for i, old := range order {
		sorted[i], newPlace[old] = g.groups[old], uint32(i)
	}
	for i, old := range places {
		places[i] = newPlace[old]
	}
	return sorted
}

func groupKeys(groups []aggregate.Group) string {
	keys := make([]string, len(groups))
	for i, g := range groups {
		keys[i] = groupKey(g)
	}
	return strings.Join(keys, ",")
}
