package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"telltale/ingest/wire"
)

// stateFile says what the segments do not. It may lag behind: what it says to be
// unacknowledged is settled by the hub's welcome, and its losses are found again as holes.
const stateFile = "spool.json"

type state struct {
	Clean  bool         `json:"clean"` // the agent has stopped in an orderly way since
	Epochs []epochState `json:"epochs"`
}

type epochState struct {
	Epoch  string `json:"epoch"`
	Opened int64  `json:"opened"` // milliseconds since the Unix epoch
	Acked  uint64 `json:"acked"`
	Next   uint64 `json:"next"`
	Newest int64  `json:"newest"` // milliseconds since the Unix epoch
	Losses []loss `json:"losses,omitempty"`
}

// readState returns nil without an error where there is none.
func readState(dir string) (*state, error) {
	raw, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s state
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("reading %s: %w", stateFile, err)
	}
	for i := range s.Epochs {
		if err := s.Epochs[i].check(); err != nil {
			return nil, fmt.Errorf("reading %s: %w", stateFile, err)
		}
	}
	return &s, nil
}

// check returns why the state cannot be right. A name that no hub takes would keep the
// agent out for good.
func (e *epochState) check() error {
	if err := wire.CheckEpoch(e.Epoch); err != nil {
		return err
	}
	if e.Next == 0 || e.Acked >= e.Next {
		return fmt.Errorf("epoch %s is acknowledged up to %d of %d", e.Epoch, e.Acked, e.Next)
	}
	for _, l := range e.Losses {
		if l.Seq == 0 || l.ToSeq < l.Seq || l.ToSeq >= e.Next {
			return fmt.Errorf("epoch %s has lost %d to %d of %d", e.Epoch, l.Seq, l.ToSeq, e.Next)
		}
	}
	return nil
}

// stateLocked is what is to be written.
func (s *Spool) stateLocked(clean bool) []byte {
	out := state{Clean: clean}
	for _, e := range s.epochs {
		out.Epochs = append(out.Epochs, epochState{
			Epoch: e.id, Opened: e.opened, Acked: e.acked, Next: e.next, Newest: e.newest, Losses: e.losses,
		})
	}
	raw, _ := json.Marshal(&out) // texts and numbers cannot fail
	return raw
}

// writeState replaces the file whole, and makes that last.
func writeState(dir string, raw []byte) error {
	path := filepath.Join(dir, stateFile)
	file, err := os.OpenFile(path+newSuffix, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(raw)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		_ = os.Remove(path + newSuffix)
		return err
	}
	if err := os.Rename(path+newSuffix, path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes names last. Not every system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}
