package spool

import (
	"errors"
	"os"
	"time"
)

// syncLoop makes what was written last, and tries a disk again that refused.
func (s *Spool) syncLoop() {
	ticker := time.NewTicker(syncEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-ticker.C:
			s.spill()
			s.sync()
			s.save(false)
		}
	}
}

// spill moves what is held in memory to the disk, if that takes it again.
func (s *Spool) spill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.refused {
		return
	}
	if err := s.spillLocked(); err != nil {
		s.stats.DiskErrors++
		return
	}
	s.refused = false
	s.config.Log.Info("the spool can be written again", "dir", s.config.Dir)
}

func (s *Spool) spillLocked() error {
	if s.lock == nil {
		if err := s.lockDir(); err != nil {
			return err
		}
	}
	if err := writeState(s.config.Dir, s.stateLocked(false)); err != nil { // a try before anything is moved
		return err
	}
	s.sealLocked()
	for _, e := range s.epochs {
		for _, g := range e.segments {
			if g.memory == nil {
				continue
			}
			if err := g.spill(); err != nil {
				return err
			}
			s.memory -= g.bytes
		}
	}
	return nil
}

// unsynced is a segment as it was when syncing began.
type unsynced struct {
	segment *segment
	file    *os.File
	bytes   int64
}

// sync makes last what is written. The disk is not waited for under the lock.
func (s *Spool) sync() {
	var list []unsynced
	s.mu.Lock()
	for _, e := range s.epochs {
		for _, g := range e.segments {
			if g.dirty && g.file != nil {
				list = append(list, unsynced{segment: g, file: g.file, bytes: g.bytes})
			}
		}
	}
	s.mu.Unlock()
	if len(list) == 0 {
		return
	}
	err := syncDir(s.config.Dir)
	for _, u := range list {
		if failed := u.file.Sync(); !errors.Is(failed, os.ErrClosed) { // else it is not needed any more
			err = errors.Join(err, failed)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.refuseLocked(err)
		s.sealLocked()
	}
	for _, u := range list {
		u.segment.dirty = u.segment.bytes != u.bytes
		u.segment.release()
	}
}

// save writes the state, where it has changed, and then removes the files of which it says
// that they are lost. Open, the loop and Close call it, one after the other.
func (s *Spool) save(clean bool) {
	s.mu.Lock()
	raw, dropped := s.stateLocked(clean), s.dropped
	s.dropped = nil
	skip := s.refused && !clean || string(raw) == s.saved
	s.mu.Unlock()
	if !skip {
		err := writeState(s.config.Dir, raw)
		s.mu.Lock()
		if err == nil {
			s.saved = string(raw)
		} else {
			s.refuseLocked(err)
		}
		s.mu.Unlock()
	}
	for _, g := range dropped {
		g.remove()
	}
}
