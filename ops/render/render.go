// Package render writes every host's files from the inventory. The lab, the images and the machines
// with systemd all get theirs from here.
package render

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"weir/ops/haproxy"
	"weir/ops/inventory"
	"weir/ops/keepalived"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
)

// Host is one machine with all that Weir puts on it.
type Host struct {
	inventory.Node
	Files     []inventory.File
	Processes []inventory.Process
}

// Place is where the files will be used, as far as that shows in them.
type Place struct {
	Files   int               // open files a process may have there; 0 takes the inventory's
	Monitor map[string]string // settings of the monitor beside its own: where Slack is, for one
	Console map[string]string // settings of the server beside its own: where people find it, for one
}

// Hosts renders the cluster.
func Hosts(inv *inventory.Inventory, s inventory.Secrets, place Place) ([]Host, error) {
	files := cmp.Or(place.Files, inv.HAProxy.MaxFiles)
	var hosts []Host
	for _, n := range inv.HAProxy.Nodes {
		h, err := edge(inv, n, s, files)
		if err != nil {
			return nil, fmt.Errorf("render %s: %w", n.Name, err)
		}
		hosts = append(hosts, h)
	}
	for _, n := range inv.PgBouncer.Poolers {
		body, err := pgbouncer.Render(inv, n, s, files)
		if err != nil {
			return nil, fmt.Errorf("render %s: %w", n.Name, err)
		}
		hosts = append(hosts, Host{Node: n, Files: body, Processes: pgbouncer.Processes(inv)})
	}
	body, err := postgres.Render(inv, s)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", inv.Postgres.Name, err)
	}
	return append(hosts,
		Host{Node: inventory.Node{Name: inv.Postgres.Name, Address: inv.Postgres.Address}, Files: body, Processes: postgres.Processes(inv)},
		monitor(inv, s, files, place.Monitor),
		console(inv, s, files, place.Console),
	), nil
}

// edge is one HAProxy node: HAProxy and the keepalived that watches it.
func edge(inv *inventory.Inventory, n inventory.Node, s inventory.Secrets, files int) (Host, error) {
	h := Host{Node: n, Processes: haproxy.Processes(inv, files)}
	proxy, err := haproxy.Render(inv, n, s, files)
	if err != nil {
		return h, err
	}
	vrrp, err := keepalived.Render(inv, n, s, haproxy.Instances(inv, files))
	if err != nil {
		return h, err
	}
	h.Files = append(proxy, vrrp...)
	h.Processes = append(h.Processes, keepalived.Processes(inv)...)
	return h, nil
}

// Warnings says, in sentences, where the machine's limits let in less than the inventory promises.
func Warnings(inv *inventory.Inventory, files int) []string {
	var out []string
	for _, w := range []string{haproxy.Warning(inv, files), pgbouncer.Warning(inv, files)} {
		if w != "" {
			out = append(out, w)
		}
	}
	return out
}

// Write puts every host's files below dir/HOST, with the modes they will have; owners are set by
// provision.sh on the machine itself.
func Write(dir string, hosts []Host) error {
	for _, h := range hosts {
		for _, f := range h.Files {
			path := filepath.Join(dir, h.Name, f.Path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			// An older file would keep its mode, and show for a moment what the new one hides.
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if err := os.WriteFile(path, f.Body, f.Mode); err != nil {
				return err
			}
			if err := os.Chmod(path, f.Mode); err != nil { // whatever the umask
				return err
			}
		}
	}
	return nil
}
