package history

import (
	"testing"
	"time"
)

// slowRows makes each insert of rows run on in the server for two seconds or more.
func (s *testStore) slowRows() {
	s.t.Helper()
	if err := s.conn.Exec(s.t.Context(), "ALTER TABLE raw ADD CONSTRAINT slow CHECK sleepEachRow(0.1) = 0"); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testStore) fastRows() {
	s.t.Helper()
	if err := s.conn.Exec(s.t.Context(), "ALTER TABLE raw DROP CONSTRAINT slow"); err != nil {
		s.t.Fatal(err)
	}
}

// awaitRunning waits until an insert of rows runs in the server.
func (s *testStore) awaitRunning() {
	s.t.Helper()
	waitFor(s.t, "a running insert", func() bool {
		return s.count("SELECT count() FROM system.processes WHERE current_database = currentDatabase() AND query_id LIKE ? AND elapsed > 0.3",
			queryIDPrefix+"%raw%") > 0
	})
}

const slowBatches = 20 // of one row: two seconds

// A time-out whose insert runs on: it is ended before anybody looks, and stored once in the end.
func TestATimeOutWithItsInsertStillRunning(t *testing.T) {
	s := newTestStore(t)
	s.slowRows()
	h := s.startHub(Config{BlockInterval: 20 * time.Millisecond, InsertTimeout: 600 * time.Millisecond})
	h.admit("web-1")
	h.push("web-1", "e1", 1, slowBatches)
	s.awaitRunning()
	s.fastRows()
	waitFor(t, "the acknowledgement", func() bool { return h.ackedSeq("web-1", "e1") == slowBatches })
	s.assertExactlyOnce("web-1", "e1", slowBatches)
}

// A hub that dies while the server goes on with its insert: the next hub ends that before it
// looks, and what it then says stays true.
func TestAHubThatDiesWithItsInsertStillRunning(t *testing.T) {
	s := newTestStore(t)
	var way *way
	s.options, way = through(t, s.options)
	s.slowRows()
	h := s.startHub(Config{BlockInterval: 20 * time.Millisecond})
	h.admit("web-1")
	h.push("web-1", "e1", 1, slowBatches)
	s.awaitRunning()
	way.cut()
	h.crash()
	h = s.startHub(Config{BlockInterval: time.Millisecond})
	stored := h.admit("web-1")["e1"]
	if n := s.count("SELECT count() FROM samples WHERE agent = 'web-1'"); n != stored {
		t.Fatalf("storage says %d and has %d", stored, n)
	}
	s.fastRows()
	if n := s.count("SELECT count() FROM samples WHERE agent = 'web-1'"); n != stored {
		t.Fatalf("storage said %d, and now has %d", stored, n)
	}
	h.push("web-1", "e1", stored+1, slowBatches)
	waitFor(t, "the rest", func() bool { return h.writer.agentDone("web-1") })
	s.assertExactlyOnce("web-1", "e1", slowBatches)
}
