package segment_test

import (
	"os"
	"testing"

	"github.com/meshnic/meshnic/internal/spawn"
)

func TestMain(m *testing.M) { os.Exit(spawn.InOwn(m.Run)) }
