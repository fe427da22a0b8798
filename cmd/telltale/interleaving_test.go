package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"telltale/aggregate/engine/enginetest"
	"telltale/ingest/wire"
)

// Whatever the order in which batches are sent again, connections break, are taken over or
// cut, epochs begin, storage only shows, and hub or engine die: the table is the same.
func TestAnyInterleavingYieldsTheSameTable(t *testing.T) {
	interleave(t, 120, 2, 60)
}

// interleave lets so many agents live for so many steps, in rounds, and compares the table.
func interleave(t *testing.T, agents, rounds, steps int) {
	in := newIntake(t)
	in.begin()
	t.Cleanup(in.crash)
	refusals := map[wire.CloseCode]int{}
	for round := range rounds {
		models := make([]*modelAgent, agents)
		var living sync.WaitGroup
		errs := make([]error, agents)
		for i := range models {
			a := newModelAgent(in, fmt.Sprintf("model-%d-%d", round, i), uint64(round*agents+i))
			models[i] = a
			living.Go(func() {
				a.live(steps)
				errs[i] = a.finish()
				a.misbehave() // now that there is something stored, whatever came before
				errs[i] = errors.Join(errs[i], a.wrong)
			})
		}
		trouble(in, rand.New(rand.NewPCG(uint64(round), 4)), round%2 == 1)
		living.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		for _, a := range models {
			for code, n := range a.refusals {
				refusals[code] += n
			}
		}
		compare(t, in, models)
	}
	t.Logf("turned away: %v", refusals)
	if refusals[wire.OutOfOrder] == 0 || refusals[wire.StaleSeq] == 0 {
		t.Errorf("turned away %v: some of both kinds must have been", refusals)
	}
}

// trouble is what befalls the hub while the agents live.
func trouble(in *intake, random *rand.Rand, killEngine bool) {
	pause := func() { time.Sleep(300*time.Millisecond + time.Duration(random.IntN(500))*time.Millisecond) }
	pause()
	in.current().hub.door.SetLiveOnly(true)
	pause()
	in.current().hub.door.SetLiveOnly(false)
	pause()
	in.crash()
	if killEngine { // so that the next hub begins without it
		if pid := enginetest.Engine(in.t).PID(); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	in.begin()
}

// compare sees that each batch of the models is stored once, each gap declared, and nothing else.
func compare(t *testing.T, in *intake, models []*modelAgent) {
	t.Helper()
	const ofModel = "agent IN (?)"
	ids := make([]string, len(models))
	want, wantGaps := map[string]string{}, map[string]string{}
	for i, a := range models {
		ids[i] = a.id
		for _, e := range a.all {
			if batches, gaps := e.contents(); len(batches) > 0 || len(gaps) > 0 {
				want[e.id], wantGaps[e.id] = fmt.Sprint(batches), fmt.Sprint(gaps)
			}
		}
	}
	got := table(t, in, `SELECT labels['epoch'] AS epoch, arraySort(groupArray((value, toUnixTimestamp64Milli(ts)))) AS rows
		FROM samples WHERE metric = 'model.value' AND `+ofModel+` GROUP BY epoch`, ids)
	gaps := table(t, in, `SELECT epoch, arraySort(groupArray((toFloat64(from_seq), toInt64(to_seq))))
		FROM declared_gaps FINAL WHERE `+ofModel+` GROUP BY epoch`, ids)
	for epoch := range want {
		if rows := cmp.Or(got[epoch], "[]"); rows != want[epoch] {
			t.Errorf("epoch %s: stored are (seq, time) %s, want %s", epoch, rows, want[epoch])
		}
		if declared := cmp.Or(gaps[epoch], "[]"); declared != wantGaps[epoch] {
			t.Errorf("epoch %s: the gaps are %s, want %s", epoch, declared, wantGaps[epoch])
		}
		delete(got, epoch)
	}
	if len(got) > 0 {
		t.Errorf("epochs that nobody has sent: %v", got)
	}
}

// pair is a sample's value, which is its batch's seq, and its time; or a gap's first seq and last.
type pair struct {
	first  float64
	second int64
}

// contents is what the epoch's batches and gaps must be in the table.
func (e *modelEpoch) contents() (batches, gaps []pair) {
	for seq := uint64(1); seq <= e.made; seq++ {
		if last, lost := e.gaps[seq]; lost {
			gaps = append(gaps, pair{float64(seq), int64(last)})
			seq = last
			continue
		}
		batches = append(batches, pair{float64(seq), modelStart + int64(seq)*1000})
	}
	return batches, gaps
}

// table returns the pairs of each epoch, as text.
func table(t *testing.T, in *intake, query string, agents []string) map[string]string {
	t.Helper()
	found, err := in.conn.Query(context.Background(), query, agents)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	rows := map[string]string{}
	for found.Next() {
		var epoch string
		var tuples [][]any
		if err := found.Scan(&epoch, &tuples); err != nil {
			t.Fatal(err)
		}
		var pairs []pair
		for _, tuple := range tuples {
			pairs = append(pairs, pair{tuple[0].(float64), tuple[1].(int64)})
		}
		rows[epoch] = fmt.Sprint(pairs)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}
