package enginetest

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"telltale/aggregate/engine"
)

// ClusterName is what the servers of a Cluster call both of them together.
const ClusterName = "of_two"

// Cluster is two engines of a test's own that know each other as the shards of a cluster. User and password
// are the same on both.
type Cluster struct {
	servers [2]Own
	dirs    [2]string
	Engines [2]*engine.Engine
}

// ClusterPassword is that of engine.WriterUser on both of them.
const ClusterPassword = "of the cluster"

// StartCluster starts two engines, with further files of configuration as Own has them. They end with the test.
func StartCluster(t testing.TB, config map[string]string) *Cluster {
	t.Helper()
	c := &Cluster{}
	var shards strings.Builder
	for i := range c.servers {
		c.servers[i] = Own{TCPPort: FreePort(t), Password: ClusterPassword, Config: maps.Clone(config)}
		fmt.Fprintf(&shards, "<shard><replica><host>127.0.0.1</host><port>%d</port><user>%s</user><password>%s</password></replica></shard>",
			c.servers[i].TCPPort, engine.WriterUser, ClusterPassword)
	}
	for i := range c.servers {
		if c.servers[i].Config == nil {
			c.servers[i].Config = map[string]string{}
		}
		c.servers[i].Config["config.d/cluster.xml"] = fmt.Sprintf(
			"<clickhouse><remote_servers><%[1]s>%[2]s</%[1]s></remote_servers></clickhouse>", ClusterName, &shards)
		c.dirs[i] = t.TempDir()
		c.Start(t, i)
	}
	return c
}

// Start starts one of the engines again after it was closed.
func (c *Cluster) Start(t testing.TB, i int) {
	t.Helper()
	c.Engines[i] = c.servers[i].Start(t, c.dirs[i])
}
