package main

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// meter adds up a hub's counters over its lives, and keeps the peak of what is a state.
type meter struct {
	fleet *fleet
	token string
	last  map[string]float64
	total map[string]float64 // of the lives before the last
	peak  map[string]float64
}

func newMeter(f *fleet) *meter {
	token := f.command("token", "create", "--data", f.data, "--scope", "metrics", "meter")
	return &meter{fleet: f, token: token, last: make(map[string]float64), total: make(map[string]float64), peak: make(map[string]float64)}
}

// run reads the figures every second until ctx ends.
func (m *meter) run(ctx context.Context) {
	for ctx.Err() == nil {
		m.read()
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// rssName is the hub's resident memory in bytes.
const rssName = "process_resident_memory_bytes"

func (m *meter) read() {
	request, err := http.NewRequest(http.MethodGet, "http://"+m.fleet.listen+"/metrics", nil)
	if err != nil {
		return
	}
	request.Header.Set("Authorization", "Bearer "+m.token)
	response, err := patient.Do(request)
	if err != nil {
		return // the hub is away
	}
	defer func() { _ = response.Body.Close() }()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		name, text, ok := strings.Cut(lines.Text(), " ")
		value, err := strconv.ParseFloat(text, 64)
		if !ok || err != nil {
			continue
		}
		if value < m.last[name] {
			m.total[name] += m.last[name]
		}
		m.last[name] = value
		m.peak[name] = max(m.peak[name], value)
	}
}

// counted is a counter's sum over all lives, as far as it was seen.
func (m *meter) counted(name string) int { return int(m.total[name] + m.last[name]) }
