package spool

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	segmentSuffix = ".seg"
	corruptSuffix = ".corrupt"
	newSuffix     = ".new"
)

// segment is a run of records of one epoch, in a file or, where the disk refuses, in memory.
type segment struct {
	path        string
	opened      int64  // when the epoch was, in milliseconds since the Unix epoch
	first, next uint64 // its first seq, and the one behind its last
	bytes       int64

	memory  []byte   // all of it; nil: it is in the file
	file    *os.File // nil: not open now
	sealed  bool     // nothing is appended any more
	reading bool     // a cursor is in it
	dirty   bool     // not yet fsynced
	damaged bool     // not all of it could be read
}

func segmentName(epoch string, first uint64) string {
	return fmt.Sprintf("%s-%016d%s", epoch, first, segmentSuffix)
}

// parseSegmentName is the reverse of segmentName.
func parseSegmentName(name string) (epoch string, first uint64, ok bool) {
	name, ok = strings.CutSuffix(name, segmentSuffix)
	dash := strings.LastIndexByte(name, '-')
	if !ok || dash < 1 {
		return "", 0, false
	}
	first, err := strconv.ParseUint(name[dash+1:], 10, 64)
	return name[:dash], first, err == nil && first > 0
}

func segmentHeader(opened int64) []byte {
	return binary.LittleEndian.AppendUint64([]byte(segmentMagic), uint64(opened))
}

// openedOf reads when the segment's epoch was opened; 0: the header is damaged.
func (g *segment) openedOf() int64 {
	var header [headerBytes]byte
	if _, err := g.ReadAt(header[:], 0); err != nil || string(header[:8]) != segmentMagic {
		return 0
	}
	return max(int64(binary.LittleEndian.Uint64(header[8:])), 0)
}

// create makes the segment's file.
func (g *segment) create() error {
	file, err := os.OpenFile(g.path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	g.file = file
	if err := g.append(segmentHeader(g.opened)); err != nil {
		_ = file.Close()
		_ = os.Remove(g.path)
		g.file = nil
		return err
	}
	return nil
}

// append writes at the end, all or nothing as far as the disk lets it.
func (g *segment) append(raw []byte) error {
	if g.memory != nil {
		g.memory = append(g.memory, raw...)
		g.bytes = int64(len(g.memory))
		return nil
	}
	g.dirty = true
	if _, err := g.file.WriteAt(raw, g.bytes); err != nil {
		_ = g.file.Truncate(g.bytes) // else a torn record is left, which readers pass over
		return err
	}
	g.bytes += int64(len(raw))
	return nil
}

// ReadAt reads the segment wherever it is.
func (g *segment) ReadAt(p []byte, at int64) (int, error) {
	if g.memory != nil {
		if at >= int64(len(g.memory)) {
			return 0, io.EOF
		}
		n := copy(p, g.memory[at:])
		if n < len(p) {
			return n, io.EOF
		}
		return n, nil
	}
	if g.file == nil {
		file, err := os.Open(g.path)
		if err != nil {
			return 0, err
		}
		g.file = file
	}
	return g.file.ReadAt(p, at)
}

// release closes the file where nobody needs it open.
func (g *segment) release() {
	if g.file == nil || g.reading || g.dirty || !g.sealed {
		return
	}
	_ = g.file.Close() // whatever was written is synced
	g.file = nil
}

// spill moves a segment from memory to its file, whole or not at all.
func (g *segment) spill() error {
	temporary := g.path + newSuffix
	if err := os.WriteFile(temporary, g.memory, 0o600); err != nil {
		_ = os.Remove(temporary)
		return err
	}
	if err := os.Rename(temporary, g.path); err != nil {
		return err
	}
	file, err := os.Open(g.path)
	if err != nil {
		return err
	}
	g.file, g.memory, g.dirty = file, nil, true
	return nil
}

// remove deletes the segment; a damaged one is set aside instead, for someone to look at.
func (g *segment) remove() {
	if g.file != nil {
		_ = g.file.Close()
		g.file = nil
	}
	if g.memory != nil {
		g.memory = []byte{}
		return
	}
	if g.damaged && os.Rename(g.path, g.path+corruptSuffix) == nil {
		pruneCorrupt(filepath.Dir(g.path))
		return
	}
	_ = os.Remove(g.path) // one that stays is removed at the next start
}

// keptCorrupt is how many damaged segments are kept.
const keptCorrupt = 4

// pruneCorrupt removes the oldest of the segments set aside.
func pruneCorrupt(dir string) {
	paths, _ := filepath.Glob(filepath.Join(dir, "*"+corruptSuffix))
	for len(paths) > keptCorrupt {
		oldest := 0
		for i := range paths {
			if modified(paths[i]) < modified(paths[oldest]) {
				oldest = i
			}
		}
		if os.Remove(paths[oldest]) != nil {
			return
		}
		paths = append(paths[:oldest], paths[oldest+1:]...)
	}
}

func modified(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.ModTime().UnixNano()
}
