package history

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"telltale/aggregate/engine/enginetest"
)

// push sends the next seqs of an epoch as an agent does: from the first that is not stored on.
func (h *hub) push(agent, epoch string, from, to uint64) {
	h.t.Helper()
	for seq := from; seq <= to; seq++ {
		for {
			err := h.writer.Take(h.batch(agent, epoch, seq))
			if err == nil {
				break
			}
			if !errors.Is(err, ErrFull) {
				h.t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

func TestEngineKilledAtAnyMomentLosesAndRepeatsNothing(t *testing.T) {
	s := newTestStore(t)
	h := s.startHub(Config{BlockInterval: time.Millisecond})
	h.admit("web-1")
	const kills, perKill = 6, 40
	random := rand.New(rand.NewPCG(7, 7))
	for kill := range uint64(kills) {
		h.push("web-1", "e1", kill*perKill+1, (kill+1)*perKill)
		time.Sleep(time.Duration(random.Int64N(int64(15 * time.Millisecond))))
		if pid := enginetest.Engine(t).PID(); pid != 0 {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		waitFor(t, "the acknowledgements after a kill", func() bool { return h.ackedSeq("web-1", "e1") == (kill+1)*perKill })
	}
	s.assertExactlyOnce("web-1", "e1", kills*perKill)
}

func TestHubEndingAtAnyMomentLosesAndRepeatsNothing(t *testing.T) {
	s := newTestStore(t)
	random := rand.New(rand.NewPCG(8, 8))
	var sent, acked uint64 // as the agent knows it
	for run := range 12 {
		h := s.startHub(Config{BlockInterval: time.Millisecond})
		stored := h.admit("web-1")["e1"]
		if stored < acked {
			t.Fatalf("run %d: welcome says %d, but %d was acknowledged", run, stored, acked)
		}
		sent += 30
		h.push("web-1", "e1", stored+1, sent)
		time.Sleep(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
		h.crash()
		acked = max(acked, h.ackedSeq("web-1", "e1"))
	}
	h := s.startHub(Config{BlockInterval: time.Millisecond})
	h.push("web-1", "e1", h.admit("web-1")["e1"]+1, sent)
	waitFor(t, "the rest", func() bool { return h.writer.agentDone("web-1") })
	s.assertExactlyOnce("web-1", "e1", sent)
}

func (w *Writer) agentDone(agent string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.agents[agent].epochs {
		if e.stored != e.taken {
			return false
		}
	}
	return true
}

func TestTheNextHubSettlesWhatIsInDoubt(t *testing.T) {
	s := newTestStore(t)
	insert := func(hub, block uint32, agent string, from, to uint64) {
		t.Helper()
		err := s.conn.Exec(t.Context(), `INSERT INTO progress (agent, epoch, version, hub, block, from_seq, to_seq, updated)
			VALUES (?, 'e1', 1, ?, ?, ?, ?, now64(3))`, agent, hub, block, from, to)
		if err != nil {
			t.Fatal(err)
		}
	}
	mark := func(hub, block uint32) {
		t.Helper()
		if err := s.conn.Exec(t.Context(), "INSERT INTO raw VALUES (today(), ?, now64(3), 0, 1)", markerID(hub, block)); err != nil {
			t.Fatal(err)
		}
	}
	insert(10, 5, "earlier", 1, 50)          // not the last block of its hub: stored, though its marker is gone
	insert(10, 6, "found", 11, 20)           // the last one, with its marker
	insert(11, 3, "missing", 21, 30)         // the last one, without
	insert(11, 3, "missing from one", 1, 30) // nothing of this epoch is stored
	mark(10, 6)

	for range 2 { // the second start finds everything settled, also once retention has dropped the markers
		h := s.startHub(Config{})
		for agent, want := range map[string]uint64{"earlier": 50, "found": 20, "missing": 20, "missing from one": 0} {
			if got := h.admit(agent)["e1"]; got != want {
				t.Errorf("agent %q has come to %d, want %d", agent, got, want)
			}
		}
		h.crash()
		if err := s.conn.Exec(t.Context(), "TRUNCATE TABLE raw"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAForgottenAgentIsReadBackFromStorage(t *testing.T) {
	s := newTestStore(t)
	h := s.startHub(Config{BlockInterval: time.Millisecond})
	h.admit("web-1")
	h.push("web-1", "e1", 1, 5)
	h.writer.Forget("web-1") // has no effect while samples are on their way
	waitFor(t, "the acknowledgement", func() bool { return h.ackedSeq("web-1", "e1") == 5 })
	h.writer.Forget("web-1")
	if err := h.writer.Take(s.batch("web-1", "e1", 6)); err == nil {
		t.Fatal("a batch of a forgotten agent was taken")
	}
	if got := h.admit("web-1")["e1"]; got != 5 {
		t.Fatalf("admission says %d, want 5", got)
	}
	h.push("web-1", "e1", 6, 9)
	waitFor(t, "the acknowledgement", func() bool { return h.ackedSeq("web-1", "e1") == 9 })
	s.assertExactlyOnce("web-1", "e1", 9)
	if n := s.count("SELECT count() FROM known_agents WHERE agent = 'web-1'"); n != 1 {
		t.Fatalf("the agent's row was written %d times though nothing changed", n)
	}
}

func TestAnInsertThatTimesOutIsSettled(t *testing.T) {
	s := newTestStore(t)
	var sent uint64
	// Time-outs that strike anywhere between the first byte and the answer.
	for timeout := 2 * time.Millisecond; timeout < 100*time.Millisecond; timeout += timeout / 2 {
		h := s.startHub(Config{BlockInterval: time.Millisecond, InsertTimeout: timeout})
		sent += 20
		h.push("web-1", "e1", h.admit("web-1")["e1"]+1, sent)
		time.Sleep(4 * timeout)
		h.crash()
	}
	h := s.startHub(Config{BlockInterval: time.Millisecond})
	h.push("web-1", "e1", h.admit("web-1")["e1"]+1, sent)
	waitFor(t, "the rest", func() bool { return h.writer.agentDone("web-1") })
	s.assertExactlyOnce("web-1", "e1", sent)
}

// A server that hangs still has connections taken for it by the kernel, and never answers: on a new one that shows
// when dialling has taken too long, well before the time for the KILL is over.
func TestAServerThatIsSilentIsStartedAgain(t *testing.T) {
	s := newTestStore(t)
	conn, err := clickhouse.Open(writerOptions(s.options)) // has no connection yet
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	server := enginetest.Engine(t)
	silent := server.PID()
	if err := syscall.Kill(silent, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	w := &Writer{cfg: Config{KillTimeout: 6 * time.Second}, conn: conn, server: server, log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if err := w.killInserts(t.Context(), "none-"); err != nil {
		t.Error(err)
	}
	if server.PID() == silent {
		t.Error("the server was not started again")
	}
}

func TestRowsOfSeveralBlocksStayInOrder(t *testing.T) {
	s := newTestStore(t)
	h := s.startHub(Config{BlockInterval: time.Millisecond, MaxBlockRows: 7})
	for agent := range 5 {
		name := fmt.Sprint("web-", agent)
		h.admit(name)
		h.push(name, "e1", 1, 50)
	}
	for agent := range 5 {
		name := fmt.Sprint("web-", agent)
		waitFor(t, "the acknowledgements", func() bool { return h.ackedSeq(name, "e1") == 50 })
		s.assertExactlyOnce(name, "e1", 50)
	}
}
