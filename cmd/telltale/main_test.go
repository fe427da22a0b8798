package main

import (
	"fmt"
	"os"
	"testing"

	"telltale/aggregate/engine/enginetest"
)

// TestMain turns the process into an agent of the proofs of delivery when one of those started it for that.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sequenceAgentArg {
		if err := runSequenceAgent(os.Args[2:]); err != nil {
			panic(fmt.Sprintf("sequence agent: %v", err)) // the exit code of a test that did not run is zero
		}
		return
	}
	enginetest.Main(m, removePrograms)
}
