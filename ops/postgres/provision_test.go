package postgres_test

import (
	"strings"
	"testing"

	"weir/ops/inventory"
	"weir/ops/postgres"
	"weir/ops/postgres/postgrestest"
)

func TestConfiguringPutsTheFilesInTheirPlacesAndRefusesBrokenOnes(t *testing.T) {
	files, err := postgres.Render(inv, secrets)
	if err != nil {
		t.Fatal(err)
	}
	below := []inventory.File{{Path: "/root/provision.sh", Mode: 0o755, Body: postgres.Provision}}
	for _, f := range files {
		f.Owner, f.Path = "", "/root/postgres"+f.Path
		below = append(below, f)
	}
	h := postgrestest.Own(t, inv.Postgres.Address, below)
	for range 2 {
		if out, err := h.Run("/root/provision.sh", "configure", "/root/postgres"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if out, err := h.Run("stat", "--format=%U %a", "/etc/weir/bootstrap.sql", "/etc/weir/postgres-prepare.sh"); err != nil || out != "postgres 600\nroot 755\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := h.Run("sh", "-c", "echo max_connections = many >>/root/postgres/etc/weir/postgresql.conf"); err != nil {
		t.Fatal(err)
	}
	if out, err := h.Run("/root/provision.sh", "configure", "/root/postgres"); err == nil || !strings.Contains(out, "nothing was changed") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := h.Run("grep", "-c", "many", "/etc/weir/postgresql.conf"); err == nil {
		t.Errorf("the broken file is in place: %s", out)
	}
	// What was put in place starts.
	if err := h.Launch(deadline(t), postgres.Processes(inv)[0]); err != nil {
		t.Error(err)
	}
}
