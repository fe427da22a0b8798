package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"telltale/aggregate/engine/enginetest"
)

// Twenty agents of a hub whose history is on two shards, one of which goes away: its agents are told that they are
// live-only, and hold what they send; the others are stored as before. When it is back, all is there once.
func TestAShardThatIsAwayHoldsItsOwnAgentsOnly(t *testing.T) {
	servers := enginetest.StartCluster(t, nil)
	in := newIntakeAt(t, servers.Engines[0].Addresses().DSN)
	in.cluster = enginetest.ClusterName
	in.begin()
	t.Cleanup(in.crash)
	hub := in.current().hub
	watching, stop := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	watch.Go(func() { hub.watchStorage(watching) })
	t.Cleanup(func() { stop(); watch.Wait() })
	eventually(t, "the history is ready", func() bool { return hub.writer.Ready() == nil })

	models := make([]*modelAgent, 20)
	for i := range models {
		models[i] = newModelAgent(in, fmt.Sprint("spread-", i), uint64(i))
		models[i].connect()
		for range 3 {
			models[i].tick()
		}
	}
	goOn := func(models []*modelAgent) {
		for _, a := range models {
			a.goOn()
		}
	}
	delivered := func(models []*modelAgent) bool {
		goOn(models)
		return !slices.ContainsFunc(models, func(a *modelAgent) bool { return !a.delivered() })
	}
	eventually(t, "what was made is acknowledged", func() bool { return delivered(models) })

	hub.listener, _ = net.Listen("tcp", "127.0.0.1:0") // has a name for the doctor
	t.Cleanup(func() { _ = hub.listener.Close() })
	hub.config.MaxViewers = 1
	examine := func() examined {
		f := hub.gather(t.Context(), &hourly{})
		f.Sent, f.received = time.Now(), time.Now()
		return judge(f)
	}
	var e examined
	eventually(t, "all is well", func() bool { e = examine(); return e.ok("hub", "versions", "clickhouse", "tiers", "disk", "parts") })
	if !e.has("clickhouse", "ok", "shard ", "") || !e.has("versions", "ok", "ClickHouse 26.7", "") || e.figure("agents", "known") != 20 {
		t.Errorf("a healthy cluster:\n%s", &e)
	}

	away := hub.writer.Each()[1]
	var here, gone []*modelAgent
	for _, a := range models {
		if hub.writer.Of(a.id) == away {
			gone = append(gone, a)
		} else {
			here = append(here, a)
		}
	}
	if len(here) < 4 || len(gone) < 4 {
		t.Fatalf("the shards have %d and %d agents", len(here), len(gone))
	}
	servers.Engines[1].Close(t.Context())
	eventually(t, "the agents of the shard that is away are live-only", func() bool {
		for _, a := range models {
			a.tick()
		}
		goOn(models)
		time.Sleep(100 * time.Millisecond)
		return !slices.ContainsFunc(gone, func(a *modelAgent) bool { return !a.liveOnly })
	})
	e = examine()
	if !e.has("storing", "warn", "shard 2 (127.0.0.1:", "agents of that shard") || !e.has("clickhouse", "fail", "shard 2 (127.0.0.1:", "can be reached") ||
		!e.has("clickhouse", "ok", "shard 1 (127.0.0.1:", "") {
		t.Errorf("with one shard of two:\n%s", &e)
	}
	eventually(t, "the others go on", func() bool { return delivered(here) })
	for _, a := range models {
		if is := slices.Contains(gone, a); a.liveOnly != is {
			t.Errorf("agent %s of a shard that is away %v: live-only is %v", a.id, is, a.liveOnly)
		}
	}

	servers.Start(t, 1)
	for _, a := range models {
		if err := a.finish(); err != nil {
			t.Error(err)
		}
	}
	compare(t, in, models)
}
