// Package golden compares rendered files with those that were reviewed, for tests.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/ops/inventory"
)

// Update is set where fixtures are to be written.
var Update = flag.Bool("update", false, "write the golden files anew; look at the difference before you commit it")

// Files compares with testdata/golden/DIR, which has nothing else: etc_haproxy_haproxy.cfg.golden is
// /etc/haproxy/haproxy.cfg.
func Files(t testing.TB, dir string, files []inventory.File) {
	t.Helper()
	dir = filepath.Join("testdata", "golden", dir)
	for _, f := range files {
		path := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(f.Path, "/"), "/", "_")+".golden")
		if *Update {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, f.Body, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v (go test -update writes it)", err)
		}
		if string(want) != string(f.Body) {
			t.Errorf("%s is not as in %s (go test -update writes it); it is now\n%s", f.Path, path, f.Body)
		}
	}
	if golden, _ := filepath.Glob(filepath.Join(dir, "*")); len(golden) != len(files) {
		t.Errorf("%s holds %d files, and %d were rendered", dir, len(golden), len(files))
	}
}
