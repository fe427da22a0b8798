package spool

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"telltale/ingest/wire"
)

func TestMain(m *testing.M) {
	// The codec makes its (de)compressors when it first needs them, which must not be
	// inside the bubble of one test: others use them too.
	big := wire.Binary(&wire.Notice{Text: strings.Repeat("x", 10_000)})
	if _, err := wire.NewDecoder(boundless).Binary(big); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func testConfig(t testing.TB, dir string) Config {
	return Config{Dir: dir, Bytes: 1 << 20, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func open(t testing.TB, config Config) *Spool {
	t.Helper()
	s, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.crash() })
	return s
}

// crash ends the spool as a kill would: nothing more is written.
func (s *Spool) crash() {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return
	}
	close(s.quit)
	s.syncing.Wait()
	s.closeFiles()
}

func (s *Spool) currentID() string {
	ids := s.Epochs()
	return ids[len(ids)-1]
}

var testSeries = func() (series []*wire.Series) {
	for i := range 40 {
		series = append(series, &wire.Series{Metric: fmt.Sprintf("metric.%d", i), Labels: []wire.Label{{Name: "i", Value: fmt.Sprint(i)}}})
	}
	return series
}()

// hub is the other end: what it has stored, and what was declared to it.
type hub struct {
	t      testing.TB
	stored map[string]uint64
	added  map[float64][]wire.Sample // by the batch's number, which is its first value
	seen   map[float64]bool
	gaps   []wire.Gap
	number float64
}

func newHub(t testing.TB) *hub {
	return &hub{t: t, stored: make(map[string]uint64), added: make(map[float64][]wire.Sample), seen: make(map[float64]bool)}
}

// add gives the spool a batch of n samples.
func (h *hub) add(s *Spool, n int, random *rand.Rand) {
	h.number++
	samples := make([]wire.Sample, n)
	for i := range samples {
		samples[i] = wire.Sample{Series: testSeries[i], TS: time.Now().UnixMilli(), Value: random.Float64()}
	}
	samples[0].Value = h.number
	h.added[h.number] = slices.Clone(samples)
	s.Add(samples)
}

// connect takes up to limit frames, of every epoch, as a hub that stores at once.
func (h *hub) connect(s *Spool, limit int, ack func() bool) {
	h.t.Helper()
	s.Resume(h.stored)
	for _, id := range s.Epochs() {
		cursor := s.Cursor(id, h.stored[id])
		for range limit {
			frame, to := cursor.Next()
			if frame == nil {
				break
			}
			h.take(id, frame, to)
			if ack() {
				s.Ack(id, h.stored[id])
			}
		}
		cursor.Close()
	}
}

func (h *hub) take(id string, frame wire.Frame, to uint64) {
	h.t.Helper()
	switch f := frame.(type) {
	case *wire.Batch:
		if f.Epoch != id || f.Seq != h.stored[id]+1 || to != f.Seq {
			h.t.Fatalf("epoch %s: after %d came %s %d, up to %d", id, h.stored[id], f.Epoch, f.Seq, to)
		}
		number := f.Samples[0].Value
		if h.seen[number] {
			h.t.Fatalf("batch %v came twice", number)
		}
		h.seen[number] = true
		if !slices.EqualFunc(f.Samples, h.added[number], func(a, b wire.Sample) bool {
			return a.Series.Metric == b.Series.Metric && slices.Equal(a.Series.Labels, b.Series.Labels) && a.TS == b.TS && a.Value == b.Value && slices.Equal(a.Bins, b.Bins)
		}) {
			h.t.Fatalf("batch %v is not what was added", number)
		}
	case *wire.Gap:
		if f.Epoch != id || f.Seq != h.stored[id]+1 || to != f.ToSeq || to < f.Seq || f.To < f.From || f.Reason == "" {
			h.t.Fatalf("epoch %s: after %d came %+v, up to %d", id, h.stored[id], f, to)
		}
		h.gaps = append(h.gaps, *f)
	}
	h.stored[id] = to
}

// settle checks that everything added is stored once, or declared.
func (h *hub) settle() (missing int) {
	h.t.Helper()
	for number, samples := range h.added {
		if h.seen[number] {
			continue
		}
		missing++
		ts := samples[0].TS
		if !slices.ContainsFunc(h.gaps, func(g wire.Gap) bool { return g.From <= ts && ts <= g.To }) {
			h.t.Errorf("batch %v of %d is neither stored nor declared", number, ts)
			for _, g := range h.gaps {
				if g.To > ts-60_000 && g.From < ts+60_000 {
					h.t.Logf("nearby: %+v", g)
				}
			}
		}
	}
	return missing
}

func always() bool { return true }

