//go:build prove

package main

import (
	"flag"
	"testing"
	"time"
)

// How long the proofs are; go test passes what follows -args on.
var (
	proveKills = flag.Int("kills", 200, "kills of the chaos")
	proveSeed  = flag.Uint64("seed", 0, "seed of the chaos; 0: another each time")
	proveAway  = flag.Duration("away", 5*time.Minute, "how long ClickHouse is away")

	proveRunaway = flag.Duration("runaway", 2*time.Minute, "how long agents are measured without analysts, and with them")
)

func TestProveChaos(t *testing.T) {
	seed := *proveSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	runChaos(t, chaosPlan{seed: seed, kills: *proveKills, agents: 20})
}

func TestProveRunawayQuery(t *testing.T) {
	runRunaway(t, runawayPlan{agents: 500, series: 100, warm: 90 * time.Second, each: *proveRunaway})
}

func TestProveSQLStream(t *testing.T) { runSQLStream(t, 1000) }

func TestProveOutage(t *testing.T) {
	runOutage(t, outagePlan{agents: 200, lasting: *proveAway, maxUnstored: 512 << 20})
}
