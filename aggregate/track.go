package aggregate

import "slices"

// ringWindows is how many closed windows a panel keeps of its results.
const ringWindows = 60

// A track holds the samples of the newest windows of the series that some queries read: those that agree in
// metric, where, over and step share one. Its columns are, oldest first: windows that are closed and kept so that
// late samples can amend them, and windows that are open.
//
// All of ringWindows are kept where that costs little, which it does for as many series as a page can show; of
// huge selections, whose samples come from thousands of agents, only the newest minWindows (see keep). What is
// later than that reaches history only.
type track struct {
	key   string
	query Query // as of its first reader; of it, what queries must agree in
	step  Step
	fold  fold

	entries []*entry // by position
	columns []*column
	spare   []*column

	first     int64 // window of columns[0]
	open      int64 // the first window that is not closed
	evaluated int64 // the first window that is not evaluated

	// The rest is of foldLast: what stands in for missing values. By position.
	before []mark    // the newest sample before columns[0]
	carry  []carried // the newest sample before the window to evaluate next

	panels    []*panel
	groupings map[string]*grouping
	scratch   *scratch
}

// mark is a sample that may be carried, as far as late samples are compared with it.
type mark struct {
	value  float64 // missing: none
	window uint32  // its window
	offset uint32  // ms since the window's start
}

// carried is a sample that may be carried, as far as windows are computed from it.
type carried struct {
	value  float64 // missing: none
	window uint32  // its window
	hold   uint32  // for how many windows its series' samples are carried
}

func (m mark) older(than mark) bool {
	switch {
	case !present(m.value) || m.window != than.window:
		return !present(m.value) || m.window < than.window
	case m.offset != than.offset:
		return m.offset < than.offset
	}
	return m.value < than.value
}

const (
	// keptCells bounds places times closed windows: 60 windows of 5,000 series, 4 MB.
	keptCells  = 300_000
	minWindows = 3
)

func (t *track) keep() int64 {
	return min(max(int64(keptCells/max(len(t.entries), 1)), minWindows), ringWindows)
}

// begin starts the track anew: its first window is the first whole one from now (ms) on, since of the present
// one it has not seen all samples. Samples of agents whose clock is ahead of now are missing from the first windows
// by as much as it is ahead.
func (t *track) begin(now int64) {
	for _, c := range t.columns {
		t.recycle(c)
	}
	t.columns = t.columns[:0]
	t.first = t.step.window(now + int64(t.step) - 1)
	t.open, t.evaluated = t.first, t.first
	for i := range t.before {
		t.before[i] = mark{value: missing}
		t.carry[i].value = missing
	}
	for _, p := range t.panels {
		p.ring.begin(t.first)
	}
}

// bind adds a series. Its hold follows its interval, so a changed series is bound again.
func (t *track) bind(e *entry) {
	hold := uint32(min(t.step.CarriedWindows(e.desc.Interval), 1<<31))
	for _, b := range e.tracks {
		if b.track == t {
			if t.fold == foldLast {
				t.carry[b.pos].hold = hold
			}
			return
		}
	}
	e.tracks = append(e.tracks, binding{t, int32(len(t.entries))})
	t.entries = append(t.entries, e)
	for _, c := range t.columns {
		c.grow(t.fold, len(t.entries))
	}
	for _, g := range t.groupings {
		g.add(e.desc)
	}
	if t.fold == foldLast {
		t.before = append(t.before, mark{value: missing})
		t.carry = append(t.carry, carried{value: missing, hold: hold})
	}
}

// extend opens columns up to window newest, and lets go of closed ones beyond what is kept.
func (t *track) extend(newest int64) {
	for t.evaluated-t.first > t.keep() {
		t.drop()
	}
	for t.first+int64(len(t.columns)) <= newest {
		t.columns = append(t.columns, t.blank())
	}
}

func (t *track) blank() *column {
	c := &column{}
	if last := len(t.spare) - 1; last >= 0 {
		c, t.spare = t.spare[last], t.spare[:last]
	}
	c.grow(t.fold, len(t.entries))
	return c
}

func (t *track) recycle(c *column) {
	if len(t.spare) >= 2 {
		return
	}
	fill(c.value, missing)
	clear(c.aux)
	c.bins.reset()
	c.late = false
	t.spare = append(t.spare, c)
}

