package pgbouncer_test

import (
	"strings"
	"testing"

	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/postgres/postgrestest"
)

func TestConfiguringPutsTheFilesInTheirPlacesAndRefusesBrokenOnes(t *testing.T) {
	inv := inventory.Default()
	files, err := pgbouncer.Render(inv, inv.PgBouncer.Poolers[0], secrets, 20000)
	if err != nil {
		t.Fatal(err)
	}
	below := []inventory.File{{Path: "/root/provision.sh", Mode: 0o755, Body: pgbouncer.Provision}}
	for _, f := range files {
		f.Owner, f.Path = "", "/root/pgb1"+f.Path
		below = append(below, f)
	}
	h := postgrestest.Own(t, inv.PgBouncer.Poolers[0].Address, below)
	for range 2 {
		if out, err := h.Run("/root/provision.sh", "configure", "/root/pgb1"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if out, err := h.Run("stat", "--format=%U %a", "/etc/pgbouncer/userlist.txt", "/etc/sysctl.d/60-weir.conf"); err != nil || out != "postgres 640\nroot 644\n" {
		t.Errorf("%q, %v", out, err)
	}
	before, err := h.Run("md5sum", "/etc/pgbouncer/pgbouncer.ini", "/etc/pgbouncer/pg_hba.conf", "/etc/pgbouncer/userlist.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, mistake := range []struct{ sentence, file, line string }{
		{"a setting that does not exist", "pgbouncer.ini", "no_such_setting = 1"},
		{"a rule that is none", "pg_hba.conf", "host all all nowhere trust"},
	} {
		t.Run(mistake.sentence, func(t *testing.T) {
			file := "/root/pgb1/etc/pgbouncer/" + mistake.file
			if _, err := h.Run("sh", "-c", `cp "$1" /root/good && echo "$2" >>"$1"`, "append", file, mistake.line); err != nil {
				t.Fatal(err)
			}
			if out, err := h.Run("/root/provision.sh", "configure", "/root/pgb1"); err == nil || !strings.Contains(out, "nothing was changed") {
				t.Errorf("%v\n%s", err, out)
			}
			if after, err := h.Run("md5sum", "/etc/pgbouncer/pgbouncer.ini", "/etc/pgbouncer/pg_hba.conf", "/etc/pgbouncer/userlist.txt"); err != nil || after != before {
				t.Errorf("before\n%safter\n%s%v", before, after, err)
			}
			if _, err := h.Run("cp", "/root/good", file); err != nil {
				t.Fatal(err)
			}
		})
	}
}
