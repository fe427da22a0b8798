package history

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
)

// poisonCodes are ClickHouse's errors that lie in the data: however often it is sent, the answer
// stays the same. Everything else is an outage, which passes.
var poisonCodes = []int32{
	6,   // CANNOT_PARSE_TEXT
	27,  // CANNOT_PARSE_INPUT_ASSERTION_FAILED
	41,  // CANNOT_PARSE_DATETIME
	53,  // TYPE_MISMATCH
	69,  // ARGUMENT_OUT_OF_BOUND
	70,  // CANNOT_CONVERT_TYPE
	72,  // CANNOT_PARSE_NUMBER
	117, // INCORRECT_DATA
	321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
	469, // VIOLATED_CONSTRAINT
	691, // UNKNOWN_ELEMENT_OF_ENUM
}

// rowsError marks a failure of a block's rows, not of what they refer to.
type rowsError struct{ error }

func (e rowsError) Unwrap() error { return e.error }

// isPoison says whether the block's rows themselves are what ClickHouse refuses.
func isPoison(err error) bool {
	var ofRows rowsError
	if !errors.As(err, &ofRows) {
		return false
	}
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		return slices.Contains(poisonCodes, exception.Code)
	}
	var conversion *column.ColumnConverterError
	return errors.As(err, &conversion)
}

// setAside stores all of a poisoned block but the batches that poison it, by halving it. A batch
// that fails alone goes to a file, whole, and its epoch goes on after it.
func (w *Writer) setAside(ctx context.Context, b *block, cause error) error {
	if len(b.passes) > 1 {
		first, second := b.halve()
		if err := w.store(ctx, first); err != nil {
			return err
		}
		return w.store(ctx, second)
	}
	var file string
	// Without its copy the batch must not be passed, so a full disk is waited for.
	err := w.retry(ctx, func() (err error) {
		file, err = w.quarantine(b, cause)
		return err
	})
	if err != nil {
		return err
	}
	w.log.Error("ClickHouse cannot take a batch; it is set aside", "agent", b.passes[0].agent, "epoch", b.passes[0].epoch,
		"seq", b.passes[0].toSeq, "file", file, "error", cause)
	w.metrics.quarantined.Inc()
	b.rows = rows{}
	b.passes[0].endRow = 0
	return w.storeEmpty(ctx, b)
}

// storeEmpty passes a block whose only batch was set aside: manifest and marker without rows.
func (w *Writer) storeEmpty(ctx context.Context, b *block) error {
	w.number(b)
	err := w.retry(ctx, func() error {
		if err := w.insert(ctx, b, 1); err == nil {
			return nil
		}
		stored, err := w.settle(ctx, b)
		if err == nil && !stored {
			err = errors.New("a block without rows is not stored yet")
		}
		return err
	})
	if err != nil {
		return err
	}
	w.passed(b, true)
	return nil
}

// quarantine writes the only batch of a block to a file of its own, one JSON line a row, and
// returns its name once it is on disk.
func (w *Writer) quarantine(b *block, cause error) (name string, err error) {
	if err := os.MkdirAll(w.cfg.QuarantineDir, 0o700); err != nil {
		return "", fmt.Errorf("make the quarantine: %w", err)
	}
	name = filepath.Join(w.cfg.QuarantineDir, fmt.Sprintf("%d-%d.jsonl", w.hub, b.number))
	file, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("quarantine a batch: %w", err)
	}
	out := bufio.NewWriter(file)
	lines := json.NewEncoder(out)
	p := &b.passes[0]
	err = lines.Encode(map[string]any{"agent": p.agent, "epoch": p.epoch, "seq": p.toSeq, "error": cause.Error()})
	for i := range b.rows.series {
		err = errors.Join(err, lines.Encode(map[string]any{
			"series": b.rows.series[i], "ts": b.rows.ts[i], "value": b.rows.value[i], "n": b.rows.n[i],
		}))
	}
	if err = errors.Join(err, out.Flush(), file.Sync(), file.Close()); err != nil {
		return "", fmt.Errorf("quarantine a batch: %w", err)
	}
	return name, syncFolder(w.cfg.QuarantineDir)
}
