// Package postgres is PostgreSQL's room: the configuration it runs with, its first start, and the
// probes that read how it is. Written for PostgreSQL 17.
package postgres

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"syscall"
	"text/template"

	"weir/ops/inventory"
)

// DataDirectory holds the database cluster on the host.
const DataDirectory = "/var/lib/postgresql/17/weir"

// binDir is where Debian installs the server's programs; they are not in PATH.
const binDir = "/usr/lib/postgresql/17/bin"

//go:embed *.tmpl
var templateFiles embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"pad":  pad,
	"cidr": func(a inventory.Addr) string { return pad(a.String() + "/32") },
}).ParseFS(templateFiles, "*.tmpl"))

func pad(s string) string { return fmt.Sprintf("%-19s", s) }

// page is what the templates see. The passwords are SCRAM verifiers.
type page struct {
	Inv                  *inventory.Inventory
	Budget               inventory.Budget
	Watchers             []inventory.Addr // the monitor's and the console's machine
	Data, Bin            string
	SuperusersThroughVIP bool

	Postgres, Console, Monitor, Auth string
}

// Render writes the files of the database's host. No password is in them, only SCRAM verifiers.
func Render(inv *inventory.Inventory, s inventory.Secrets) ([]inventory.File, error) {
	p := page{Inv: inv, Budget: inv.Budget(), Data: DataDirectory, Bin: binDir,
		Watchers:             []inventory.Addr{inv.Monitor.Address, inv.Console.Address},
		SuperusersThroughVIP: inv.Postgres.SuperusersThroughVIP}
	for _, r := range []struct {
		role, password string
		verifier       *string
	}{
		{"postgres", s.Postgres, &p.Postgres}, {"weir", s.Console, &p.Console},
		{"weir_monitor", s.Monitor, &p.Monitor}, {"weir_auth", s.Auth, &p.Auth},
	} {
		v, err := inventory.ScramVerifier(r.role, r.password)
		if err != nil {
			return nil, fmt.Errorf("render postgres: %w", err)
		}
		*r.verifier = v
	}
	files := []inventory.File{
		{Path: "/etc/weir/postgres.scram", Mode: 0o600, Owner: "postgres", Body: []byte(p.Postgres + "\n")},
	}
	for _, f := range []struct {
		path, owner string
		mode        fs.FileMode
	}{
		{"/etc/weir/postgresql.conf", "postgres", 0o640},
		{"/etc/weir/pg_hba.conf", "postgres", 0o640},
		{"/etc/weir/bootstrap.sql", "postgres", 0o600},
		{"/etc/weir/postgres-prepare.sh", "", 0o755},
		{"/etc/weir/postgres-after.sh", "", 0o755},
		{"/etc/systemd/system/weir-postgres.service", "", 0o644},
	} {
		var body bytes.Buffer
		if err := templates.ExecuteTemplate(&body, path.Base(f.path)+".tmpl", p); err != nil {
			return nil, fmt.Errorf("render %s: %w", f.path, err)
		}
		files = append(files, inventory.File{Path: f.path, Mode: f.mode, Owner: f.owner, Body: body.Bytes()})
	}
	return files, nil
}

// Processes lists what runs on the database's host.
func Processes(inv *inventory.Inventory) []inventory.Process {
	return []inventory.Process{{
		Name:    "postgres",
		Argv:    []string{binDir + "/postgres", "-D", DataDirectory, "-c", "config_file=/etc/weir/postgresql.conf"},
		User:    "postgres",
		Prepare: []string{"/etc/weir/postgres-prepare.sh"},
		After:   []string{"/etc/weir/postgres-after.sh"},
		Ready:   inv.Postgres.Port,
		// Fast shutdown: SIGTERM would wait for every pooled connection to leave, which none does.
		Stop:   int(syscall.SIGINT),
		Reload: int(syscall.SIGHUP),
	}}
}
