package spool

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// A segment file is a header of 16 bytes, a magic and when the epoch was opened
// (milliseconds since the Unix epoch), then records:
//
//	4 bytes  magic
//	4 bytes  length of the body
//	4 bytes  CRC-32C of length and body
//	body     uvarint seq, uvarint flags, uvarint samples, varint from, uvarint to - from,
//	         a batch without its epoch as a binary message of the wire protocol
//
// Fixed numbers are little endian. A batch is coded with what the records before it have
// described; a key record stands alone. The magic is there to find the next record behind
// one that is damaged.
const (
	segmentMagic  = "TTSPOOL1"
	recordMagic   = "\xabTr1"
	headerBytes   = 16
	recordHead    = 12
	maxBodyBytes  = 5 << 20 // the wire's largest message and our fields
	recordsPerKey = 64
)

// keyFlag marks a record that needs none before it.
const keyFlag = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record is one batch as a segment holds it.
type record struct {
	seq      uint64
	flags    uint64
	samples  uint64
	from, to int64 // milliseconds since the Unix epoch
	message  []byte

	at int64 // offset in the segment
}

func (r *record) isKey() bool { return r.flags&keyFlag != 0 }

// appendTo appends the record's bytes.
func (r *record) appendTo(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, recordMagic...)
	dst = append(dst, make([]byte, recordHead-len(recordMagic))...)
	dst = binary.AppendUvarint(dst, r.seq)
	dst = binary.AppendUvarint(dst, r.flags)
	dst = binary.AppendUvarint(dst, r.samples)
	dst = binary.AppendVarint(dst, r.from)
	dst = binary.AppendUvarint(dst, uint64(r.to-r.from))
	dst = append(dst, r.message...)
	head := dst[start : start+recordHead]
	binary.LittleEndian.PutUint32(head[4:], uint32(len(dst)-start-recordHead))
	binary.LittleEndian.PutUint32(head[8:], sum(dst[start:]))
	return dst
}

// sum is the checksum of a record: all of it but the magic and the checksum itself.
func sum(raw []byte) uint32 {
	return crc32.Update(crc32.Checksum(raw[4:8], castagnoli), castagnoli, raw[recordHead:])
}

// parse reads a body; false: it is none.
func (r *record) parse(body []byte) bool {
	number := func() uint64 {
		u, n := binary.Uvarint(body)
		if n <= 0 {
			body = nil
			return 0
		}
		body = body[n:]
		return u
	}
	r.seq, r.flags, r.samples = number(), number(), number()
	from, n := binary.Varint(body)
	if n <= 0 {
		return false
	}
	body = body[n:]
	r.from = from
	r.to = from + int64(number())
	r.message = body
	return r.seq > 0 && r.to >= r.from && len(body) > 0
}

// scanner reads the records of a segment in order. Behind damage it goes on at the next
// key record. What it returns is valid until its next call.
type scanner struct {
	source  io.ReaderAt
	at, end int64
	damaged bool // something was passed over
	lost    bool // what a batch builds on was not read: a key record must come
	buffer  []byte
}

// guessBytes is what is read at once of a record whose length is not known yet.
const guessBytes = 4 << 10

// resyncBytes is how much is searched at once for the next record.
const resyncBytes = 64 << 10

func newScanner(source io.ReaderAt, at, end int64) scanner {
	return scanner{source: source, at: at, end: end, lost: true}
}

// next returns the next record that can be used.
func (s *scanner) next() (r record, ok bool) {
	for s.at < s.end {
		size, ok := s.read(&r)
		if !ok {
			s.damaged, s.lost = true, true
			s.at = s.resync(s.at + 1)
			continue
		}
		s.at += size
		if s.lost = s.lost && !r.isKey(); !s.lost {
			return r, true
		}
	}
	return record{}, false
}

// read reads the record at s.at and returns its size.
func (s *scanner) read(r *record) (size int64, ok bool) {
	raw := s.fetch(s.at, guessBytes)
	if len(raw) < recordHead || string(raw[:4]) != recordMagic {
		return 0, false
	}
	length := int64(binary.LittleEndian.Uint32(raw[4:]))
	size = recordHead + length
	if length > maxBodyBytes || s.at+size > s.end {
		return 0, false
	}
	if size > int64(len(raw)) {
		raw = s.fetch(s.at, size)
	}
	if int64(len(raw)) < size {
		return 0, false
	}
	raw = raw[:size]
	if binary.LittleEndian.Uint32(raw[8:]) != sum(raw) {
		return 0, false
	}
	r.at = s.at
	return size, r.parse(raw[recordHead:])
}

// resync returns the offset of the next magic from at on, else the end.
func (s *scanner) resync(at int64) int64 {
	for at < s.end {
		chunk := s.fetch(at, resyncBytes)
		if i := bytes.Index(chunk, []byte(recordMagic)); i >= 0 {
			return at + int64(i)
		}
		if len(chunk) < resyncBytes {
			break
		}
		at += int64(len(chunk) - len(recordMagic) + 1)
	}
	return s.end
}

// fetch returns up to n bytes at the offset. What cannot be read is missing at the end, as
// where the file was cut.
func (s *scanner) fetch(at, n int64) []byte {
	n = min(n, s.end-at)
	if int64(cap(s.buffer)) < n {
		s.buffer = make([]byte, n)
	}
	read, _ := s.source.ReadAt(s.buffer[:n], at)
	return s.buffer[:read]
}
