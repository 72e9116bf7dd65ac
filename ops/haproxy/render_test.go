package haproxy

import (
	"testing"

	"weir/ops/inventory"
	"weir/ops/inventory/golden"
)

var testSecrets = inventory.Secrets{HAProxyStats: "a-password-for-tests", Check: "a-password-of-the-check"}

// TestEveryFileOfANodeIsAsReviewed compares with testdata/golden: 20,000 files make two processes.
func TestEveryFileOfANodeIsAsReviewed(t *testing.T) {
	inv := inventory.Default()
	for _, c := range []struct {
		dir   string
		files int
	}{{"two-processes", 20000}, {"one-process", inv.HAProxy.MaxFiles}} {
		files, err := Render(inv, inv.HAProxy.Nodes[0], testSecrets, c.files)
		if err != nil {
			t.Fatal(err)
		}
		golden.Files(t, c.dir, files)
	}
}