// Whatever happens to a spool and its files: never a seq twice, never a silent hole.
func TestNeverAHoleNeverTwice(t *testing.T) {
	for seed := range uint64(15) {
		synctest.Test(t, func(t *testing.T) { runModel(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func runModel(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	config := testConfig(t, t.TempDir())
	config.Log = slog.New(slog.DiscardHandler)
	config.Bytes = MinBytes
	if seed%2 == 0 {
		config.Bytes = 1 << 20
	}
	s, h := open(t, config), newHub(t)
	reopen := func() { s = open(t, config) }
	for range 120 {
		time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
		switch random.IntN(12) {
		default:
			for range random.IntN(40) {
				time.Sleep(time.Duration(random.IntN(250)) * time.Millisecond)
				h.add(s, 1+random.IntN(len(testSeries)), random)
			}
		case 0, 1:
			h.connect(s, random.IntN(60), func() bool { return random.IntN(3) > 0 })
		case 2:
			s.Rotate()
		case 3:
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if random.IntN(2) == 0 {
				harm(t, config.Dir, random)
			}
			reopen()
		case 4:
			s.crash()
			for range random.IntN(3) {
				harm(t, config.Dir, random)
			}
			reopen()
		}
	}
	h.connect(s, 1<<30, always)
	if left := s.Stats(); left.Batches != 0 {
		t.Errorf("left after all is acknowledged: %+v", left)
	}
	h.settle()
	s.crash()
}

// harm truncates a segment somewhere, or flips some bytes, preferably near its end.
func harm(t *testing.T, dir string, random *rand.Rand) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil || len(paths) == 0 {
		return
	}
	path := paths[random.IntN(len(paths))]
	raw, err := os.ReadFile(path)
	if err != nil || len(raw) == 0 {
		return
	}
	at := len(raw) - 1 - random.IntN(min(len(raw), 2000))
	if random.IntN(4) == 0 {
		at = random.IntN(len(raw))
	}
	if random.IntN(2) == 0 {
		raw = raw[:at]
	} else {
		for i := at; i < min(at+1+random.IntN(20), len(raw)); i++ {
			raw[i] ^= byte(1 + random.IntN(255))
		}
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// fill makes a spool of n batches and stops it in an orderly way.
func fill(t *testing.T, config Config, n int) *hub {
	t.Helper()
	s, h := open(t, config), newHub(t)
	random := rand.New(rand.NewPCG(3, 4))
	for range n {
		h.add(s, 5, random)
		time.Sleep(time.Second)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestOrderlyStopLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := testConfig(t, t.TempDir())
		h := fill(t, config, 100)
		time.Sleep(time.Hour)
		s := open(t, config)
		h.connect(s, 1000, always)
		if missing := h.settle(); missing != 0 || len(h.gaps) != 0 {
			t.Errorf("%d batches missing, gaps %+v", missing, h.gaps)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("closing twice: %v", err)
		}
	})
}

// The time between the last record and the next start is declared after a kill.
func TestUncleanStopIsDeclared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := testConfig(t, t.TempDir())
		s, h := open(t, config), newHub(t)
		random := rand.New(rand.NewPCG(3, 4))
		for range 10 {
			time.Sleep(time.Second)
			h.add(s, 5, random)
		}
		last := time.Now().UnixMilli()
		h.connect(s, 1000, always)
		s.crash()
		time.Sleep(time.Minute)
		s = open(t, config)
		h.connect(s, 1000, always)
		want := wire.Gap{Epoch: s.currentID(), Seq: 1, ToSeq: 1, From: last, To: last + 60_000, Reason: UncleanStop}
		if len(h.gaps) != 1 || h.gaps[0] != want {
			t.Errorf("gaps %+v, want %+v", h.gaps, want)
		}
		s.crash()
	})
}

// Each byte of the last record flipped, and the file cut at each: at most that record is
// lost, and the start never fails.
func TestDamagedTailLosesOneRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := testConfig(t, t.TempDir())
		whole := fill(t, source, 20)
		path, raw := onlySegment(t, source.Dir)
		kept, err := os.ReadFile(filepath.Join(source.Dir, stateFile))
		if err != nil {
			t.Fatal(err)
		}
		tail := bytes.LastIndex(raw, []byte(recordMagic))
		f := func(damaged []byte) {
			t.Helper()
			config := testConfig(t, t.TempDir())
			config.Log = slog.New(slog.DiscardHandler)
			for name, content := range map[string][]byte{filepath.Base(path): damaged, stateFile: kept} {
				if err := os.WriteFile(filepath.Join(config.Dir, name), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s, h := open(t, config), newHub(t)
			h.added = whole.added
			h.connect(s, 1000, always)
			if missing := h.settle(); missing != 1 || len(h.gaps) != 1 || h.gaps[0].Reason != Corrupt {
				t.Fatalf("%d batches missing, gaps %+v", missing, h.gaps)
			}
			s.crash()
		}
		for at := tail; at < len(raw); at++ {
			f(raw[:at])
			flipped := slices.Clone(raw)
			flipped[at] ^= 0x55
			f(flipped)
		}
	})
}

func onlySegment(t *testing.T, dir string) (path string, raw []byte) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil || len(paths) != 1 {
		t.Fatalf("segments %v, %v; want one", paths, err)
	}
	if raw, err = os.ReadFile(paths[0]); err != nil {
		t.Fatal(err)
	}
	return paths[0], raw
}

