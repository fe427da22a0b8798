package stream

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"strconv"
	"sync"
)

// frame is one event as it goes over the wire, the same bytes for every viewer.
type frame struct {
	id     int64 // zero: an event outside the sequence of ids
	plain  []byte
	packed func() []byte // the deflated form, made when somebody first asks
}

func newFrame(id int64, event string, data []byte) *frame {
	plain := appendEvent(nil, id, event, data)
	return &frame{id: id, plain: plain, packed: sync.OnceValue(func() []byte { return deflate(plain) })}
}

func (f *frame) bytes(gzip bool) []byte {
	if gzip {
		return f.packed()
	}
	return f.plain
}

// appendEvent writes one block. Data may span lines; any of LF, CRLF and CR ends one,
// as it does for the reader.
func appendEvent(dst []byte, id int64, event string, data []byte) []byte {
	if id != 0 {
		dst = append(dst, "id: "...)
		dst = strconv.AppendInt(dst, id, 10)
		dst = append(dst, '\n')
	}
	dst = append(dst, "event: "...)
	dst = append(dst, event...)
	dst = append(dst, '\n')
	for more := true; more; {
		var line []byte
		line, data, more = cutLine(data)
		dst = append(dst, "data: "...)
		dst = append(dst, line...)
		dst = append(dst, '\n')
	}
	return append(dst, '\n')
}

func cutLine(data []byte) (line, rest []byte, more bool) {
	i := bytes.IndexAny(data, "\r\n")
	if i < 0 {
		return data, nil, false
	}
	line, rest = data[:i], data[i+1:]
	if data[i] == '\r' && len(rest) > 0 && rest[0] == '\n' {
		rest = rest[1:]
	}
	return line, rest, true
}

// gzipHeader opens every compressed stream: no name, no time, unknown system. The trailer
// is never sent, for a stream has no planned end.
var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}

// syncMarker is an empty stored block: a decoder hands out all that came before it.
var syncMarker = []byte{0, 0, 0, 0xff, 0xff}

var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.DefaultCompression)
	if err != nil {
		panic(err) // only for a level that does not exist
	}
	return w
}}

// deflate compresses plain with a fresh window and ends on a byte boundary, so that the
// result can follow any other in any viewer's stream.
func deflate(plain []byte) []byte {
	var out bytes.Buffer
	out.Grow(len(plain)/3 + 64)
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&out)
	// Neither fails: a bytes.Buffer takes everything.
	_, _ = w.Write(plain)
	_ = w.Flush()
	return out.Bytes()
}

// wrap makes what is sent to one viewer alone fit its stream. Such bytes are few, so
// they are stored in the compressed form, not deflated.
func wrap(gzip bool, plain []byte) []byte {
	if !gzip {
		return plain
	}
	const most = 1<<16 - 1
	out := make([]byte, 0, len(plain)+2*len(syncMarker))
	for len(plain) > 0 {
		n := min(len(plain), most)
		out = append(out, 0)
		out = binary.LittleEndian.AppendUint16(out, uint16(n))
		out = binary.LittleEndian.AppendUint16(out, ^uint16(n))
		out = append(out, plain[:n]...)
		plain = plain[n:]
	}
	return append(out, syncMarker...)
}
