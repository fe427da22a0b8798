package enginetest

import (
	"context"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { Main(m, func() error { return goleak.Find() }) }

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	names := map[string]bool{}
	for _, dsn := range []string{DSN(t), DSN(t)} {
		options, err := clickhouse.ParseDSN(dsn)
		if err != nil {
			t.Fatal(err)
		}
		connection, err := clickhouse.Open(options)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = connection.Close() }()
		ctx := context.Background()
		if err := connection.Exec(ctx, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a"); err != nil {
			t.Fatal(err)
		}
		var name string
		if err := connection.QueryRow(ctx, "SELECT currentDatabase() FROM system.one").Scan(&name); err != nil {
			t.Fatal(err)
		}
		names[name] = true
	}
	if len(names) != 2 {
		t.Errorf("two tests got the databases %v, want two", names)
	}
}
