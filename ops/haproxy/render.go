// Package haproxy is the load balancer's room: its configuration, what installs it, and the client
// that reads and operates the processes of one node as one. Made for HAProxy 3.0.
package haproxy

import (
	"bytes"
	"embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"time"

	"weir/ops/inventory"
)

//go:embed *.tmpl
var sources embed.FS

var templates = template.Must(template.ParseFS(sources, "*.tmpl"))

// lostPooler ends the sessions of a pooler that is gone; the configuration loads it.
//
//go:embed lost-pooler.lua
var lostPooler []byte

// StatsUser is who reads the statistics page and gives orders on it.
const StatsUser = "weir"

const (
	threads = 2
	// fastInterval is between checks while a server's fate is open.
	fastInterval = 100 * time.Millisecond
	// hereInterval is between the node's looks at its own /poolers; the template says the same.
	hereInterval = 250 * time.Millisecond
	// connectTimeout is for one attempt to reach one pooler.
	connectTimeout = 2 * time.Second
	// lostAfter is how long a pooler is DOWN or in maint before its sessions are ended: no connection
	// to it can be in the making any more, which lost-pooler.lua tells why.
	lostAfter = connectTimeout + 500*time.Millisecond
)

// page is what the templates see: one process of one node.
type page struct {
	Inv           *inventory.Inventory
	Node, Peer    inventory.Node
	Secrets       inventory.Secrets
	StatsUser     string
	Files         int
	Path          string // of its file
	Checksum      string
	Number        int // of this process, from 1
	Instances     int
	First         bool
	Socket        string
	StatsPort     int
	SessionPort   int
	SessionSocket string
	// SessionQuestion is the one that may be asked there, in hexadecimal digits.
	SessionQuestion string
	StatsConns      int
	MaxConn         int // clients and statistics
	Clients         int
	ServerMaxConn   int
	Threads         int
	CheckInterval   string
	CheckTimeout    string
	FastInterval    string
	ConnectTimeout  string
	LostAfter       int // milliseconds
	BlindFor        string
	BlindFall       int
	StartUp         string
	PasswordLen     int // of the message that holds hc's password
	Ports           string
}

// Render makes every file of one node's HAProxy: a configuration for each process, the kernel's
// settings, and what systemd needs. files is the open-file limit of one process at the place where
// it will run; HAProxy starts under exactly that limit.
func Render(inv *inventory.Inventory, node inventory.Node, s inventory.Secrets, files int) ([]inventory.File, error) {
	if least := reserve(inv) + 2*(statsConns+1); files < least {
		return nil, fmt.Errorf("render haproxy of %s: %d open files are too few, it needs %d and two more for every client",
			node.Name, files, least)
	}
	n := Instances(inv, files)
	var out []inventory.File
	for i := 1; i <= n; i++ {
		// Without secrets, so that who has others, or none, comes to the same sum.
		bare, err := execute("haproxy.cfg.tmpl", newPage(inv, node, inventory.Secrets{}, files, i, n))
		if err != nil {
			return nil, fmt.Errorf("render haproxy of %s: %w", node.Name, err)
		}
		p := newPage(inv, node, s, files, i, n)
		p.Checksum = inventory.Checksum(append(bare, lostPooler...))
		body, err := execute("haproxy.cfg.tmpl", p)
		if err != nil {
			return nil, fmt.Errorf("render haproxy of %s: %w", node.Name, err)
		}
		// Two passwords stand in it, of the statistics and of the check: HAProxy reads it as root, nobody else does.
		out = append(out, inventory.File{Path: configPath(i), Mode: 0o600, Body: body})
	}
	out = append(out, inventory.File{Path: "/etc/haproxy/lost-pooler.lua", Mode: 0o644, Body: lostPooler})
	rest := []inventory.File{
		{Path: "/etc/sysctl.d/60-weir.conf", Mode: 0o644},
		{Path: "/etc/systemd/system/haproxy.service.d/weir.conf", Mode: 0o644},
	}
	names := []string{"sysctl.conf.tmpl", "service.conf.tmpl"}
	if n > 1 {
		rest = append(rest, inventory.File{Path: "/etc/systemd/system/haproxy@.service", Mode: 0o644})
		names = append(names, "instance.service.tmpl")
	}
	for i, f := range rest {
		body, err := execute(names[i], newPage(inv, node, s, files, 1, n))
		if err != nil {
			return nil, fmt.Errorf("render %s of %s: %w", f.Path, node.Name, err)
		}
		f.Body = body
		out = append(out, f)
	}
	return out, nil
}

