package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// BackupProgress is how far a backup or its restore has come.
type BackupProgress struct{ Done, Total uint64 } // bytes

// Backup has ClickHouse write all of the database of o to a file, at an absolute path that its configuration allows.
// It reports progress about once a second.
func Backup(ctx context.Context, o *clickhouse.Options, path string, report func(BackupProgress)) error {
	return archive(ctx, o, "BACKUP DATABASE "+quoteIdentifier(o.Auth.Database)+" TO File(?) SETTINGS id = ? ASYNC", path, report)
}

// Restore has ClickHouse read what Backup wrote into a server that does not have the database yet.
func Restore(ctx context.Context, o *clickhouse.Options, path string, report func(BackupProgress)) error {
	return archive(ctx, o, "RESTORE DATABASE "+quoteIdentifier(o.Auth.Database)+" FROM File(?) SETTINGS id = ? ASYNC", path, report)
}

// archive runs a statement that goes on in the background, and waits for its end.
func archive(ctx context.Context, o *clickhouse.Options, statement, path string, report func(BackupProgress)) error {
	own := *o
	own.Auth.Database = "" // a restore makes it
	conn, err := clickhouse.Open(&own)
	if err != nil {
		return fmt.Errorf("open ClickHouse: %w", err)
	}
	defer func() { _ = conn.Close() }()
	id := fmt.Sprintf("telltale-%d", time.Now().UnixNano())
	if err := conn.Exec(ctx, statement, path, id); err != nil {
		return fmt.Errorf("ask ClickHouse for it: %w", err)
	}
	for {
		done, err := archived(ctx, conn, id, report)
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

// archived says whether ClickHouse has done what the id stands for.
func archived(ctx context.Context, conn driver.Conn, id string, report func(BackupProgress)) (done bool, err error) {
	var status, failure string
	var total, written, read uint64
	err = conn.QueryRow(ctx, "SELECT CAST(status, 'String'), error, total_size, compressed_size, bytes_read FROM system.backups WHERE id = ?", id).
		Scan(&status, &failure, &total, &written, &read)
	if err != nil {
		return false, fmt.Errorf("look how far it has come: %w", err)
	}
	switch status {
	case "CREATING_BACKUP", "RESTORING":
		report(BackupProgress{max(written, read), total})
		return false, nil
	case "BACKUP_CREATED", "RESTORED":
		report(BackupProgress{total, total})
		return true, nil
	}
	return false, errors.New("ClickHouse gave up: " + failure)
}
