// Package pgbouncer is the poolers' room: the configuration they run with, and the client of their
// admin console. Written for PgBouncer 1.24.
package pgbouncer

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"syscall"
	"text/template"

	"weir/ops/inventory"
)

var (
	//go:embed pgbouncer.ini.tmpl
	iniText string
	//go:embed pg_hba.conf.tmpl
	hbaText string
	//go:embed service.conf.tmpl
	serviceText string
	//go:embed sysctl.conf
	sysctl []byte
)

var (
	iniTemplate     = parse("pgbouncer.ini", iniText)
	hbaTemplate     = parse("pg_hba.conf", hbaText)
	serviceTemplate = parse("weir.conf", serviceText)
)

func parse(name, text string) *template.Template {
	pad := func(s string) string { return fmt.Sprintf("%-19s", s) }
	return template.Must(template.New(name).Funcs(template.FuncMap{
		"inc":  func(i int) int { return i + 1 },
		"pad":  pad,
		"cidr": func(a inventory.Addr) string { return pad(a.String() + "/32") },
	}).Parse(text))
}

// otherFiles are the descriptors PgBouncer needs beside those of clients and servers: listeners,
// epoll, log, and the connections it accepts only to refuse them or to pass a cancel on.
const otherFiles = 100

// page is what the templates see.
type page struct {
	Inv        *inventory.Inventory
	Pooler     inventory.Node
	PeerID     int // 1 is the first; 0 turns peering off
	AuthPool   int
	MaxDB      int
	MaxClients int
	Files      int // open files its process may have
}

// Render writes the files of one pooler. files is how many open files its process may have; 0 is
// unknown. Fewer clients are let in when max_client_conn of the inventory does not fit in it.
func Render(inv *inventory.Inventory, pooler inventory.Node, s inventory.Secrets, files int) ([]inventory.File, error) {
	at := slices.Index(inv.PgBouncer.Poolers, pooler)
	if at < 0 {
		return nil, fmt.Errorf("render pgbouncer: %q is not a pooler of the inventory", pooler.Name)
	}
	clients := maxClients(inv, files)
	if clients < 1 {
		return nil, fmt.Errorf("render pgbouncer: no client fits in %d open files, of which %d are spoken for", files, ownFiles(inv))
	}
	if files <= 0 {
		files = clients + ownFiles(inv)
	}
	p := page{Inv: inv, Pooler: pooler, AuthPool: inventory.AuthPoolSize, Files: files, MaxClients: clients,
		MaxDB: inv.PgBouncer.PoolSize + inv.PgBouncer.ReservePoolSize}
	if len(inv.PgBouncer.Poolers) > 1 {
		p.PeerID = at + 1
	}
	ini, err := execute(iniTemplate, p)
	if err != nil {
		return nil, err
	}
	hba, err := execute(hbaTemplate, p)
	if err != nil {
		return nil, err
	}
	service, err := execute(serviceTemplate, p)
	if err != nil {
		return nil, err
	}
	users, err := userlist(s)
	if err != nil {
		return nil, fmt.Errorf("render userlist.txt: %w", err)
	}
	return []inventory.File{
		{Path: "/etc/pgbouncer/pgbouncer.ini", Mode: 0o640, Owner: "postgres", Body: ini},
		{Path: "/etc/pgbouncer/pg_hba.conf", Mode: 0o640, Owner: "postgres", Body: hba},
		{Path: "/etc/pgbouncer/userlist.txt", Mode: 0o640, Owner: "postgres", Body: users},
		{Path: "/etc/sysctl.d/60-weir.conf", Mode: 0o644, Body: sysctl},
		{Path: "/etc/systemd/system/pgbouncer.service.d/weir.conf", Mode: 0o644, Body: service},
	}, nil
}

func execute(t *template.Template, p page) ([]byte, error) {
	var body bytes.Buffer
	if err := t.Execute(&body, p); err != nil {
		return nil, fmt.Errorf("render %s: %w", t.Name(), err)
	}
	return body.Bytes(), nil
}

// userlist holds the users PgBouncer knows by itself. Those who only log in to the admin console
// are there by SCRAM verifier; weir_auth logs in to PostgreSQL, which takes the password itself. hc's
// stands there as it is: a verifier costs milliseconds of PgBouncer's one core with every check.
func userlist(s inventory.Secrets) ([]byte, error) {
	var body bytes.Buffer
	body.WriteString("; Rendered by Weir. Everybody else is looked up in PostgreSQL (auth_query).\n")
	fmt.Fprintf(&body, "%q %q\n", "hc", s.Check)
	for _, u := range []struct{ name, password string }{{"weir_admin", s.Admin}, {"weir_monitor", s.Monitor}} {
		verifier, err := inventory.ScramVerifier(u.name, u.password)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&body, "%q %q\n", u.name, verifier)
	}
	fmt.Fprintf(&body, "%q %q\n", "weir_auth", s.Auth)
	return body.Bytes(), nil
}

// Processes lists what runs on a pooler.
func Processes(inv *inventory.Inventory) []inventory.Process {
	return []inventory.Process{{
		Name:    "pgbouncer",
		Argv:    []string{"/usr/sbin/pgbouncer", "/etc/pgbouncer/pgbouncer.ini"},
		User:    "postgres",
		Prepare: []string{"/usr/bin/install", "-d", "-o", "postgres", "-g", "postgres", "/run/pgbouncer"},
		Ready:   inv.PgBouncer.Port,
		// SIGTERM waits for the clients to go (since 1.23), SIGINT for their transactions to end,
		// both without limit. Who stops a pooler has drained it before, or wants it gone.
		Stop:   int(syscall.SIGQUIT),
		Reload: int(syscall.SIGHUP),
	}}
}

// Warning says in one sentence when the file limit lets in fewer clients than the inventory
// promises, and is empty otherwise.
func Warning(inv *inventory.Inventory, files int) string {
	fit, want := maxClients(inv, files), inv.PgBouncer.MaxClientConn
	if fit >= want {
		return ""
	}
	return fmt.Sprintf("each pooler lets in %d clients instead of %d: a process may have %d open files here, and %d are needed",
		max(fit, 0), want, files, want+ownFiles(inv))
}

// ownFiles counts the descriptors that are not clients'.
func ownFiles(inv *inventory.Inventory) int { return inv.Budget().ServersEach + otherFiles }

func maxClients(inv *inventory.Inventory, files int) int {
	if files <= 0 {
		return inv.PgBouncer.MaxClientConn
	}
	return min(inv.PgBouncer.MaxClientConn, files-ownFiles(inv))
}
