package wire

import (
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A binary message starts with one byte that says how the rest is compressed.
const (
	plain      = 0
	compressed = 1 // zstd
)

// MaxFrameBytes is the most a frame can be, whatever Limits say: decompression stops there.
const MaxFrameBytes = 4 << 20

// compressFrom is the size from which compressing a frame is tried. A batch of a hundred
// samples is smaller, and mostly deltas already: compressed, it takes 1.38 instead of 1.50
// bytes per sample, and 9 us more to write and 2 us more to read.
const compressFrom = 512

// windowBytes keeps the compressor's tables small: the first frame of a connection, full
// of names, is the one that gains, and its repetitions are near each other.
const windowBytes = 64 << 10

var compressor = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(windowBytes), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
})

var decompressor = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxFrameBytes), zstd.WithDecoderMaxWindow(MaxFrameBytes))
	if err != nil {
		panic(err)
	}
	return d
})

// appendMessage appends body as a binary message, compressed where that is shorter.
func appendMessage(dst, body []byte) []byte {
	start := len(dst)
	if len(body) >= compressFrom {
		dst = compressor().EncodeAll(body, append(dst, compressed))
		if len(dst)-start <= len(body) {
			return dst
		}
		dst = dst[:start]
	}
	return append(append(dst, plain), body...)
}

// inflated holds decompressed frames while they are decoded.
var inflated = sync.Pool{New: func() any { return new([]byte) }}

// openMessage calls read with the frame inside a binary message; read must not keep it.
func openMessage(message []byte, limit int, read func(body []byte) error) error {
	if len(message) == 0 {
		return Closef(BadFrame, "empty message")
	}
	if len(message) > limit {
		return tooBig(limit)
	}
	switch message[0] {
	case plain:
		return read(message[1:])
	case compressed:
		buffer := inflated.Get().(*[]byte)
		defer inflated.Put(buffer)
		body, err := decompressor().DecodeAll(message[1:], (*buffer)[:0])
		if body != nil {
			*buffer = body
		}
		switch {
		case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded), len(body) > limit:
			return tooBig(limit)
		case err != nil:
			return Closef(BadFrame, "decompressing: %v", err)
		}
		return read(body)
	default:
		return Closef(BadFrame, "unknown compression %d: use 0 (none) or 1 (zstd)", message[0])
	}
}

func tooBig(limit int) error {
	return &CloseError{Code: TooBig, Message: fmt.Sprintf("a message exceeds %d bytes: send smaller batches", limit)}
}
