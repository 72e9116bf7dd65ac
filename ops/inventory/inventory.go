// Package inventory is the cluster, described once: the VIP, the HAProxy nodes, the poolers,
// PostgreSQL, and the sizes that have to fit together. Every configuration file is rendered from
// it, and everything that watches or operates the cluster reads it.
package inventory

import (
	_ "embed"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// Env names the variable that holds the path of an inventory to use in place of the default.
const Env = "WEIR_INVENTORY"

//go:embed default.yaml
var defaultYAML []byte

// Inventory is one cluster. A value that came out of Load or Parse is valid.
type Inventory struct {
	Cluster   string    `yaml:"cluster"`
	Network   Prefix    `yaml:"network"` // every address below lies in it
	VIP       VIP       `yaml:"vip"`
	HAProxy   HAProxy   `yaml:"haproxy"`
	PgBouncer PgBouncer `yaml:"pgbouncer"`
	Postgres  Postgres  `yaml:"postgres"`
	Monitor   Service   `yaml:"monitor"`
	Console   Service   `yaml:"console"`
	Poll      Poll      `yaml:"poll"`

	source []byte // what it was read from
}

// YAML is the text that the inventory was read from, for the machines that need a copy.
func (inv *Inventory) YAML() []byte { return inv.source }

// VIP is the address that applications connect to; keepalived moves it between the HAProxy nodes.
type VIP struct {
	Address        Addr     `yaml:"address"`
	Port           int      `yaml:"port"`
	RouterID       int      `yaml:"router_id"`
	AdvertInterval Duration `yaml:"advert_interval"`
}

// HAProxy holds the two nodes and what they share.
type HAProxy struct {
	StatsPort     int      `yaml:"stats_port"` // of the first process; the n-th listens n-1 higher
	Balance       string   `yaml:"balance"`
	CheckInterval Duration `yaml:"check_interval"`
	CheckTimeout  Duration `yaml:"check_timeout"`
	Fall          int      `yaml:"fall"`
	Rise          int      `yaml:"rise"`
	MaxFiles      int      `yaml:"max_files"`
	Nodes         []Node   `yaml:"nodes"`
}

// PgBouncer holds the poolers and what they share.
type PgBouncer struct {
	Port            int    `yaml:"port"`
	PoolMode        string `yaml:"pool_mode"`
	PoolSize        int    `yaml:"pool_size"`
	ReservePoolSize int    `yaml:"reserve_pool_size"`
	MaxClientConn   int    `yaml:"max_client_conn"`
	Poolers         []Node `yaml:"poolers"`
}

// Postgres is the one database server.
type Postgres struct {
	Name                         string            `yaml:"name"`
	Address                      Addr              `yaml:"address"`
	Port                         int               `yaml:"port"`
	MaxConnections               int               `yaml:"max_connections"`
	DirectConnections            int               `yaml:"direct_connections"`
	SuperuserReservedConnections int               `yaml:"superuser_reserved_connections"`
	SuperusersThroughVIP         bool              `yaml:"superusers_through_vip"`
	Settings                     map[string]string `yaml:"settings"`
}

// Node is one machine.
type Node struct {
	Name    string `yaml:"name"`
	Address Addr   `yaml:"address"`
}

// Service is one machine with one port that people or programs connect to.
type Service struct {
	Name    string `yaml:"name"`
	Address Addr   `yaml:"address"`
	Port    int    `yaml:"port"`
}

// Poll says how often the monitor and the console look at every part.
type Poll struct {
	Interval Duration `yaml:"interval"`
	Timeout  Duration `yaml:"timeout"`
}

// Addr is an IPv4 address that a mistake in the file does not stop the reading of the rest.
type Addr struct{ netip.Addr }

// Prefix is a network, as Addr.
type Prefix struct{ netip.Prefix }

// Duration is written as Go writes it: 200ms, 1s.
type Duration struct{ time.Duration }

func (a *Addr) UnmarshalYAML(n *yaml.Node) error {
	v, err := netip.ParseAddr(n.Value)
	if err != nil || !v.Is4() {
		return typeError(n, "%q is not an IPv4 address", n.Value)
	}
	a.Addr = v
	return nil
}

func (p *Prefix) UnmarshalYAML(n *yaml.Node) error {
	v, err := netip.ParsePrefix(n.Value)
	if err != nil || !v.Addr().Is4() {
		return typeError(n, "%q is not an IPv4 network such as 192.168.1.0/24", n.Value)
	}
	p.Prefix = v.Masked()
	return nil
}

func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil {
		return typeError(n, "%q is not a duration such as 200ms or 1s", n.Value)
	}
	d.Duration = v
	return nil
}

// typeError is the one error yaml goes on reading after, so that all mistakes are found at once.
func typeError(n *yaml.Node, format string, args ...any) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: ", n.Line) + fmt.Sprintf(format, args...)}}
}

// Source names where Load reads from: the file that WEIR_INVENTORY names, or "" for the default.
func Source() string { return os.Getenv(Env) }

// Load reads the inventory that WEIR_INVENTORY names, or the embedded default.
func Load() (*Inventory, error) { return Read(Source()) }

// Read reads the inventory of a path; of "" it is the embedded default. The error is a Problems value
// when the file was read and is wrong.
func Read(path string) (*Inventory, error) {
	if path == "" {
		return Parse("default inventory", defaultYAML)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read inventory: %w", err)
	}
	return Parse(path, body)
}

// Default is the embedded inventory: the addresses and sizes of the mission.
func Default() *Inventory {
	inv, err := Parse("default inventory", defaultYAML)
	if err != nil {
		panic(err) // a test reads it
	}
	return inv
}

// Peer is the other HAProxy node.
func (h HAProxy) Peer(name string) Node {
	for _, n := range h.Nodes {
		if n.Name != name {
			return n
		}
	}
	return Node{}
}

// NodeNames lists the HAProxy nodes in the order of the inventory.
func (h HAProxy) NodeNames() []string { return names(h.Nodes) }

// PoolerNames lists the poolers in the order of the inventory.
func (p PgBouncer) PoolerNames() []string { return names(p.Poolers) }

func names(nodes []Node) []string {
	out := make([]string, len(nodes))
	for i, n := range nodes {
		out[i] = n.Name
	}
	return out
}

// Hosts lists every machine of the cluster, in the order a client's connection meets them.
func (inv *Inventory) Hosts() []Node {
	hosts := append([]Node{}, inv.HAProxy.Nodes...)
	hosts = append(hosts, inv.PgBouncer.Poolers...)
	return append(hosts,
		Node{inv.Postgres.Name, inv.Postgres.Address},
		Node{inv.Monitor.Name, inv.Monitor.Address},
		Node{inv.Console.Name, inv.Console.Address})
}

// VIPEndpoint is host:port of what applications connect to.
func (inv *Inventory) VIPEndpoint() string { return endpoint(inv.VIP.Address, inv.VIP.Port) }

// PostgresEndpoint is host:port of the database itself, without HAProxy or pooler.
func (inv *Inventory) PostgresEndpoint() string {
	return endpoint(inv.Postgres.Address, inv.Postgres.Port)
}

func endpoint(a Addr, port int) string { return a.String() + ":" + strconv.Itoa(port) }
