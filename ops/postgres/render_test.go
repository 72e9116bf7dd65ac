package postgres

import (
	"bytes"
	"strings"
	"testing"

	"weir/ops/inventory"
	"weir/ops/inventory/golden"
	"weir/ops/postgres/postgrestest"
)

var secrets = postgrestest.Secrets

func TestTheFilesOfTheDatabaseAreAsReviewed(t *testing.T) {
	golden.Files(t, "", rendered(t, inventory.Default()))
}

func TestNoPasswordIsWrittenToTheDatabasesHost(t *testing.T) {
	for _, f := range rendered(t, inventory.Default()) {
		for _, password := range []string{secrets.Postgres, secrets.Auth, secrets.Admin, secrets.Monitor, secrets.Console, secrets.HAProxyStats} {
			if bytes.Contains(f.Body, []byte(password)) {
				t.Errorf("%s holds %s", f.Path, password)
			}
		}
		if bytes.Contains(f.Body, []byte("SCRAM-SHA-256$")) && (f.Mode != 0o600 || f.Owner != "postgres") {
			t.Errorf("%s holds verifiers and has mode %o, owner %q", f.Path, f.Mode, f.Owner)
		}
	}
}

func TestSuperusersComeThroughThePoolersOnlyWhereTheInventorySaysSo(t *testing.T) {
	inv := inventory.Default()
	for _, allowed := range []bool{true, false} {
		inv.Postgres.SuperusersThroughVIP = allowed
		files := map[string]string{}
		for _, f := range rendered(t, inv) {
			files[f.Path] = string(f.Body)
		}
		if refuses := strings.Contains(files["/etc/weir/bootstrap.sql"], "NOT a.rolsuper"); refuses == allowed {
			t.Errorf("superusers_through_vip %v: the look-up refuses superusers: %v", allowed, refuses)
		}
		rule := "host     all        postgres            192.168.1.21/32     reject"
		if refuses := strings.Contains(files["/etc/weir/pg_hba.conf"], rule); refuses == allowed {
			t.Errorf("superusers_through_vip %v: pg_hba.conf refuses postgres: %v", allowed, refuses)
		}
	}
}

func rendered(t *testing.T, inv *inventory.Inventory) []inventory.File {
	t.Helper()
	files, err := Render(inv, secrets)
	if err != nil {
		t.Fatal(err)
	}
	return files
}
