package engine

import (
	"bytes"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

const (
	longestLine  = 4 << 10 // bytes; the rest of a longer line is dropped
	tailLines    = 8
	relayPerHour = 600
	relayBurst   = 20
)

// logLine is a line that the engine's logger wrote: time, thread, query, level, logger, text.
var logLine = regexp.MustCompile(`^\d{4}\.\d\d\.\d\d [\d:.]+ \[ \d+ \] \{[^}]*\} <(\w+)> ([^:]+): (.*)`)

// A failed query is an error to whoever asked it, who has been told; only the engine's own
// errors are the operator's. These loggers report queries.
var queryLoggers = map[string]bool{
	"executeQuery": true, "TCPHandler": true, "DynamicQueryHandler": true, "HTTPHandler": true,
	"PredefinedQueryHandler": true, "ServerErrorHandler": true, "LocalConnection": true,
}

// relay passes the engine's errors, which it writes on its standard error, to our log, and
// remembers the last lines for the report of its end. More than relayPerHour are counted only.
type relay struct {
	log    *slog.Logger
	errors prometheus.Counter
	limit  *rate.Limiter

	mu   sync.Mutex // guards all below
	line []byte     // read, without its end so far
	tail []string   // the last lines that are no stack trace
}

func newRelay(log *slog.Logger, errors prometheus.Counter) *relay {
	return &relay{log: log, errors: errors, limit: rate.NewLimiter(rate.Limit(relayPerHour)/3600, relayBurst)}
}

var _ io.Writer = (*relay)(nil)

// Write never fails: an engine whose errors cannot be reported still runs.
func (r *relay) Write(text []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(text)
	for {
		line, rest, ended := bytes.Cut(text, []byte("\n"))
		room := max(longestLine-len(r.line), 0)
		r.line = append(r.line, line[:min(len(line), room)]...)
		if !ended {
			return n, nil
		}
		r.takeLocked(string(r.line))
		r.line, text = r.line[:0], rest
	}
}

func (r *relay) takeLocked(line string) {
	if notice, ours := strings.CutPrefix(line, noticePrefix); ours {
		r.log.Warn(notice)
		return
	}
	parts := logLine.FindStringSubmatch(line)
	if parts == nil {
		r.rememberLocked(line)
		return
	}
	level, logger, text := parts[1], parts[2], parts[3]
	if queryLoggers[logger] {
		return
	}
	r.rememberLocked(text)
	r.errors.Inc()
	if r.limit.Allow() {
		r.log.Error("clickhouse reports an error", "level", level, "component", logger, "text", text)
	}
}

// rememberLocked keeps a line unless it is of a stack trace ("12. ? @ 0x...").
func (r *relay) rememberLocked(line string) {
	line = strings.TrimSpace(line)
	if line == "" || strings.HasPrefix(line, "Logging ") || strings.Contains(line, " @ 0x") {
		return
	}
	r.tail = append(r.tail, line)
	if len(r.tail) > tailLines {
		r.tail = r.tail[1:]
	}
}

// takeTail returns the last lines and forgets them.
func (r *relay) takeTail() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.line) > 0 {
		r.rememberLocked(string(r.line))
		r.line = r.line[:0]
	}
	text := strings.Join(r.tail, " ")
	r.tail = nil
	return text
}
