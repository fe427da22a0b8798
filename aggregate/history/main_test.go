package history

import (
	"testing"

	"go.uber.org/goleak"

	"telltale/aggregate/engine/enginetest"
)

func TestMain(m *testing.M) {
	enginetest.Main(m, func() error { return goleak.Find() })
}
