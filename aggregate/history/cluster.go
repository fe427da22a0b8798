package history

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Cluster is several ClickHouse servers that keep the history together, as their configuration names it.
//
// A shard keeps all there is of its agents, as a single server does, in a database of its own; see shardOptions. The
// database that is queried has tables of the same names on every server, Distributed over those of the shards.
type Cluster struct {
	Name   string
	Shards []Shard // in the order of their numbers
}

// Shard is one part of a Cluster.
type Shard struct {
	Number uint32
	// Replicas are the servers that have the shard's data, each as host:port of the native protocol. The first is the
	// one that is written to, and the others follow it: another could not say whether an insert on the first still runs.
	Replicas []string
}

// String names the shard and the server that is written to.
func (s Shard) String() string { return fmt.Sprintf("shard %d (%s)", s.Number, s.Replicas[0]) }

// ReadCluster asks a server of o which shards a cluster has.
func ReadCluster(ctx context.Context, o *clickhouse.Options, name string) (Cluster, error) {
	own := *o
	own.Auth.Database = "" // it may be missing
	conn, err := clickhouse.Open(&own)
	if err != nil {
		return Cluster{}, fmt.Errorf("open ClickHouse: %w", err)
	}
	defer func() { _ = conn.Close() }()
	found, err := conn.Query(ctx, "SELECT shard_num, host_name, port FROM system.clusters WHERE cluster = ? ORDER BY shard_num, replica_num", name)
	if err != nil {
		return Cluster{}, Reached(o, fmt.Errorf("ask for the shards of cluster %s: %w", name, err))
	}
	defer func() { _ = found.Close() }()
	c := Cluster{Name: name}
	for found.Next() {
		var number uint32
		var host string
		var port uint16
		if err := found.Scan(&number, &host, &port); err != nil {
			return Cluster{}, fmt.Errorf("ask for the shards of cluster %s: %w", name, err)
		}
		if n := len(c.Shards); n == 0 || c.Shards[n-1].Number != number {
			c.Shards = append(c.Shards, Shard{Number: number})
		}
		last := &c.Shards[len(c.Shards)-1]
		last.Replicas = append(last.Replicas, net.JoinHostPort(host, strconv.Itoa(int(port))))
	}
	if err := found.Err(); err != nil {
		return Cluster{}, fmt.Errorf("ask for the shards of cluster %s: %w", name, err)
	}
	if len(c.Shards) == 0 {
		return Cluster{}, fmt.Errorf("the servers know no cluster %q: give --clickhouse-cluster a name from <remote_servers> in their configuration", name)
	}
	return c, nil
}

// shardSuffix makes the name of a shard's own database from that of the one that is queried.
const shardSuffix = "_shard"

// shardOptions is the way to a shard's own database on one of its servers.
func shardOptions(o *clickhouse.Options, address string) *clickhouse.Options {
	own := *o
	own.Addr, own.DialStrategy = []string{address}, nil
	own.Auth.Database += shardSuffix
	return &own
}

// Servers are the ways to the databases that samples are stored in: that of o, or where o leads to a cluster that is named, one
// for each shard.
func Servers(ctx context.Context, o *clickhouse.Options, cluster string) ([]*clickhouse.Options, error) {
	if cluster == "" {
		return []*clickhouse.Options{o}, nil
	}
	c, err := ReadCluster(ctx, o, cluster)
	if err != nil {
		return nil, err
	}
	servers := make([]*clickhouse.Options, len(c.Shards))
	for i, shard := range c.Shards {
		servers[i] = shardOptions(o, shard.Replicas[0])
	}
	return servers, nil
}

// MigrateCluster is Migrate for all servers of a cluster that is named.
func MigrateCluster(ctx context.Context, o *clickhouse.Options, cluster string, log *slog.Logger) error {
	c, err := ReadCluster(ctx, o, cluster)
	if err != nil {
		return err
	}
	for _, shard := range c.Shards {
		for _, address := range shard.Replicas {
			if err := c.migrate(ctx, o, shard, address, log); err != nil {
				return fmt.Errorf("shard %d, %s: %w", shard.Number, address, err)
			}
		}
	}
	return nil
}

