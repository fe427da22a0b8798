package history

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// ErrNewerSchema says that a newer program has been at work on the database.
var ErrNewerSchema = errors.New("the history was made by a newer telltale: use that one or a later one")

// Readable are the views for analysts, and the views and tables that they must be allowed to read for them.
var Readable = []string{"samples", "samples_10s", "samples_1m", "samples_1h", "samples_every", "bins_10s", "bins_1m", "bins_1h", "bins_every",
	"series", "agents", "gaps", "events",
	"named_series", "tier_rows", "tier_windows", "tier_bins", "rows_every", "raw", "tier_10s", "tier_1m", "tier_1h", "known_series"}

// migration is one numbered file of statements, each of which may be run again without harm:
// ClickHouse has no transactional DDL, so a crash between two statements is cured by a re-run.
type migration struct {
	version    uint32
	name       string
	checksum   string // SHA-256 of the file, hex
	statements []string
}

// Migrate brings the database of o to the current schema, creating it where it is missing,
// and records what it applied in the table `migrations`. It may be run any number of times.
func Migrate(ctx context.Context, o *clickhouse.Options, log *slog.Logger) error {
	if err := migrate(ctx, o, asWritten, log); err != nil {
		return err
	}
	return checkAddresses(ctx, o, log)
}

// migrate is Migrate with every statement rendered for the deployment. Checksums stay those of the files.
func migrate(ctx context.Context, o *clickhouse.Options, render func(statement string) string, log *slog.Logger) error {
	if err := createDatabase(ctx, o); err != nil {
		return Reached(o, err)
	}
	conn, err := clickhouse.Open(o)
	if err != nil {
		return fmt.Errorf("open history: %w", err)
	}
	defer func() { _ = conn.Close() }()

	migrations, err := readMigrations(migrationFiles)
	if err != nil {
		return err
	}
	applied, err := appliedMigrations(ctx, conn)
	if err != nil {
		return err
	}
	if newest := migrations[len(migrations)-1].version; maxVersion(applied) > newest {
		return fmt.Errorf("%w: it has schema %d, this program knows up to %d", ErrNewerSchema, maxVersion(applied), newest)
	}
	for _, m := range migrations {
		if applied[m.version] == m.checksum {
			continue
		}
		log.Info("migrating the history", "version", m.version, "name", m.name)
		if err := m.apply(ctx, conn, render); err != nil {
			return err
		}
	}
	return createFunctions(ctx, conn, log)
}

// createDatabase uses a connection without a database: signing in to one that is missing is refused.
func createDatabase(ctx context.Context, o *clickhouse.Options) error {
	server := *o
	server.Auth.Database = ""
	conn, err := clickhouse.Open(&server)
	if err != nil {
		return fmt.Errorf("open ClickHouse: %w", err)
	}
	defer func() { _ = conn.Close() }()
	// Atomic by name, since the embedded engine's own default is not kept on disk.
	if err := conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+quoteIdentifier(o.Auth.Database)+" ENGINE = Atomic"); err != nil {
		return fmt.Errorf("create database %s: %w", o.Auth.Database, err)
	}
	return nil
}

func quoteIdentifier(name string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(name) + "`"
}

func readMigrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.sql") // sorted by name, and so by version
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	migrations := make([]migration, 0, len(names))
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		number, title, _ := strings.Cut(strings.TrimSuffix(path.Base(name), ".sql"), "_")
		version, err := strconv.ParseUint(number, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("number of migration %s: %w", name, err)
		}
		sum := sha256.Sum256(text)
		migrations = append(migrations, migration{
			version:    uint32(version),
			name:       title,
			checksum:   hex.EncodeToString(sum[:]),
			statements: splitStatements(string(text)),
		})
	}
	return migrations, nil
}

// splitStatements cuts a file at semicolons that end a line; our own files keep to that.
func splitStatements(text string) []string {
	var statements []string
	for _, s := range strings.Split(text, ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			statements = append(statements, s)
		}
	}
	return statements
}

func appliedMigrations(ctx context.Context, conn driver.Conn) (map[uint32]string, error) {
	err := conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS migrations
		(version UInt32, name String, checksum String, applied DateTime64(3, 'UTC'))
		ENGINE = ReplacingMergeTree(applied) ORDER BY version
		SETTINGS fsync_after_insert = 1, fsync_part_directory = 1`)
	if err != nil {
		return nil, fmt.Errorf("create table migrations: %w", err)
	}
	rows, err := conn.Query(ctx, "SELECT version, checksum FROM migrations FINAL")
	if err != nil {
		return nil, fmt.Errorf("read applied migrations: %w", err)
	}
	defer func() { _ = rows.Close() }()
	applied := make(map[uint32]string)
	for rows.Next() {
		var version uint32
		var checksum string
		if err := rows.Scan(&version, &checksum); err != nil {
			return nil, fmt.Errorf("read applied migrations: %w", err)
		}
		applied[version] = checksum
	}
	return applied, rows.Err()
}

func maxVersion(applied map[uint32]string) uint32 {
	var newest uint32
	for version := range applied {
		newest = max(newest, version)
	}
	return newest
}

func (m *migration) apply(ctx context.Context, conn driver.Conn, render func(string) string) error {
	for _, statement := range m.statements {
		if err := conn.Exec(ctx, render(statement)); err != nil {
			return fmt.Errorf("migration %d (%s): %w", m.version, m.name, err)
		}
	}
	err := conn.Exec(ctx, "INSERT INTO migrations (version, name, checksum, applied) VALUES (?, ?, ?, ?)",
		m.version, m.name, m.checksum, time.Now().UTC())
	if err != nil {
		return fmt.Errorf("record migration %d: %w", m.version, err)
	}
	return nil
}
