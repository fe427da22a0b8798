package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const bucketPrefix = "telltale_"

// record is one line of an export.
type record struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
	Value  []byte `json:"value"`
}

// Export writes every bucket's records to out, a JSON object a line, and returns their number. Sessions are left out:
// who comes back after a restore signs in again.
func Export(ctx context.Context, nc *nats.Conn, out io.Writer) (records int, err error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, fmt.Errorf("export the store: %w", err)
	}
	lines := json.NewEncoder(out)
	buckets, err := ourBuckets(ctx, js)
	if err != nil {
		return 0, fmt.Errorf("export the store: %w", err)
	}
	for _, bucket := range buckets {
		if bucket == sessionsBucket {
			continue
		}
		n, err := exportBucket(ctx, js, bucket, lines)
		if err != nil {
			return records, fmt.Errorf("export bucket %s: %w", bucket, err)
		}
		records += n
	}
	return records, nil
}

func ourBuckets(ctx context.Context, js jetstream.JetStream) ([]string, error) {
	var ours []string
	names := js.KeyValueStoreNames(ctx)
	for name := range names.Name() {
		if strings.HasPrefix(name, bucketPrefix) {
			ours = append(ours, name)
		}
	}
	return ours, names.Error()
}

func exportBucket(ctx context.Context, js jetstream.JetStream, bucket string, lines *json.Encoder) (records int, err error) {
	kv, err := js.KeyValue(ctx, bucket)
	if err != nil {
		return 0, err
	}
	keys, err := kv.Keys(ctx)
	if errors.Is(err, jetstream.ErrNoKeysFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for _, key := range keys {
		entry, err := kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) { // deleted meanwhile
			continue
		}
		if err != nil {
			return records, err
		}
		if err := lines.Encode(record{bucket, key, entry.Value()}); err != nil {
			return records, err
		}
		records++
	}
	return records, nil
}

// ErrNotEmpty is returned by Import for a store that somebody has used.
var ErrNotEmpty = errors.New("the store has records already: restore into an empty data directory")

// Import reads what Export wrote into buckets that are new, and returns the number of records.
func Import(ctx context.Context, nc *nats.Conn, in io.Reader) (records int, err error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, fmt.Errorf("import the store: %w", err)
	}
	used, err := ourBuckets(ctx, js)
	if err != nil {
		return 0, fmt.Errorf("import the store: %w", err)
	}
	if len(used) > 0 {
		return 0, ErrNotEmpty
	}
	lines := json.NewDecoder(in)
	for {
		var r record
		err := lines.Decode(&r)
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err == nil {
			err = importRecord(ctx, js, r)
		}
		if err != nil {
			return records, fmt.Errorf("import record %d of the store: %w", records+1, err)
		}
		records++
	}
}

func importRecord(ctx context.Context, js jetstream.JetStream, r record) error {
	if !strings.HasPrefix(r.Bucket, bucketPrefix) {
		return fmt.Errorf("bucket %.80q is not one of ours", r.Bucket)
	}
	kv, err := openBucket(ctx, js, jetstream.KeyValueConfig{Bucket: r.Bucket, Replicas: 1})
	if err != nil {
		return err
	}
	_, err = kv.Create(ctx, r.Key, r.Value)
	return err
}
