// Package spool holds an agent's batches on disk until a hub has acknowledged them.
//
// Batches stand in epochs, strictly ordered and contiguous from 1; every start opens a new
// one. Whatever happens to the disk, each seq is either readable or covered by a loss that
// is declared as a gap. Where the disk refuses, batches are held in memory, within a bound,
// until it takes them again.
package spool

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"telltale/ingest/wire"
)

// DefaultBytes is the default bound of a spool: weeks of a host's samples.
const DefaultBytes = 512 << 20

// MinBytes is the least bound that leaves room for segments of a useful size.
const MinBytes = 64 << 10

// MaxEpochs is how many epochs are held: one less than a hub takes in hello, so that one
// can be opened on a connection.
const MaxEpochs = 31

// rotateUpTo leaves epochs for starts, which must open one.
const rotateUpTo = 24

const (
	maxSegmentBytes = 4 << 20
	memoryBytes     = 4 << 20 // held where the disk refuses
	memorySegment   = memoryBytes / 16
	syncEvery       = 5 * time.Second
	keptRecent      = 4 // batches kept as samples, because they are sent at once
)

// Config is where and how much to hold.
type Config struct {
	Dir   string
	Bytes int64 // of segment files; at the bound the oldest goes. At least MinBytes
	Log   *slog.Logger
}

// Stats is what became of the batches since the start.
type Stats struct {
	Batches uint64 // held until acknowledged
	Bytes   int64  // of all segments, on disk and in memory
	Memory  int64  // of those in memory, because the disk refuses; 0: the disk is well

	Acknowledged uint64 // batches
	Dropped      uint64 // samples that will never be delivered, where countable
	Gaps         uint64 // ranges declared lost
	DiskErrors   uint64
}

// Spool holds batches. Its methods may be called from several goroutines.
type Spool struct {
	config  Config
	changed chan struct{} // capacity 1
	quit    chan struct{}
	syncing sync.WaitGroup

	mu       sync.Mutex // guards what follows
	lock     *os.File   // nil: the directory cannot be used
	epochs   []*epoch   // oldest first; the last is the current one
	active   *segment   // is appended to; nil: the next batch opens one
	refused  bool       // the disk took something last, or did not
	closed   bool
	bytes    int64  // of all segments
	memory   int64  // of those in memory
	saved    string // what the state file has
	encoder  *wire.Encoder
	raw      []byte // buffers, kept for their memory only
	message  []byte
	sinceKey int        // batches since the last key record
	dropped  []*segment // their files go once their losses are saved: a crash brings back what nobody declared
	series   interner
	recent   []recentBatch // of the current epoch, in order
	stats    Stats
}

// recentBatch spares reading what was written a moment ago.
type recentBatch struct {
	seq     uint64
	samples []wire.Sample
}

// Open opens the spool in the directory, which it makes, with all that is readable in it,
// and opens a new epoch. A directory that cannot be used is not an error, and is tried
// again; one that another process uses is.
func Open(config Config) (*Spool, error) {
	if config.Bytes < MinBytes {
		return nil, fmt.Errorf("a spool of %d bytes is too small: give it %d or more", config.Bytes, MinBytes)
	}
	s := &Spool{config: config, changed: make(chan struct{}, 1), quit: make(chan struct{}), encoder: wire.NewEncoder(boundless)}
	if err := s.lockDir(); errors.Is(err, errInUse) {
		return nil, err
	} else if err != nil {
		s.refuseLocked(err)
	}
	lost := s.load()
	s.openEpochLocked(lost...)
	if s.save(false); s.refused { // what a clean stop has said must not stand when the next one is not
		_ = os.Remove(filepath.Join(config.Dir, stateFile))
	}
	s.syncing.Go(s.syncLoop)
	return s, nil
}

// boundless are limits for what this process has written itself; the hub applies its own.
var boundless = wire.Limits{
	FrameBytes: wire.MaxFrameBytes, SamplesPerBatch: 1 << 24, SeriesPerConnection: 1 << 24, LabelsPerSeries: 256,
	LabelNameBytes: 1 << 16, LabelValueBytes: 1 << 16, MetricBytes: 1 << 16, Epochs: 1 << 16, MaxInFlight: 1 << 16,
}

