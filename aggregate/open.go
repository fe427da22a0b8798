package aggregate

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// opening is the circumstances of a watch that begins.
type opening struct {
	now     int64         // ms
	span    time.Duration // whose sums decide about top groups
	queries map[string]Query
}

// key is the query's, with all else that its answer depends on.
func (o opening) key(q Query) string {
	if q.Top == 0 {
		return q.String()
	}
	return fmt.Sprintf("%v over %v", q, o.span)
}

// rank prepares a panel for choosing the top groups, where its query asks for it.
func (o opening) rank(p *panel) {
	if p.query.Top > 0 {
		p.span, p.past = o.span, newSums(p.query.Step, o.span)
	}
}

// open returns the panel of a query, a new one where it is not watched yet.
func (l *Live) open(o opening, q Query) (*panel, error) {
	if q.Expr != "" {
		return l.openFormula(o, q)
	}
	return l.openMetric(o, q, o.key(q)), nil
}

func (l *Live) openMetric(o opening, q Query, key string) *panel {
	p := l.panels[key]
	if p == nil {
		t := l.openTrack(o.now, q)
		p = &panel{key: key, query: q, track: t, grouping: t.group(q.By), scratch: &l.scratch}
		o.rank(p)
		l.panels[key] = p
		t.panels = append(t.panels, p)
		p.ring.begin(t.first)
		p.replay(l.turn)
		p.list(l.turn)
	}
	p.users++
	return p
}

func (l *Live) openFormula(o opening, q Query) (*panel, error) {
	expression, operands, err := q.arithmetic(o.queries)
	if err != nil {
		return nil, err
	}
	names := expression.Queries()
	var key strings.Builder
	key.WriteString(o.key(q))
	for _, name := range names {
		fmt.Fprintf(&key, "; %s=%v", name, operands[name])
	}
	p := l.panels[key.String()]
	if p == nil {
		f := &formula{expression: expression, names: names, joins: make([][]int32, len(names))}
		for _, name := range names {
			operand := operands[name].Normal()
			own := operand.String()
			if q.Top > 0 { // the top of the result decides what the operands count as other
				own = key.String() + "; " + own
			}
			f.operands = append(f.operands, l.openMetric(o, operand, own))
		}
		p = &panel{key: key.String(), query: q, formula: f, grouping: f.lead().grouping, scratch: &l.scratch}
		o.rank(p)
		l.panels[p.key] = p
		l.formulas = append(l.formulas, p)
		from, _ := f.bounds()
		p.ring.begin(from)
		f.update(p, l.turn)
		p.list(l.turn)
	}
	p.users++
	return p, nil
}

func (t *track) group(by []string) *grouping {
	key := groupingKey(by)
	g := t.groupings[key]
	if g == nil {
		g = newGrouping(by)
		t.groupings[key] = g
		for _, e := range t.entries {
			g.add(e.desc)
		}
	}
	return g
}

func groupingKey(by []string) string {
	var key []byte
	for _, label := range by {
		key = appendKey(key, label)
	}
	return string(key)
}

func (l *Live) openTrack(now int64, q Query) *track {
	key := q.selection()
	t := l.tracks[key]
	if t == nil {
		t = &track{key: key, query: q, step: q.Step, fold: q.Over.fold(), groupings: map[string]*grouping{}, scratch: &l.scratch}
		t.begin(now)
		matching := l.matching(t)
		l.mu.Lock()
		defer l.mu.Unlock()
		t.extend(t.step.window(now + lead.Milliseconds()))
		l.attach(t, matching)
		l.tracks[key] = t
		l.byMetric[q.Metric] = append(l.byMetric[q.Metric], t)
	}
	return t
}

// matching returns the entries that the track reads; those not bound yet come with the next Advance.
func (l *Live) matching(t *track) []*entry {
	l.registry.mu.RLock()
	defer l.registry.mu.RUnlock()
	m := l.registry.metrics[t.query.Metric]
	if m == nil {
		return nil
	}
	var matching []*entry
	for _, e := range m.entries {
		if e.bound && l.reads(t, e) {
			matching = append(matching, e)
		}
	}
	return matching
}

// attach binds entries to a new track, with the newest sample of each, which may be carried into its first window.
func (l *Live) attach(t *track, entries []*entry) {
	l.registry.mu.RLock()
	defer l.registry.mu.RUnlock()
	for _, e := range entries {
		t.bind(e)
		if t.fold == foldLast && e.latest.ts > 0 {
			t.settle(int32(len(t.entries)-1), e.latest.ts, e.latest.value, 1)
		}
	}
}

func (l *Live) release(p *panel) {
	if p.users--; p.users > 0 {
		return
	}
	delete(l.panels, p.key)
	if p.formula != nil {
		l.formulas = slices.DeleteFunc(l.formulas, func(other *panel) bool { return other == p })
		for _, o := range p.formula.operands {
			l.release(o)
		}
		return
	}
	t := p.track
	t.panels = slices.DeleteFunc(t.panels, func(other *panel) bool { return other == p })
	if !slices.ContainsFunc(t.panels, func(other *panel) bool { return other.grouping == p.grouping }) {
		delete(t.groupings, groupingKey(p.query.By))
	}
	if len(t.panels) == 0 {
		l.dissolve(t)
	}
}

// dissolve takes the track away from its series.
func (l *Live) dissolve(t *track) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range t.entries {
		e.tracks = slices.DeleteFunc(e.tracks, func(b binding) bool { return b.track == t })
	}
	delete(l.tracks, t.key)
	metric := t.query.Metric
	l.byMetric[metric] = slices.DeleteFunc(l.byMetric[metric], func(other *track) bool { return other == t })
	if len(l.byMetric[metric]) == 0 {
		delete(l.byMetric, metric)
	}
}
