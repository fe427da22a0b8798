package spool

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"telltale/ingest/wire"
)

const lockFile = "spool.lock"

// errInUse is within Open's error where another process has the directory.
var errInUse = errors.New("another agent uses it")

// lockDir makes the directory and takes it for this process.
func (s *Spool) lockDir() error {
	if err := os.MkdirAll(s.config.Dir, 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(s.config.Dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	held, err := lock(file)
	if err != nil {
		_ = file.Close()
	}
	if held {
		return fmt.Errorf("the spool in %s: %w: stop it, or name another directory with --spool", s.config.Dir, errInUse)
	}
	if err == nil {
		s.lock = file
	}
	return err
}

// load takes up what the directory holds, and returns what was lost with the last stop.
// Nothing in there can make it fail.
func (s *Spool) load() []loss {
	kept, err := readState(s.config.Dir)
	if err != nil {
		s.config.Log.Warn("what was acknowledged is not known, and asked from the hub", "error", err)
	}
	byID := make(map[string]*epoch)
	if kept != nil {
		for _, k := range kept.Epochs {
			byID[k.Epoch] = &epoch{id: k.Epoch, opened: k.Opened, acked: k.Acked, next: k.Next, newest: k.Newest, losses: k.Losses}
		}
	}
	s.findSegments(byID)
	for _, e := range byID {
		s.takeUp(e)
	}
	clean := kept == nil && err == nil && len(byID) == 0 || kept != nil && kept.Clean
	from := lastKnown(kept, byID)
	s.orderEpochs(byID)
	if clean {
		return nil
	}
	return []loss{{From: from, To: max(from, time.Now().UnixMilli()), Reason: UncleanStop}}
}

// lastKnown returns the time from which samples may be missing after an unclean stop: that
// of the last record of the epoch in use when the state was saved. The ends of older
// epochs the state knows; of newer ones everything is in doubt.
func lastKnown(kept *state, byID map[string]*epoch) int64 {
	if kept != nil && len(kept.Epochs) > 0 {
		e := byID[kept.Epochs[len(kept.Epochs)-1].Epoch]
		return cmp.Or(e.newest, e.opened)
	}
	last := int64(0)
	for _, e := range byID {
		last = max(last, e.newest, e.opened)
	}
	return cmp.Or(last, time.Now().UnixMilli())
}

// findSegments adds the segment files to their epochs, and cleans up after a crash.
func (s *Spool) findSegments(byID map[string]*epoch) {
	entries, err := os.ReadDir(s.config.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.config.Log.Warn("the spool cannot be read", "error", err)
	}
	for _, entry := range entries {
		path := filepath.Join(s.config.Dir, entry.Name())
		if strings.HasSuffix(entry.Name(), segmentSuffix+newSuffix) {
			_ = os.Remove(path)
			continue
		}
		id, first, ok := parseSegmentName(entry.Name())
		info, err := entry.Info()
		if !ok || err != nil || wire.CheckEpoch(id) != nil || !info.Mode().IsRegular() {
			continue
		}
		e := byID[id]
		if e == nil {
			e = &epoch{id: id, next: 1}
			byID[id] = e
		}
		e.segments = append(e.segments, &segment{path: path, first: first, next: first, bytes: info.Size(), sealed: true})
	}
}

// takeUp works out what an epoch's segments hold. Only the last one is read: what is wrong
// with another is found when it is sent.
func (s *Spool) takeUp(e *epoch) {
	slices.SortFunc(e.segments, func(a, b *segment) int { return cmp.Compare(a.first, b.first) })
	for i, g := range e.segments {
		s.bytes += g.bytes
		if i+1 < len(e.segments) {
			g.next = e.segments[i+1].first
			continue
		}
		scan := newScanner(g, headerBytes, g.bytes)
		for r, ok := scan.next(); ok; r, ok = scan.next() {
			g.next = max(g.next, r.seq+1)
			e.newest = max(e.newest, r.to)
		}
		if e.opened == 0 {
			e.opened = g.openedOf()
		}
		g.release()
		e.next = max(e.next, g.next)
	}
	for _, g := range e.acknowledge(e.acked) {
		s.removeLocked(g)
	}
	e.segments = slices.DeleteFunc(e.segments, func(g *segment) bool {
		l := e.lossAt(max(g.first, e.acked+1))
		lost := g.next == g.first || l != nil && l.ToSeq >= g.next-1
		if lost {
			s.removeLocked(g)
		}
		return lost
	})
}

// orderEpochs puts those that still hold something in the order in which they were opened.
func (s *Spool) orderEpochs(byID map[string]*epoch) {
	for _, e := range byID {
		s.epochs = append(s.epochs, e)
	}
	slices.SortFunc(s.epochs, func(a, b *epoch) int {
		return cmp.Or(cmp.Compare(a.opened, b.opened), cmp.Compare(a.newest, b.newest), cmp.Compare(a.id, b.id))
	})
	for _, e := range slices.Clone(s.epochs) {
		if e.waiting() == 0 {
			s.dropEpochLocked(e)
		}
	}
}
