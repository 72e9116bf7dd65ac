package haproxy

import (
	"strings"
	"testing"

	"weir/ops/inventory"
)

func TestANodeRunsAsManyProcessesAsTheFileLimitAsksFor(t *testing.T) {
	inv := inventory.Default() // 12,000 clients
	for _, c := range []struct {
		files, instances int
		warning          string // a part of it
	}{
		{1 << 20, 1, ""},
		{26000, 1, ""},
		{20000, 2, "12000 clients of the inventory fit"},
		{8192, 4, "every node runs 4"},
		{1024, 8, "of the 12000 clients of the inventory fit: raise the limit"},
	} {
		if n := Instances(inv, c.files); n != c.instances {
			t.Errorf("%d files: %d processes, want %d", c.files, n, c.instances)
		}
		w := Warning(inv, c.files)
		if (w == "") != (c.warning == "") || !strings.Contains(w, c.warning) {
			t.Errorf("%d files: warning %q, want %q in it", c.files, w, c.warning)
		}
		per, total := Capacity(inv, c.files)
		if need := 2*(per+statsConns) + reserve(inv); need > c.files {
			t.Errorf("%d files: %d clients in a process need %d", c.files, per, need)
		}
		if c.instances < MaxInstances && total < inv.Budget().Clients {
			t.Errorf("%d files: %d processes hold %d clients of %d", c.files, c.instances, total, inv.Budget().Clients)
		}
	}
}

func TestTooFewFilesAreAnError(t *testing.T) {
	inv := inventory.Default()
	if files, err := Render(inv, inv.HAProxy.Nodes[0], testSecrets, 256); err == nil || files != nil {
		t.Errorf("rendered %d files, error %v", len(files), err)
	}
}
