package ingest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"telltale/ingest/wire"
)

// bare is an agent without goroutines or buffers of its own, so that what a test measures
// is the hub's.
type bare struct{ conn net.Conn }

// upgrade opens a WebSocket, or returns the response that refuses it.
func (h *hub) upgrade() (*bare, *http.Response, error) {
	address := strings.TrimSuffix(strings.TrimPrefix(h.url, "ws://"), wire.Path)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, nil, err
	}
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: telltale-agent\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Authorization: Bearer %s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
		wire.Path, address, goodToken, wire.Subprotocol)
	if err != nil {
		return nil, nil, err
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 512), nil)
	if err != nil {
		return nil, nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return nil, response, conn.Close()
	}
	return &bare{conn}, response, nil
}

// write sends one binary message, masked with zeros.
func (b *bare) write(message []byte) error {
	frame := []byte{0x82, 0x80 | 126}
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(message)))
	frame = append(frame, 0, 0, 0, 0)
	_, err := b.conn.Write(append(frame, message...))
	return err
}

// BenchmarkConnection is what a connection of an agent with 100 series holds while idle.
func BenchmarkConnection(b *testing.B) {
	const agents, series = 1000, 100
	h := startHub(b, func(c *Config, s *fakeSink) {
		c.AdmissionRate = agents
		s.series = func(wire.Series) (uint64, error) { return 1, nil }
		s.live = func(*Batch) {}
	})
	h.sink.take = func(batch *Batch) error {
		h.server.Stored([]Stored{{Agent: batch.Agent, Epoch: batch.Epoch, Seq: batch.Seq}})
		return nil
	}
	for b.Loop() {
		before := memory()
		clients := make([]*bare, agents)
		for i := range clients {
			c, _, err := h.upgrade()
			if err != nil || c == nil {
				b.Fatalf("connecting: %v", err)
			}
			clients[i] = c
			e := wire.NewEncoder(wire.DefaultLimits())
			hello := &wire.Hello{Agent: wire.Agent{ID: fmt.Sprint("host-", i), Labels: []wire.Label{{Name: "region", Value: "eu"}, {Name: "env", Value: "prod"}},
				Attributes: []wire.Label{{Name: "os.type", Value: "linux"}, {Name: "host.name", Value: fmt.Sprint("host-", i)}}}, Epochs: []string{"e"}}
			message, _ := e.Append(nil, hello)
			if err := c.write(message); err != nil {
				b.Fatal(err)
			}
			batch := &wire.Batch{Epoch: "e"}
			for n := range series {
				batch.Samples = append(batch.Samples, wire.Sample{Series: &wire.Series{Metric: fmt.Sprint("metric.with.a.name.", n), Unit: "By",
					Labels: []wire.Label{{Name: "device", Value: "sda"}}}})
			}
			for seq := range uint64(3) {
				batch.Seq = seq + 1
				for n := range batch.Samples {
					batch.Samples[n].Value = float64(seq) + float64(n)/10
				}
				message, _ = e.Append(message[:0], batch)
				if err := c.write(message); err != nil {
					b.Fatal(err)
				}
			}
		}
		eventually(b, "taking all", func() bool { return h.counter("samples_total") >= agents*series*3 })
		for range 6 { // stacks shrink by half each
			runtime.GC()
		}
		after := memory()
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/agents, "heap-B/conn")
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/agents, "stack-B/conn")
		for _, c := range clients {
			_ = c.conn.Close()
		}
		eventually(b, "leaving", func() bool { return h.counter("connections") == 0 })
	}
}

func memory() (m runtime.MemStats) {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m
}
