package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/shirou/gopsutil/v3/disk"

	"telltale/aggregate"
	"telltale/aggregate/engine"
	"telltale/aggregate/history"
)

// facts are what a doctor judges: figures and names, no verdicts. A hub that runs gathers them and sends them as
// JSON; where none runs, the doctor gathers what it can.
type facts struct {
	Hub     *hubFacts // nil: no hub runs, or it does not answer
	HubGone string    // why Hub is nil

	Machine      machineFacts
	History      *history.Health // nil: ClickHouse was not asked, or does not answer
	HistoryError string          // why it, or a shard of it, does not answer; "": they do, or were not asked

	Sent     time.Time // by the hub's clock
	received time.Time // by the doctor's

	MinFreeBytes uint64
	Kept         map[string]time.Duration // how long each table keeps its rows at least
}

// hubFacts are what only a running hub knows.
type hubFacts struct {
	Name      string // of its host, with its address
	Version   string
	PID       int
	Started   time.Time
	Now       time.Time
	LastHour  counts        // what was counted since an hour ago, or since the start
	Since     time.Duration // how long that is
	Storage   storageFacts
	Tiers     []history.TierHealth
	Series    seriesFacts
	Load      loadFacts
	Agents    agentFacts
	LagP99    []float64 // seconds, of the last minutes in which something was stored
	LagError  string    // why it is not known
	Embedded  bool      // ClickHouse is the hub's own
	EngineErr string    // why the embedded ClickHouse does not serve; "": it does
}

// storageFacts is how storing goes.
type storageFacts struct {
	NotReady      string   // why nothing can be stored yet; "": it can
	Away          []string // as history.Shards.Away
	Behind        string   // as history.Writer.Behind
	UnstoredBytes int64
	MaxBytes      int64
	Waiting       time.Duration
	Failure       *history.Failure
}

// seriesFacts compares series with their limits.
type seriesFacts struct {
	Series, Limit int
	AgentLimit    int
	Largest       []aggregate.AgentSeries
}

// loadFacts compares what the hub holds with its limits.
type loadFacts struct {
	Viewers, MaxViewers int
	Connected           int // agents
	OpenFiles, MaxFiles int // 0: not known
}

// agentFacts are the agents that need somebody to look at them, and how many there are of all.
type agentFacts struct {
	Known     int           // all of them
	Silent    []silentAgent // the longest silent last; at most maxExamples
	SilentAll int
	Gone      int          // silent for so long that they are not missed any more
	Clocks    []agentClock // those that are off, the worst first; at most maxExamples
	ClocksAll int
	Refusing  []refusedAgent // those with most samples refused since the hub heard of them, those first; at most maxExamples
}

type silentAgent struct {
	Agent     string
	For       time.Duration
	Connected bool
}

type agentClock struct {
	Agent string
	Ahead time.Duration
}

type refusedAgent struct {
	Agent   string
	Reason  string
	Samples uint64
}

// quarantineFolder is where in the data directory the hub puts batches that ClickHouse cannot take.
const quarantineFolder = "quarantine"

// maxExamples bounds how many agents are named.
const maxExamples = 5

// machineFacts is what can be seen of a data directory from outside.
type machineFacts struct {
	Data       string // the directory
	DataError  string // why it cannot be used; "": it can
	FreeBytes  uint64
	TotalBytes uint64

	Quarantined      int // files
	QuarantinedBytes int64
	QuarantinedLast  time.Time

	Engine      string // path of the embedded ClickHouse; "" with an outside one
	EngineError string // why there is none

	Backup *backupNote // the last one; nil: none was made from here
}

// gatherMachine looks at the data directory and for the engine, unless that is outside.
func gatherMachine(data, enginePath string, outside bool) machineFacts {
	m := machineFacts{Data: data}
	if err := m.look(); err != nil {
		m.DataError = err.Error()
	}
	if outside {
		return m
	}
	var err error
	if m.Engine, err = engine.Find(enginePath); err != nil {
		m.EngineError = err.Error()
	}
	return m
}

func (m *machineFacts) look() error {
	info, err := os.Stat(m.Data)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", m.Data)
	}
	usage, err := disk.Usage(m.Data)
	if err != nil {
		return fmt.Errorf("look at the disk of %s: %w", m.Data, err)
	}
	m.FreeBytes, m.TotalBytes = usage.Free, usage.Total
	if m.Backup, err = readBackupNote(m.Data); err != nil {
		return err
	}
	return m.countQuarantine()
}

// countQuarantine counts the files in the folder and below.
func (m *machineFacts) countQuarantine() error {
	err := filepath.WalkDir(filepath.Join(m.Data, quarantineFolder), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		m.Quarantined++
		m.QuarantinedBytes += info.Size()
		if info.ModTime().After(m.QuarantinedLast) {
			m.QuarantinedLast = info.ModTime()
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was set aside yet, or a file is removed just now
	}
	return err
}

// backupNote is what a backup leaves in the data directory that it is of.
type backupNote struct {
	Time    time.Time `json:"time"`
	File    string    `json:"file"`
	History bool      `json:"history"` // whether it has the history in it
}

const backupNoteFile = "last-backup.json"

func readBackupNote(data string) (*backupNote, error) {
	text, err := os.ReadFile(filepath.Join(data, backupNoteFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var note backupNote
	if err := json.Unmarshal(text, &note); err != nil {
		return nil, fmt.Errorf("read %s: %w", backupNoteFile, err)
	}
	return &note, nil
}

func (n backupNote) write(data string) error {
	text, err := json.Marshal(n)
	if err == nil {
		err = os.WriteFile(filepath.Join(data, backupNoteFile), append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("note that a backup was made: %w", err)
	}
	return nil
}
