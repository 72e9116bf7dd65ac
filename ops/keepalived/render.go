// Package keepalived is the room of what moves the VIP: its configuration, the scripts it runs, and
// what installs it. Made for keepalived 2.3. Its state is read where the scripts leave it, at the
// node endpoint of HAProxy.
package keepalived

import (
	"bytes"
	"embed"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"text/template"

	"weir/ops/inventory"
)

//go:embed *.tmpl
var sources embed.FS

var templates = template.Must(template.ParseFS(sources, "*.tmpl"))

// Interface is where the VIP goes in the lab, and the default in /etc/keepalived/interface.conf.
const Interface = "eth0"

// stateFile holds keepalived's last word, one of MASTER BACKUP FAULT STOP, for its check script.
const stateFile = "/run/weir-vrrp"

// ended takes away what a keepalived that was killed left.
const ended = "/etc/keepalived/weir-ended"

// statsUser is who may give orders on HAProxy's statistics page.
const statsUser = "weir"

// topPriority is the first node's; the next ones are one lower each.
const topPriority = 254

type page struct {
	Inv         *inventory.Inventory
	Node, Peer  inventory.Node
	Checksum    string // of keepalived.conf without it
	Priority    int
	Advert      string // seconds
	StateFile   string
	Ports       []int  // statistics ports of the node's HAProxy processes
	Shutdown    string // form that ends all sessions of every pooler
	Credentials string // Basic authentication
}

// Render makes every file of one node's keepalived. instances is how many HAProxy processes the
// node runs: the check asks each of them.
func Render(inv *inventory.Inventory, node inventory.Node, s inventory.Secrets, instances int) ([]inventory.File, error) {
	p := page{
		Inv: inv, Node: node, Peer: inv.HAProxy.Peer(node.Name),
		Advert:    strconv.FormatFloat(inv.VIP.AdvertInterval.Seconds(), 'f', -1, 64),
		StateFile: stateFile, Shutdown: shutdownForm(inv),
		Credentials: base64.StdEncoding.EncodeToString([]byte(statsUser + ":" + s.HAProxyStats)),
	}
	for i, n := range inv.HAProxy.Nodes {
		if n.Name == node.Name {
			p.Priority = topPriority - i
		}
	}
	if p.Priority == 0 {
		return nil, fmt.Errorf("render keepalived of %s: not one of the HAProxy nodes %s",
			node.Name, strings.Join(inv.HAProxy.NodeNames(), ", "))
	}
	for i := range instances {
		p.Ports = append(p.Ports, inv.HAProxy.StatsPort+i)
	}
	// The check script gets it as an argument of the configuration: it names the one that is loaded, not the one on disk.
	var bare bytes.Buffer
	if err := templates.ExecuteTemplate(&bare, "keepalived.conf.tmpl", p); err != nil {
		return nil, fmt.Errorf("render keepalived of %s: %w", node.Name, err)
	}
	p.Checksum = inventory.Checksum(bare.Bytes())
	files := []struct {
		template string
		inventory.File
	}{
		{"keepalived.conf.tmpl", inventory.File{Path: "/etc/keepalived/keepalived.conf", Mode: 0o644}},
		{"weir-check.tmpl", inventory.File{Path: "/etc/keepalived/weir-check", Mode: 0o755}},
		{"weir-notify.tmpl", inventory.File{Path: "/etc/keepalived/weir-notify", Mode: 0o700}}, // a password stands in it
		{"weir-ended.tmpl", inventory.File{Path: ended, Mode: 0o755}},
		{"service.conf.tmpl", inventory.File{Path: "/etc/systemd/system/keepalived.service.d/weir.conf", Mode: 0o644}},
	}
	out := []inventory.File{{Path: "/etc/keepalived/interface.conf", Mode: 0o644, Body: []byte("$INTERFACE=" + Interface + "\n")}}
	for _, f := range files {
		var b bytes.Buffer
		if err := templates.ExecuteTemplate(&b, f.template, p); err != nil {
			return nil, fmt.Errorf("render %s of %s: %w", f.Path, node.Name, err)
		}
		f.Body = b.Bytes()
		out = append(out, f.File)
	}
	return out, nil
}

// shutdownForm is what the statistics page's own form posts to end all sessions of every pooler.
func shutdownForm(inv *inventory.Inventory) string {
	var b strings.Builder
	for _, name := range inv.PgBouncer.PoolerNames() {
		b.WriteString("s=" + name + "&")
	}
	return b.String() + "action=shutdown&b=pgbouncer"
}

// Processes is keepalived of a node, as the lab's supervisor starts it.
func Processes(*inventory.Inventory) []inventory.Process {
	pids := []string{"/run/keepalived.pid", "/run/keepalived-vrrp.pid", "/run/keepalived-checkers.pid"}
	return []inventory.Process{{
		Name: "keepalived",
		Argv: []string{"/usr/sbin/keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp",
			"--use-file", "/etc/keepalived/keepalived.conf", "--pid", pids[0], "--vrrp_pid", pids[1], "--checkers_pid", pids[2]},
		// After a SIGKILL they are left, and name whoever has the number now: keepalived would not start.
		Prepare: append([]string{"/bin/rm", "-f"}, pids...),
		Cleanup: []string{ended},
		Stop:    int(syscall.SIGTERM),
		Reload:  int(syscall.SIGHUP),
	}}
}
