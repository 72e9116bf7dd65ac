// Package lab runs a whole cluster on one machine: every host of the inventory is a sealed Linux
// network namespace over one Debian root file system, with the real daemons at the production
// addresses. Nothing in it reaches the outside network, and nothing it does shows outside.
//
// One process, the switch, is the first process of a PID namespace and owns the bridge; every host
// is a child of it, first process of a PID namespace of its own. So a lab is one process tree that
// the kernel ends, mounts and networks included, when the switch ends, however it ends.
//
//	weir up ─ switch (bridge, forwards) ─┬─ host haproxy1 ─ haproxy, keepalived
//	                                     ├─ host pgb1 ─ pgbouncer
//	                                     └─ host postgres ─ postgres …
package lab

import (
	"os"
	"path/filepath"

	"weir/ops/inventory"
	"weir/ops/render"
)

// Lab is the place of one lab on disk. Several labs can run beside each other.
type Lab struct {
	Name string
	Home string // what all labs share: the root file system, the benchmarks
	Dir  string // what is this lab's own: secrets, disks, logs, sockets
}

// Open names a lab; nothing need exist yet. home is usually the project's .lab.
func Open(home, name string) (*Lab, error) {
	home, err := filepath.Abs(home)
	if err != nil {
		return nil, err
	}
	// The switch is found by this path in its command line: one spelling only.
	if real, err := filepath.EvalSymlinks(home); err == nil {
		home = real
	}
	return &Lab{Name: name, Home: home, Dir: filepath.Join(home, "labs", name)}, nil
}

// SecretsDir holds this lab's passwords, one file each.
func (l *Lab) SecretsDir() string { return filepath.Join(l.Dir, "secrets") }

// Secrets reads this lab's passwords, and makes them the first time.
func (l *Lab) Secrets() (inventory.Secrets, error) { return inventory.LoadSecrets(l.SecretsDir()) }

// LogPath is where a host's process writes, as seen from outside.
func (l *Lab) LogPath(host, process string) string {
	return filepath.Join(l.logDir(host), process+".log")
}

func (l *Lab) logDir(host string) string  { return filepath.Join(l.Dir, "log", host) }
func (l *Lab) diskDir(host string) string { return filepath.Join(l.Dir, "hosts", host) }
func (l *Lab) runDir() string             { return filepath.Join(l.Dir, "run") }
func (l *Lab) planPath() string           { return filepath.Join(l.Dir, "plan.json") }
func (l *Lab) switchLog() string          { return filepath.Join(l.Dir, "log", "switch.log") }

// Purge removes the lab's disks, logs and secrets. The lab must be down.
func (l *Lab) Purge() error { return os.RemoveAll(l.Dir) }

// plan is everything the switch needs to know; `up` writes it, mode 0600, for it holds passwords.
type plan struct {
	Network  string        // 192.168.1.0/24
	Gateway  string        // the switch's own address, from which it forwards
	Hosts    []render.Host // the cluster, and the client machine
	Forwards []Forward     // in the order of the listeners the switch inherits
	Rootfs   string
	Bin      string // programs built here, mounted read-only at render.Programs in every host
	Files    uint64 // open files a process may have
}

// ClientHost is the machine of the lab that applications, pgbench and psql run on.
const ClientHost = "client"

// Forward is one port of the outside loopback that leads to an address inside.
type Forward struct {
	Name     string // sql, stats, console
	Listen   string // 127.0.0.1:5432
	Target   string // 192.168.1.100:5432
	Variable string // names the variable that changes the port
}
