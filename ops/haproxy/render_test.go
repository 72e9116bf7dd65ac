package haproxy

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/ops/inventory"
)

var update = flag.Bool("update", false, "write the golden files")

var testSecrets = inventory.Secrets{HAProxyStats: "a-password-for-tests"}

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
		seen := 0
		for _, f := range files {
			path := filepath.Join("testdata/golden", c.dir, strings.ReplaceAll(strings.TrimPrefix(f.Path, "/"), "/", "_")+".golden")
			if *update {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, f.Body, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(want) != string(f.Body) {
				t.Errorf("%s is not as in %s (go test -update writes it); it is now\n%s", f.Path, path, f.Body)
			}
			seen++
		}
		if golden, _ := filepath.Glob(filepath.Join("testdata/golden", c.dir, "*")); len(golden) != seen {
			t.Errorf("%s holds %d files, and %d were rendered", c.dir, len(golden), seen)
		}
	}
}
