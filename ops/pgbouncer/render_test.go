package pgbouncer

import (
	"bytes"
	"strings"
	"testing"

	"weir/ops/inventory"
	"weir/ops/inventory/golden"
	"weir/ops/postgres/postgrestest"
)

var secrets = postgrestest.Secrets

func TestTheFilesOfAPoolerAreAsReviewed(t *testing.T) {
	inv := inventory.Default()
	files, err := Render(inv, inv.PgBouncer.Poolers[1], secrets, 20000)
	if err != nil {
		t.Fatal(err)
	}
	golden.Files(t, "", files)
}

func TestPasswordsAreTheSameOnEveryPooler(t *testing.T) {
	inv := inventory.Default()
	var first []byte
	for _, n := range inv.PgBouncer.Poolers {
		body := rendered(t, inv, n, 20000, "/etc/pgbouncer/userlist.txt")
		if first == nil {
			first = body
		}
		if !bytes.Equal(body, first) {
			t.Errorf("%s differs:\n%s\n%s", n.Name, first, body)
		}
	}
	if bytes.Contains(first, []byte(secrets.Admin)) || bytes.Contains(first, []byte(secrets.Monitor)) {
		t.Error("a password that only the console needs stands there in plain text")
	}
}

func TestNoMoreClientsAreLetInThanTheFileLimitAllows(t *testing.T) {
	inv := inventory.Default() // 4,000 clients, 75 servers, 100 others
	for _, row := range []struct {
		sentence string
		files    int
		line     string
		warned   bool
	}{
		{"an unknown limit changes nothing", 0, "max_client_conn           = 4000", false},
		{"a high limit changes nothing", 20000, "max_client_conn           = 4000", false},
		{"everything just fits", 4175, "max_client_conn           = 4000", false},
		{"one descriptor too few", 4174, "max_client_conn           = 3999", true},
		{"the limit a login shell leaves", 1024, "max_client_conn           = 849", true},
	} {
		t.Run(row.sentence, func(t *testing.T) {
			ini := rendered(t, inv, inv.PgBouncer.Poolers[0], row.files, "/etc/pgbouncer/pgbouncer.ini")
			if !strings.Contains(string(ini), row.line+"\n") {
				t.Errorf("no %q in\n%s", row.line, ini)
			}
			if w := Warning(inv, row.files); (w != "") != row.warned {
				t.Errorf("warning: %q", w)
			}
		})
	}
	if _, err := Render(inv, inv.PgBouncer.Poolers[0], secrets, 100); err == nil {
		t.Error("100 files were enough for a pooler")
	}
}

func TestOnePoolerAloneHasNoPeers(t *testing.T) {
	inv := inventory.Default()
	inv.PgBouncer.Poolers = inv.PgBouncer.Poolers[:1]
	ini := rendered(t, inv, inv.PgBouncer.Poolers[0], 0, "/etc/pgbouncer/pgbouncer.ini")
	if strings.Contains(string(ini), "[peers]") || !strings.Contains(string(ini), "peer_id                   = 0\n") {
		t.Errorf("%s", ini)
	}
}

func TestAMachineThatIsNoPoolerIsNotRendered(t *testing.T) {
	inv := inventory.Default()
	if _, err := Render(inv, inv.HAProxy.Nodes[0], secrets, 0); err == nil {
		t.Error("it was")
	}
}

func rendered(t *testing.T, inv *inventory.Inventory, pooler inventory.Node, files int, path string) []byte {
	t.Helper()
	all, err := Render(inv, pooler, secrets, files)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.Path == path {
			return f.Body
		}
	}
	t.Fatalf("%s is not rendered", path)
	return nil
}