// drop lets go of the oldest column; what is carried from it goes to before.
func (t *track) drop() {
	c := t.columns[0]
	if t.fold == foldLast {
		for i, v := range c.value {
			if present(v) {
				t.before[i] = mark{v, uint32(t.first), c.aux[i]}
			}
		}
	}
	t.columns = append(t.columns[:0], t.columns[1:]...)
	t.first++
	t.recycle(c)
}

// accept puts a sample into its column if that is open, and says whether it was.
func (t *track) accept(pos int32, ts int64, value float64, n uint32) bool {
	w := t.step.window(ts)
	if w < t.open || w >= t.first+int64(len(t.columns)) {
		return false
	}
	t.columns[w-t.first].add(t.fold, pos, uint32(ts-w*int64(t.step)), value, n)
	return true
}

// outcome says what became of a sample that was late or early.
type outcome uint8

const (
	settled outcome = iota // it is in its window
	amended                // it is in a window that was evaluated before
	tooLate                // its window is not kept
	early                  // its window is not open yet
)

// settle puts a sample where it belongs, also into a closed window; only Live does this, with all senders shut out.
func (t *track) settle(pos int32, ts int64, value float64, n uint32) outcome {
	w := t.step.window(ts)
	switch {
	case w < t.first:
		return t.settleBefore(pos, mark{value, uint32(w), uint32(ts - w*int64(t.step))})
	case w >= t.first+int64(len(t.columns)):
		return early
	}
	c := t.columns[w-t.first]
	c.add(t.fold, pos, uint32(ts-w*int64(t.step)), value, n)
	if w < t.evaluated {
		c.late = true
		return amended
	}
	return settled
}

func (t *track) settleBefore(pos int32, m mark) outcome {
	if t.fold != foldLast || !t.before[pos].older(m) {
		return tooLate
	}
	t.before[pos] = m
	if t.evaluated == t.first { // nothing was evaluated with the old mark
		t.carryFrom(pos)
		return settled
	}
	t.columns[0].late = true
	return amended
}

// evaluate brings every panel up to date: windows that late samples touched, then those that have closed since.
func (t *track) evaluate(turn uint64) {
	t.replay(func(c *column) bool { return c.late }, func(w int64, c *column) {
		c.late = false
		t.show(w, c, turn)
	})
	for ; t.evaluated < t.open; t.evaluated++ {
		c := t.columns[t.evaluated-t.first]
		t.resolve(c, t.evaluated)
		t.show(t.evaluated, c, turn)
	}
}

func (t *track) show(w int64, c *column, turn uint64) {
	for _, p := range t.panels {
		p.evaluate(w, c, turn)
	}
}

// replay resolves again, oldest first, and visits the evaluated windows that are wanted, and with them
// those into which they may be carried.
func (t *track) replay(wanted func(*column) bool, visit func(w int64, c *column)) {
	kept := t.columns[:t.evaluated-t.first]
	if !slices.ContainsFunc(kept, wanted) {
		return
	}
	carries := t.fold == foldLast
	if carries {
		for i := range t.before {
			t.carryFrom(int32(i))
		}
	}
	want := false
	for i, c := range kept {
		want = wanted(c) || want && carries
		if want || carries {
			t.resolve(c, t.first+int64(i))
		}
		if want {
			visit(t.first+int64(i), c)
		}
	}
}

// carryFrom sets what is carried back to what came before the columns.
func (t *track) carryFrom(pos int32) {
	t.carry[pos].value, t.carry[pos].window = t.before[pos].value, t.before[pos].window
}

// resolve sets scratch.values to the value of each series in window w, which is c.
func (t *track) resolve(c *column, w int64) {
	values := resize(t.scratch.values, len(c.value))
	t.scratch.values = values
	switch {
	case t.fold == foldLast:
		t.resolveLast(c, w, values)
	case t.fold == foldMean:
		for i, v := range c.value {
			values[i] = v / float64(c.aux[i]) // missing / 0 is missing
		}
	case t.query.Over == Rate:
		seconds := t.step.Duration().Seconds()
		for i, v := range c.value {
			values[i] = v / seconds
		}
	default:
		copy(values, c.value)
	}
}

func (t *track) resolveLast(c *column, w int64, values []float64) {
	for i, v := range c.value {
		from := &t.carry[i]
		switch {
		case present(v):
			from.value, from.window = v, uint32(w)
		case w-int64(from.window) <= int64(from.hold):
			v = from.value
		}
		values[i] = v
	}
}
