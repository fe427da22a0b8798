package stream

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestAppendEvent(t *testing.T) {
	f := func(id int64, data, want string) {
		t.Helper()
		if got := string(appendEvent(nil, id, "tick", []byte(data))); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(5, `{"a":1}`, "id: 5\nevent: tick\ndata: {\"a\":1}\n\n")
	f(0, "", "event: tick\ndata: \n\n")
	f(0, "a\nb\r\nc\rd", "event: tick\ndata: a\ndata: b\ndata: c\ndata: d\n\n")
	f(0, "a\n", "event: tick\ndata: a\ndata: \n\n")
	f(0, "\n\r", "event: tick\ndata: \ndata: \ndata: \n\n")
}

// Whatever the data, it is one event for the reader, with the data's lines.
func FuzzAppendEvent(f *testing.F) {
	f.Add([]byte("{}"))
	f.Add([]byte("a\r\n\r\nevent: bye\n\ndata: x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := &peer{t: t, body: bufio.NewReader(bytes.NewReader(appendEvent(nil, 7, "tick", data)))}
		e, err := p.read()
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
		if err != nil || e.id != "7" || e.name != "tick" || e.data != want {
			t.Fatalf("%q came out as %+v, %v", data, e, err)
		}
		if e, err := p.read(); !errors.Is(err, io.EOF) {
			t.Fatalf("%q makes a second block %+v", data, e)
		}
	})
}

// Frames follow each other in any order and number, and each can be read when it has come.
func FuzzCompressed(f *testing.F) {
	f.Add([]byte("one"), []byte("two"))
	f.Add([]byte{}, bytes.Repeat([]byte("abc"), 60_000))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		in, out := io.Pipe()
		defer func() { _ = in.Close() }()
		pieces := [][]byte{deflate(a), wrap(true, b), deflate(b), wrap(true, a), deflate(a)}
		go func() {
			_, _ = out.Write(gzipHeader)
			for _, p := range pieces {
				_, _ = out.Write(p)
			}
			_ = out.Close()
		}()
		z, err := gzip.NewReader(in)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range [][]byte{a, b, b, a, a} {
			got := make([]byte, len(want))
			if _, err := io.ReadFull(z, got); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("piece %d: %d bytes, error %v", i, len(got), err)
			}
		}
		if n, err := z.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("after the last piece: %d bytes, error %v", n, err)
		}
	})
}

func TestAcceptsGzip(t *testing.T) {
	f := func(header string, want bool) {
		t.Helper()
		if got := acceptsGzip(header); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
	f("", false)
	f("gzip", true)
	f("gzip, deflate, br, zstd", true)
	f("br,GZIP ; q=0.5", true)
	f("gzip;q=0", false)
	f("gzip; q=0.000", false)
	f("gzip;q=x", false)
	f("x-gzip, identity", false)
}

func FuzzAcceptsGzip(f *testing.F) {
	f.Add("br;q=1, gzip;q=0.2")
	f.Fuzz(func(t *testing.T, header string) {
		if acceptsGzip(header) && !strings.Contains(strings.ToLower(header), "gzip") {
			t.Fatalf("%q", header)
		}
	})
}
