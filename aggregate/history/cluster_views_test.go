package history

import (
	"testing"

	"telltale/aggregate/engine/enginetest"
)

// A view that takes parameters, and reads another such, is asked of every shard.
func TestAViewWithParametersOnACluster(t *testing.T) {
	c := newTestCluster(t)
	for _, shard := range c.shards {
		for _, statement := range []string{
			`CREATE OR REPLACE VIEW inner AS SELECT agent, value FROM samples WHERE agent LIKE {pattern:String}`,
			`CREATE OR REPLACE VIEW of_agents AS SELECT * FROM inner(pattern = {pattern:String}) WHERE value >= {least:Float64}`,
		} {
			if err := shard.conn.Exec(t.Context(), qualified(statement, shard.options.Auth.Database, []string{"inner"})); err != nil {
				t.Fatal(err)
			}
		}
	}
	cluster, err := ReadCluster(t.Context(), c.options, enginetest.ClusterName)
	if err != nil {
		t.Fatal(err)
	}
	for i, server := range c.servers.Engines {
		if err := cluster.distribute(t.Context(), shardOptions(c.options, server.Addresses().TCP), c.options.Auth.Database); err != nil {
			t.Fatalf("server %d: %v", i, err)
		}
	}
	h := c.startHub(newTestClock())
	agents := h.agents(names("web", 8)...)
	h.run(agents, 3)
	if n := c.count("SELECT uniqExact(agent) * 100 + count() FROM of_agents(pattern = 'web-%', least = 2)"); n != 816 {
		t.Errorf("the view gives %d agents and rows, want 816", n)
	}
}