// Changed delivers when there is more to send, or something was acknowledged.
func (s *Spool) Changed() <-chan struct{} { return s.changed }

// Stats counts.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Bytes, stats.Memory = s.bytes, s.memory
	for _, e := range s.epochs {
		stats.Batches += e.waiting()
	}
	return stats
}

// Epochs lists the epochs held, oldest first; the last one takes new batches.
func (s *Spool) Epochs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]string, len(s.epochs))
	for i, e := range s.epochs {
		ids[i] = e.id
	}
	return ids
}

// Waiting is how many batches of the epoch are not acknowledged.
func (s *Spool) Waiting(epoch string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.epochLocked(epoch); e != nil {
		return e.waiting()
	}
	return 0
}

// Acknowledged is the last seq of the epoch that any hub has acknowledged.
func (s *Spool) Acknowledged(epoch string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.epochLocked(epoch); e != nil {
		return e.acked
	}
	return 0
}

// Rotate opens a new epoch, so that what comes next need not wait for what is held. It
// returns false where that is not needed, or too many epochs are held already.
func (s *Spool) Rotate() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current().waiting() == 0 || len(s.epochs) >= rotateUpTo {
		return false
	}
	s.openEpochLocked()
	return true
}

// Resume takes what a hub's welcome says is stored.
func (s *Spool) Resume(stored map[string]uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range append([]*epoch(nil), s.epochs...) {
		if e != s.current() { // what a power cut took from the disk may be stored
			e.next = max(e.next, stored[e.id]+1)
		}
		s.ackLocked(e, stored[e.id])
	}
	s.signal()
}

// Ack takes that an epoch is stored up to and including seq.
func (s *Spool) Ack(epoch string, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.epochLocked(epoch); e != nil {
		s.ackLocked(e, seq)
		s.signal()
	}
}

func (s *Spool) ackLocked(e *epoch, seq uint64) {
	before := e.acked
	for _, g := range e.acknowledge(seq) {
		s.removeLocked(g)
	}
	s.stats.Acknowledged += e.acked - before
	if e == s.current() {
		for len(s.recent) > 0 && s.recent[0].seq <= e.acked {
			s.forgetRecentLocked()
		}
	} else if e.waiting() == 0 {
		s.dropEpochLocked(e)
	}
}

// Lose declares a batch lost that can never be delivered.
func (s *Spool) Lose(epoch string, seq uint64, samples []wire.Sample, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.epochLocked(epoch); e != nil && seq > e.acked && seq < e.next {
		from, to := timeRange(samples)
		s.loseLocked(e, loss{Seq: seq, ToSeq: seq, Samples: uint64(len(samples)), From: from, To: to, Reason: reason})
	}
}

func (s *Spool) loseLocked(e *epoch, l loss) {
	e.lose(l)
	s.stats.Gaps++
	s.stats.Dropped += l.Samples
}

// Close stops, and writes what only memory holds yet. Its error says what is lost for
// good. The spool must not be used any more.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.quit)
	s.syncing.Wait()
	s.sealActive()
	s.spill()
	s.sync()
	lost := s.dropMemory()
	s.save(true)
	s.closeFiles()
	if lost > 0 {
		return fmt.Errorf("%d samples were held in memory and are lost: the spool in %s cannot be written", lost, s.config.Dir)
	}
	return nil
}

// dropMemory gives up what no disk has taken, and returns how many samples that is.
func (s *Spool) dropMemory() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.stats.Dropped
	for s.dropOldestLocked(inMemory, DiskFailed) {
	}
	return s.stats.Dropped - before
}

func (s *Spool) closeFiles() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.epochs {
		for _, g := range e.segments {
			if g.file != nil {
				_ = g.file.Close()
				g.file = nil
			}
		}
	}
	if s.lock != nil {
		_ = s.lock.Close()
		s.lock = nil
	}
}

func (s *Spool) current() *epoch { return s.epochs[len(s.epochs)-1] }

func (s *Spool) epochLocked(id string) *epoch {
	for _, e := range s.epochs {
		if e.id == id {
			return e
		}
	}
	return nil
}

func (s *Spool) signal() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// randomID returns 16 hexadecimal digits.
func randomID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