func execute(name string, p page) ([]byte, error) {
	var b bytes.Buffer
	err := templates.ExecuteTemplate(&b, name, p)
	return b.Bytes(), err
}

func newPage(inv *inventory.Inventory, node inventory.Node, s inventory.Secrets, files, number, instances int) page {
	per, _ := Capacity(inv, files)
	// Both nodes lose the same pooler within one check interval and the checks that confirm it,
	// and the other one's view arrives here a little later.
	blind := inv.HAProxy.CheckInterval.Duration + time.Duration(inv.HAProxy.Fall)*fastInterval + 2*hereInterval
	fall := int((blind + hereInterval - 1) / hereInterval)
	return page{
		Inv: inv, Node: node, Peer: inv.HAProxy.Peer(node.Name), Secrets: s, StatsUser: StatsUser, Path: configPath(number),
		Files: files, Number: number, Instances: instances, First: number == 1,
		Socket: "/run/haproxy/admin" + suffix(number) + ".sock", StatsPort: StatsPort(inv, number), StatsConns: statsConns,
		SessionPort: SessionPort(inv, number), SessionSocket: "weir-sessions" + suffix(number), SessionQuestion: hex.EncodeToString([]byte(sessionQuestion)),
		MaxConn: per + statsConns, Clients: per, ServerMaxConn: max(1, inv.PgBouncer.MaxClientConn/instances), Threads: threads,
		CheckInterval:  milliseconds(inv.HAProxy.CheckInterval.Duration),
		CheckTimeout:   milliseconds(inv.HAProxy.CheckTimeout.Duration),
		FastInterval:   milliseconds(min(fastInterval, inv.HAProxy.CheckInterval.Duration)),
		ConnectTimeout: connectTimeout.String(), LostAfter: int(lostAfter.Milliseconds()),
		BlindFor: (time.Duration(fall) * hereInterval).String(), BlindFall: fall,
		StartUp: startUp("hc", "pgbouncer"), PasswordLen: 4 + len(s.Check) + 1, Ports: reservedPorts(inv, instances),
	}
}

// startUp is PostgreSQL's start-up packet (protocol 3.0) in hexadecimal digits.
func startUp(user, database string) string {
	body := "\x00\x03\x00\x00user\x00" + user + "\x00database\x00" + database + "\x00\x00"
	return fmt.Sprintf("%08x", len(body)+4) + hex.EncodeToString([]byte(body))
}

// milliseconds is a duration as HAProxy reads it.
func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + "ms" }

// reservedPorts keeps outgoing connections off the ports that HAProxy listens on.
func reservedPorts(inv *inventory.Inventory, instances int) string {
	ports := []string{strconv.Itoa(inv.VIP.Port)}
	for i := 1; i <= instances; i++ {
		ports = append(ports, strconv.Itoa(StatsPort(inv, i)), strconv.Itoa(SessionPort(inv, i)))
	}
	return strings.Join(ports, ",")
}

// StatsPort is the statistics port of the n-th process, from 1.
func StatsPort(inv *inventory.Inventory, n int) int { return inv.HAProxy.StatsPort + n - 1 }

// SessionPort is where the n-th process, from 1, tells its sessions to the console.
func SessionPort(inv *inventory.Inventory, n int) int { return StatsPort(inv, n) + sessionPorts }

// suffix tells the second process and later ones apart: haproxy, haproxy-2.
func suffix(n int) string {
	if n == 1 {
		return ""
	}
	return "-" + strconv.Itoa(n)
}

func configPath(n int) string { return "/etc/haproxy/haproxy" + suffix(n) + ".cfg" }