// Damage in the middle costs the records up to the next key, and the file is kept.
func TestDamagedMiddleIsSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := testConfig(t, t.TempDir())
		h := fill(t, config, 5*recordsPerKey)
		path, raw := onlySegment(t, config.Dir)
		raw[len(raw)/2] ^= 1
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, config)
		h.connect(s, 1000, always)
		if missing := h.settle(); missing == 0 || missing > recordsPerKey || len(h.gaps) != 1 || h.gaps[0].Reason != Corrupt || h.gaps[0].Count == 0 {
			t.Errorf("%d batches missing, gaps %+v", missing, h.gaps)
		}
		if _, err := os.Stat(path + corruptSuffix); err != nil {
			t.Error(err)
		}
		s.crash()
	})
}

// Without its state file, or with a broken one, a spool still delivers all its batches.
func TestStateThatIsGone(t *testing.T) {
	for _, content := range []string{"", "{", `{"epochs":[{"epoch":"x","next":0}]}`} {
		synctest.Test(t, func(t *testing.T) {
			config := testConfig(t, t.TempDir())
			h := fill(t, config, 10)
			path := filepath.Join(config.Dir, stateFile)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if content == "" {
				_ = os.Remove(path)
			}
			s := open(t, config)
			h.connect(s, 1000, always)
			if missing := h.settle(); missing != 0 || len(h.gaps) != 1 || h.gaps[0].Reason != UncleanStop {
				t.Errorf("state %q: %d batches missing, gaps %+v", content, missing, h.gaps)
			}
			s.crash()
		})
	}
}

// At the bound the oldest goes, and is declared with its time and its samples.
func TestBoundDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := testConfig(t, t.TempDir())
		config.Bytes = MinBytes
		s, h := open(t, config), newHub(t)
		random := rand.New(rand.NewPCG(3, 4))
		for range 400 {
			h.add(s, len(testSeries), random)
			time.Sleep(time.Second)
			if got := s.Stats().Bytes; got > config.Bytes {
				t.Fatalf("the spool has %d bytes, more than %d", got, config.Bytes)
			}
		}
		dropped := s.Stats().Dropped
		h.connect(s, 1000, always)
		missing := h.settle()
		if len(h.gaps) != 1 || h.gaps[0].Reason != SpoolFull || h.gaps[0].Seq != 1 || h.gaps[0].ToSeq != uint64(missing) ||
			h.gaps[0].Count != uint64(missing*len(testSeries)) || dropped != h.gaps[0].Count || missing < 100 {
			t.Errorf("%d batches missing, %d samples dropped, gaps %+v", missing, dropped, h.gaps)
		}
		s.crash()
	})
}

// More starts than a hub can be told of: the oldest epoch is declared lost.
func TestTooManyStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := testConfig(t, t.TempDir())
		h := newHub(t)
		random := rand.New(rand.NewPCG(3, 4))
		for range MaxEpochs + 3 {
			s := open(t, config)
			if n := len(s.Epochs()); n > MaxEpochs {
				t.Fatalf("%d epochs held", n)
			}
			time.Sleep(time.Second)
			h.add(s, 5, random)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, config)
		h.connect(s, 1000, always)
		if missing := h.settle(); missing != 4 || len(h.gaps) != 4 || h.gaps[0].Reason != TooManyEpochs || h.gaps[0].Count != 5 {
			t.Errorf("%d batches missing, gaps %+v", missing, h.gaps)
		}
		s.crash()
	})
}

// A directory that takes nothing: memory, within a bound, until it does.
func TestDiskThatRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := testConfig(t, filepath.Join(t.TempDir(), "file", "spool"))
		config.Bytes = 64 << 20
		block := filepath.Dir(config.Dir)
		if err := os.WriteFile(block, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s, h := open(t, config), newHub(t)
		random := rand.New(rand.NewPCG(3, 4))
		for range 15_000 {
			h.add(s, len(testSeries), random)
		}
		if got := s.Stats(); got.Memory == 0 || got.Memory > memoryBytes || got.DiskErrors == 0 || got.Dropped == 0 {
			t.Errorf("stats %+v", got)
		}
		if err := os.Remove(block); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * syncEvery)
		if got := s.Stats(); got.Memory != 0 {
			t.Errorf("the disk is back, and %+v", got)
		}
		h.add(s, 1, random)
		s.crash() // what was moved to the disk is there
		s = open(t, config)
		h.connect(s, 1<<30, always)
		h.settle()
		if len(h.seen) < 5000 {
			t.Errorf("%d batches came through", len(h.seen))
		}
		s.crash()
	})
}