// migrate prepares one server: the shard's database, and the one that is queried.
func (c Cluster) migrate(ctx context.Context, o *clickhouse.Options, shard Shard, address string, log *slog.Logger) error {
	own := shardOptions(o, address)
	server := *own
	server.Auth.Database = "" // neither need be there
	conn, err := clickhouse.Open(&server)
	if err != nil {
		return fmt.Errorf("open ClickHouse: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := refuseHistoryOfOne(ctx, conn, o.Auth.Database); err != nil {
		return Reached(own, err)
	}
	render, err := shard.rendering(own.Auth.Database)
	if err != nil {
		return err
	}
	if err := migrate(ctx, own, render, log); err != nil {
		return err
	}
	return c.distribute(ctx, own, o.Auth.Database)
}

// rendering changes the statements of migrations for a shard and the name of its database.
func (s Shard) rendering(database string) (func(statement string) string, error) {
	migrations, err := readMigrations(migrationFiles)
	if err != nil {
		return nil, err
	}
	views := parametrised(migrations)
	return func(statement string) string {
		if len(s.Replicas) > 1 {
			statement = replicated(statement)
		}
		return qualified(statement, database, views)
	}, nil
}

var parametrisedView = regexp.MustCompile(`(?s)CREATE OR REPLACE VIEW (\w+)\s.*\{\w+:\w+`)

// parametrised are the names of views that take parameters.
func parametrised(migrations []migration) []string {
	var names []string
	for _, m := range migrations {
		for _, statement := range m.statements {
			if found := parametrisedView.FindStringSubmatch(statement); found != nil {
				names = append(names, found[1])
			}
		}
	}
	return names
}

// qualified names the database where a statement reads from one of these views. ClickHouse remembers that by itself for other
// views and for tables; a shard that is asked by another server would look for these in the database at hand there.
func qualified(statement, database string, views []string) string {
	for _, view := range views {
		statement = strings.ReplaceAll(statement, "FROM "+view+"(", "FROM "+quoteIdentifier(database)+"."+view+"(")
	}
	return statement
}

var mergeTree = regexp.MustCompile(`\bENGINE = (\w*MergeTree)(?:\((.*?)\))?`)

// replicated makes a statement's table one that servers with the same {shard} have in common. The path has no {uuid}: every
// server is told by itself to make the table.
func replicated(statement string) string {
	return mergeTree.ReplaceAllStringFunc(statement, func(clause string) string {
		parts := mergeTree.FindStringSubmatch(clause)
		arguments := `'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'`
		if parts[2] != "" {
			arguments += ", " + parts[2]
		}
		return "ENGINE = Replicated" + parts[1] + "(" + arguments + ")"
	})
}

func asWritten(statement string) string { return statement }

// distribute makes the tables of the database that is queried, on a server of o: one for each table and view of the shard. A
// view is computed by each shard of its own rows, since they are all there is of an agent.
func (c Cluster) distribute(ctx context.Context, o *clickhouse.Options, database string) error {
	own := *o
	own.Auth.Database = database
	if err := createDatabase(ctx, &own); err != nil {
		return err
	}
	conn, err := clickhouse.Open(&own)
	if err != nil {
		return fmt.Errorf("open history: %w", err)
	}
	defer func() { _ = conn.Close() }()
	all, err := distributables(ctx, conn, o.Auth.Database)
	if err != nil {
		return err
	}
	for _, d := range all {
		if err := conn.Exec(ctx, d.create(c.Name, o.Auth.Database)); err != nil {
			return fmt.Errorf("distribute %s: %w", d.name, err)
		}
	}
	return nil
}

// refuseHistoryOfOne spares a history that was kept without a cluster: its tables would be replaced.
func refuseHistoryOfOne(ctx context.Context, conn driver.Conn, database string) error {
	var tables uint64
	err := conn.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = ? AND engine LIKE '%MergeTree'", database).Scan(&tables)
	if err != nil {
		return fmt.Errorf("look at database %s: %w", database, err)
	}
	if tables > 0 {
		return fmt.Errorf("database %[1]s has the history of a single server: docs/operations.md says how to make it that of a shard (RENAME DATABASE %[1]s TO %[1]s%[2]s)",
			database, shardSuffix)
	}
	return nil
}

// distributable is a table or view of a shard.
type distributable struct {
	name       string
	parameters map[string]string // of a view that takes some: their types
}

func distributables(ctx context.Context, conn driver.Conn, database string) ([]distributable, error) {
	found, err := conn.Query(ctx, `SELECT name, CAST(parameterized_view_parameters, 'Map(String, String)')
		FROM system.tables WHERE database = ? AND name != 'migrations' ORDER BY name`, database)
	if err != nil {
		return nil, fmt.Errorf("list the tables of %s: %w", database, err)
	}
	defer func() { _ = found.Close() }()
	var all []distributable
	for found.Next() {
		var d distributable
		if err := found.Scan(&d.name, &d.parameters); err != nil {
			return nil, fmt.Errorf("list the tables of %s: %w", database, err)
		}
		all = append(all, d)
	}
	return all, found.Err()
}

// create makes what stands for it in the database that is queried. No table can stand for a view that takes parameters.
func (d distributable) create(cluster, shards string) string {
	name, shard := quoteIdentifier(d.name), quoteIdentifier(shards)+"."+quoteIdentifier(d.name)
	if len(d.parameters) == 0 {
		return fmt.Sprintf("CREATE OR REPLACE TABLE %s AS %s ENGINE = Distributed(%s, %s, %s)",
			name, shard, quoteString(cluster), quoteString(shards), quoteString(d.name))
	}
	var values []string
	for _, parameter := range slices.Sorted(maps.Keys(d.parameters)) {
		values = append(values, fmt.Sprintf("%[1]s = {%[1]s:%[2]s}", parameter, d.parameters[parameter]))
	}
	return fmt.Sprintf("CREATE OR REPLACE VIEW %s DEFINER = CURRENT_USER SQL SECURITY DEFINER AS SELECT * FROM cluster(%s, view(SELECT * FROM %s(%s)))",
		name, quoteString(cluster), shard, strings.Join(values, ", "))
}

func quoteString(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
