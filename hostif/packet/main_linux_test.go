package packet_test

import (
	"os"
	"testing"

	"github.com/meshnic/meshnic/internal/spawn"
)

func TestMain(m *testing.M) {
	if os.Getenv(insideVar) != "" { // a test wants to be an ordinary user
		os.Exit(m.Run())
	}
	os.Exit(spawn.InOwn(m.Run))
}
