//go:build prove

package history

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"telltale/aggregate/engine/enginetest"
)

// TestProveTiersOutliveKills ends hubs and engines at random moments, while samples come in time, late, early and too
// many for the queue, and holds every window to raw.
func TestProveTiersOutliveKills(t *testing.T) {
	s, clock := newTestStore(t), newTestClock()
	rng := rand.New(rand.NewPCG(11, 11))
	for run := range 100 {
		cfg := tierConfig(clock)
		if rng.IntN(3) == 0 {
			cfg.MaxTierRows = 10 + rng.IntN(200)
		}
		h := s.startHub(cfg)
		agents := make([]*tierAgent, 1+rng.IntN(3))
		for i := range agents {
			a := h.newTierAgent(fmt.Sprint("web-", i))
			a.seq = h.admit(a.name)["e1"]
			h.acked[a.name+"/e1"] = a.seq
			agents[i] = a
		}
		for range rng.IntN(200) {
			clock.advance(time.Duration(rng.IntN(2500)) * time.Millisecond)
			a := agents[rng.IntN(len(agents))]
			switch at := clock.ms.Load(); rng.IntN(12) {
			case 0:
				a.take(at - rng.Int64N(7_200_000))
			case 1:
				a.take(at + rng.Int64N(60_000))
			case 2:
				a.wait()
			default:
				a.take(at - rng.Int64N(3_000))
			}
			if pid := enginetest.Engine(t).PID(); rng.IntN(1500) == 0 && pid != 0 {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
		}
		if run%10 == 9 {
			clock.advance(90 * time.Second)
			h.assertTiers(clock)
		} else if rng.IntN(2) == 0 {
			time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
		}
		h.crash()
		t.Logf("run %d is over", run)
		if t.Failed() {
			t.Fatalf("after run %d", run)
		}
	}
}