// A stop while the disk refuses says so, and the next start declares it.
func TestStopWithoutADisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := testConfig(t, filepath.Join(t.TempDir(), "file", "spool"))
		if err := os.WriteFile(filepath.Dir(config.Dir), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s, h := open(t, config), newHub(t)
		h.add(s, 7, rand.New(rand.NewPCG(3, 4)))
		if err := s.Close(); err == nil {
			t.Error("7 samples are lost, and no error")
		}
	})
}

// A write that fails in the middle of the run, and comes back: nothing is lost.
func TestFileThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := open(t, testConfig(t, t.TempDir())), newHub(t)
		random := rand.New(rand.NewPCG(3, 4))
		for i := range 300 {
			if i%50 == 20 {
				_ = s.active.file.Close() // every write to it fails now
			}
			h.add(s, 5, random)
			time.Sleep(100 * time.Millisecond)
		}
		if got := s.Stats(); got.DiskErrors == 0 {
			t.Errorf("stats %+v", got)
		}
		h.connect(s, 1000, always)
		if missing := h.settle(); missing != 0 || len(h.gaps) != 0 {
			t.Errorf("%d batches missing, gaps %+v", missing, h.gaps)
		}
		s.crash()
	})
}

// A hub that does not have what another has acknowledged is told so.
func TestAnotherHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := testConfig(t, t.TempDir())
		s, h := open(t, config), newHub(t)
		random := rand.New(rand.NewPCG(3, 4))
		add := func(n int) {
			for range n {
				time.Sleep(time.Second)
				h.add(s, 40, random)
			}
		}
		s.config.Bytes = MinBytes // small segments
		add(100)
		h.connect(s, 1000, always)
		add(5)
		h.stored, h.seen, h.gaps = make(map[string]uint64), make(map[float64]bool), nil
		h.connect(s, 1000, always)
		h.settle()
		if len(h.gaps) != 1 || h.gaps[0].Reason != StoredElsewhere || h.gaps[0].Seq != 1 {
			t.Errorf("gaps %+v", h.gaps)
		}
		s.crash()
	})
}

func TestLose(t *testing.T) {
	s, h := open(t, testConfig(t, t.TempDir())), newHub(t)
	random := rand.New(rand.NewPCG(3, 4))
	for range 5 {
		h.add(s, 3, random)
	}
	s.Lose(s.currentID(), 2, h.added[2], FrameTooBig)
	s.Lose(s.currentID(), 3, h.added[3], FrameTooBig)
	h.connect(s, 1000, always)
	if missing := h.settle(); missing != 2 || len(h.gaps) != 1 || h.gaps[0].ToSeq != 3 || h.gaps[0].Count != 6 {
		t.Errorf("%d missing, gaps %+v", missing, h.gaps)
	}
}

func TestDirectoryInUse(t *testing.T) {
	config := testConfig(t, t.TempDir())
	open(t, config)
	if _, err := Open(config); err == nil {
		t.Error("two spools in one directory")
	}
}

// Everything that a sample can be comes back from the disk.
func TestDistributionsAndOddValues(t *testing.T) {
	s := open(t, testConfig(t, t.TempDir()))
	series := &wire.Series{Metric: "d", Kind: wire.Distribution, Unit: "s", Interval: 5 * time.Second}
	want := []wire.Sample{
		{Series: series, TS: 5, Bins: []wire.Bin{{Key: wire.BinKey(-1), Count: 1}, {Key: wire.BinKey(12.5), Count: 9}}},
		{Series: testSeries[1], TS: -3, Value: -1e300},
		{Series: testSeries[2], TS: 1 << 50, Value: 0.1},
	}
	s.Add(slices.Clone(want))
	s.Rotate() // leaves the memory
	cursor := s.Cursor(s.Epochs()[0], 0)
	frame, _ := cursor.Next()
	batch, ok := frame.(*wire.Batch)
	if !ok || len(batch.Samples) != len(want) || batch.Samples[0].Series.Interval != series.Interval || batch.Samples[0].Series.Unit != "s" {
		t.Fatalf("got %+v, want %+v", frame, want)
	}
	for i, got := range batch.Samples {
		if got.TS != want[i].TS || got.Value != want[i].Value || !slices.Equal(got.Bins, want[i].Bins) {
			t.Errorf("sample %d: got %+v, want %+v", i, got, want[i])
		}
	}
	cursor.Close()
}
