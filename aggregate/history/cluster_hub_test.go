package history

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"telltale/aggregate"
	"telltale/aggregate/engine/enginetest"
)

// clusterHub is one run of a hub that stores to a cluster.
type clusterHub struct {
	*hub
	shards *Shards
	clock  *testClock
}

func (c *testCluster) startHub(clock *testClock) *clusterHub {
	c.t.Helper()
	h := &clusterHub{clock: clock, hub: &hub{testStore: c.testStore, done: make(chan error, 1), acked: map[string]uint64{}}}
	c.registry = aggregate.NewRegistry(aggregate.DefaultLimits())
	cfg := tierConfig(clock)
	cfg.QuarantineDir, cfg.MinFreeBytes = c.quarantine, 1
	var err error
	h.shards, err = NewShards(c.options, Storing{
		Cluster: enginetest.ClusterName, Definitions: c.registry, OnStored: h.stored, Config: cfg,
	}, prometheus.NewRegistry(), slog.New(slog.NewTextHandler(testLog{c.t}, nil)))
	if err != nil {
		c.t.Fatal(err)
	}
	var ctx context.Context
	ctx, h.kill = context.WithCancel(context.Background())
	go func() { h.done <- h.shards.Run(ctx) }()
	c.t.Cleanup(h.crash)
	return h
}

// clusterAgent sends one sample a second.
type clusterAgent struct {
	h    *clusterHub
	name string
	seq  uint64
}

// agents admits agents, who begin after what is stored of them.
func (h *clusterHub) agents(names ...string) []*clusterAgent {
	h.t.Helper()
	var agents []*clusterAgent
	for _, name := range names {
		var progress map[string]uint64
		waitFor(h.t, "the admission of "+name, func() bool {
			var err error
			progress, err = h.shards.Admit(h.t.Context(), name, map[string]string{"of": name}, nil)
			return err == nil
		})
		agents = append(agents, &clusterAgent{h: h, name: name, seq: progress["e1"]})
	}
	return agents
}

func (a *clusterAgent) send() {
	a.h.t.Helper()
	a.seq++
	b := a.h.batch(a.name, "e1", a.seq)
	b.TS[0] = a.h.clock.ms.Load()
	if err := a.h.shards.Take(b); err != nil {
		a.h.t.Fatal(err)
	}
}

func (a *clusterAgent) stored() bool { return a.h.ackedSeq(a.name, "e1") == a.seq }

// run lets agents send for so many seconds, and waits until it is stored.
func (h *clusterHub) run(agents []*clusterAgent, seconds int) {
	h.t.Helper()
	for range seconds {
		h.clock.advance(time.Second)
		for _, a := range agents {
			a.send()
		}
	}
	waitFor(h.t, "the acknowledgements", func() bool { return !slices.ContainsFunc(agents, func(a *clusterAgent) bool { return !a.stored() }) })
}

func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(prefix, "-", i)
	}
	return all
}
