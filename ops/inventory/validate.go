package inventory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Problem is one mistake and where it stands.
type Problem struct {
	Source string // file name, or "default inventory"
	Line   int    // 1 is the first; 0 when the mistake is of the whole file
	Path   string // pgbouncer.poolers[1].address; "" when only the line is known
	Text   string
}

func (p Problem) String() string {
	place := p.Source
	if p.Line > 0 {
		place += ":" + strconv.Itoa(p.Line)
	}
	if p.Path != "" {
		place += ": " + p.Path
	}
	return place + ": " + p.Text
}

// Problems is everything that is wrong with an inventory, in the order of the file.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Parse reads one inventory and checks all of it. source names it in the problems.
// The error is a Problems value.
func Parse(source string, body []byte) (*Inventory, error) {
	c := &checker{source: source, lines: map[string]int{}}
	var doc yaml.Node
	if err := yaml.Unmarshal(body, &doc); err != nil {
		c.fromYAML(err)
		return nil, c.problems
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		c.add("", "is empty, or not a list of keys: start from the default (weir render writes it)")
		return nil, c.problems
	}
	c.index("", doc.Content[0], 0)

	inv := &Inventory{source: bytes.Clone(body)}
	dec := yaml.NewDecoder(bytes.NewReader(body))
	dec.KnownFields(true)
	readable := true
	if err := dec.Decode(inv); err != nil {
		readable = c.fromYAML(err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		c.add("", "holds more than one document")
	}
	if readable {
		c.checkTheRest(inv)
	}
	if len(c.problems) > 0 {
		slices.SortStableFunc(c.problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, c.problems
	}
	return inv, nil
}

// checkTheRest leaves out what it finds on a line the reader complained about already: a value
// that could not be read must not be called missing or out of range as well.
func (c *checker) checkTheRest(inv *Inventory) {
	told := map[int]bool{}
	for _, p := range c.problems {
		told[p.Line] = true
	}
	read := len(c.problems)
	c.check(inv)
	found := slices.DeleteFunc(c.problems[read:], func(p Problem) bool { return told[p.Line] })
	c.problems = c.problems[:read+len(found)]
}

type checker struct {
	source    string
	lines     map[string]int // path -> line
	fractions []string       // paths; yaml would cut 1.5 down to 1 without a word
	problems  Problems
}

var (
	yamlLine     = regexp.MustCompile(`(?s)^(?:yaml: )?line (\d+): (.*)$`)
	unknownField = regexp.MustCompile(`(?s)^field (.+) not found in type`)
	wrongType    = regexp.MustCompile("(?s)^cannot unmarshal (\\S+)(?: `(.*)`)? into (\\S+)$")
)

// fromYAML turns what the reader found into problems with their lines. It reports whether the
// shape of the file is sound: then the values it could read are in their places.
func (c *checker) fromYAML(err error) (sound bool) {
	var te *yaml.TypeError
	if !errors.As(err, &te) {
		te = &yaml.TypeError{Errors: []string{err.Error()}}
	} else {
		sound = true
	}
	for _, text := range te.Errors {
		p := Problem{Source: c.source, Text: strings.TrimPrefix(text, "yaml: ")}
		if m := yamlLine.FindStringSubmatch(text); m != nil {
			p.Line, _ = strconv.Atoi(m[1])
			p.Text = m[2]
		}
		if m := unknownField.FindStringSubmatch(p.Text); m != nil {
			p.Text = "unknown key " + strconv.Quote(m[1])
		} else if m := wrongType.FindStringSubmatch(p.Text); m != nil {
			p.Text = mistaken(m[1], m[2], m[3])
			sound = sound && wanted[m[3]] != ""
		} else if strings.HasPrefix(p.Text, "mapping key ") { // stands twice: the reader skips its group
			sound = false
		}
		c.problems = append(c.problems, p)
	}
	return sound
}

// wanted says in words which single values the inventory's Go types take.
var wanted = map[string]string{"int": "a whole number", "bool": "true or false", "string": "a word"}

func mistaken(tag, value, goType string) string {
	is, isNot := strconv.Quote(value), wanted[goType]
	switch tag {
	case "!!seq":
		is = "a list"
	case "!!map":
		is = "a group of keys"
	}
	switch {
	case isNot != "":
	case strings.HasPrefix(goType, "[]"):
		isNot = "a list"
	default:
		isNot = "a group of keys"
	}
	return is + " stands where " + isNot + " belongs"
}

// maxDepth keeps a hostile file from exhausting the stack; the inventory itself is four deep.
const maxDepth = 32

// index remembers the line of every value by its path.
func (c *checker) index(path string, n *yaml.Node, depth int) {
	c.lines[path] = n.Line
	if depth > maxDepth {
		return
	}
	switch n.Kind {
	case yaml.ScalarNode:
		if n.ShortTag() == "!!float" && !strings.HasPrefix(path, "postgres.settings.") {
			c.fractions = append(c.fractions, path)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			c.index(join(path, n.Content[i].Value), n.Content[i+1], depth+1)
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			c.index(fmt.Sprintf("%s[%d]", path, i), item, depth+1)
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// add notes a problem at the place of path, or of the nearest parent that stands in the file.
func (c *checker) add(path, format string, args ...any) {
	line, ok := 0, false
	for at := path; ; {
		if line, ok = c.lines[at]; ok || at == "" {
			break
		}
		at = at[:max(0, strings.LastIndexAny(at, ".["))]
	}
	c.problems = append(c.problems, Problem{c.source, line, path, fmt.Sprintf(format, args...)})
}

func (c *checker) check(inv *Inventory) {
	for _, path := range c.fractions {
		c.add(path, "is a fraction, and no value here may be one")
	}
	c.name("cluster", inv.Cluster)
	if !inv.Network.IsValid() {
		c.add("network", "is missing")
	}
	c.hosts(inv)
	c.edge(inv)
	c.poolers(inv)
	c.postgres(inv)
	c.between("poll.interval", inv.Poll.Interval, 100*time.Millisecond, time.Minute)
	c.between("poll.timeout", inv.Poll.Timeout, 50*time.Millisecond, time.Minute)
	c.budget(inv)
}

func (c *checker) edge(inv *Inventory) {
	c.port("vip.port", inv.VIP.Port)
	c.within("vip.router_id", inv.VIP.RouterID, 1, 255)
	// VRRPv3 counts centiseconds; faster than 0.1 s flaps on a busy machine.
	c.between("vip.advert_interval", inv.VIP.AdvertInterval, 100*time.Millisecond, 10*time.Second)
	h := inv.HAProxy
	c.port("haproxy.stats_port", h.StatsPort)
	if h.StatsPort == inv.VIP.Port {
		c.add("haproxy.stats_port", "is the port of the VIP as well")
	}
	c.oneOf("haproxy.balance", h.Balance, "leastconn", "roundrobin")
	c.between("haproxy.check_interval", h.CheckInterval, 100*time.Millisecond, time.Minute)
	c.between("haproxy.check_timeout", h.CheckTimeout, 100*time.Millisecond, time.Minute)
	c.within("haproxy.fall", h.Fall, 1, 10)
	c.within("haproxy.rise", h.Rise, 1, 10)
	c.within("haproxy.max_files", h.MaxFiles, 1024, 1<<30)
	if n := len(h.Nodes); n != 2 {
		c.add("haproxy.nodes", "has %d, and needs 2: one holds the VIP, the other takes over", n)
	}
}

func (c *checker) poolers(inv *Inventory) {
	p := inv.PgBouncer
	c.port("pgbouncer.port", p.Port)
	c.oneOf("pgbouncer.pool_mode", p.PoolMode, "session", "transaction", "statement")
	c.within("pgbouncer.pool_size", p.PoolSize, 1, 10000)
	c.within("pgbouncer.reserve_pool_size", p.ReservePoolSize, 0, 10000)
	c.within("pgbouncer.max_client_conn", p.MaxClientConn, 1, 1000000)
	if n := len(p.Poolers); n < 1 || n > 50 {
		c.add("pgbouncer.poolers", "has %d, and must have from 1 to 50", n)
	}
}

func (c *checker) postgres(inv *Inventory) {
	p := inv.Postgres
	c.port("postgres.port", p.Port)
	c.within("postgres.max_connections", p.MaxConnections, 10, 100000)
	c.within("postgres.direct_connections", p.DirectConnections, 5, 100000)
	c.within("postgres.superuser_reserved_connections", p.SuperuserReservedConnections, 1, 1000)
	for _, key := range slices.Sorted(maps.Keys(p.Settings)) {
		value, at := p.Settings[key], "postgres.settings."+key
		switch {
		case !settingName.MatchString(key):
			c.add(at, "is not the name of a PostgreSQL setting")
		case slices.Contains(ownSettings, key):
			c.add(at, "is rendered by Weir: leave it out here")
		case strings.ContainsAny(value, "'\\\n\r\x00"):
			c.add(at, "may not hold a quote, a backslash or a line break")
		}
	}
}

// ownSettings would undo what the template or the inventory's own keys say.
var ownSettings = []string{"listen_addresses", "port", "max_connections", "superuser_reserved_connections",
	"reserved_connections", "include", "include_if_exists", "include_dir", "config_file", "password_encryption", "hba_file", "data_directory", "unix_socket_directories", "shared_preload_libraries"}

var (
	settingName = regexp.MustCompile(`^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$`)
	hostName    = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$`)
)

func (c *checker) name(path, name string) {
	if name == "" {
		c.add(path, "is missing")
	} else if !hostName.MatchString(name) {
		c.add(path, "%q is not a host name: lower-case letters, digits and dashes, at most 32", name)
	}
}

// hosts checks that every name and address is there, is in the network, and stands once.
func (c *checker) hosts(inv *Inventory) {
	byName, byAddr := map[string]string{}, map[Addr]string{}
	address := func(path string, a Addr) {
		if !a.IsValid() {
			c.add(path, "is missing")
			return
		}
		if inv.Network.IsValid() && !inv.Network.Contains(a.Addr) {
			c.add(path, "%s is outside the network %s", a, inv.Network)
		} else if first := inv.Network.Addr(); inv.Network.IsValid() && (a.Addr == first || a.Addr == broadcast(inv.Network)) {
			c.add(path, "%s is the network's own or broadcast address", a)
		}
		if other, ok := byAddr[a]; ok {
			c.add(path, "%s is the address of %s as well", a, other)
			return
		}
		byAddr[a] = path
	}
	host := func(path, name string, a Addr) {
		c.name(path+".name", name)
		if other, ok := byName[name]; ok && name != "" {
			c.add(path+".name", "%q is the name of %s as well", name, other)
		}
		byName[name] = path
		address(path+".address", a)
	}
	address("vip.address", inv.VIP.Address)
	for i, n := range inv.HAProxy.Nodes {
		host(fmt.Sprintf("haproxy.nodes[%d]", i), n.Name, n.Address)
	}
	for i, n := range inv.PgBouncer.Poolers {
		host(fmt.Sprintf("pgbouncer.poolers[%d]", i), n.Name, n.Address)
	}
	host("postgres", inv.Postgres.Name, inv.Postgres.Address)
	for _, s := range []struct {
		path string
		Service
	}{{"monitor", inv.Monitor}, {"console", inv.Console}} {
		host(s.path, s.Name, s.Address)
		c.port(s.path+".port", s.Port)
	}
}

// broadcast is the last address of an IPv4 network.
func broadcast(p Prefix) netip.Addr {
	a := p.Addr().As4()
	host := ^uint32(0) >> p.Bits()
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])|host)
	return netip.AddrFrom4(a)
}

func (c *checker) port(path string, port int) { c.within(path, port, 1, 65535) }

func (c *checker) within(path string, v, low, high int) {
	if v < low || v > high {
		c.add(path, "is %d, and must be from %d to %d", v, low, high)
	}
}

func (c *checker) between(path string, d Duration, low, high time.Duration) {
	if d.Duration < low || d.Duration > high {
		c.add(path, "is %s, and must be from %s to %s", d, low, high)
	}
}

func (c *checker) oneOf(path, v string, allowed ...string) {
	if !slices.Contains(allowed, v) {
		c.add(path, "is %q, and must be one of %s", v, strings.Join(allowed, ", "))
	}
}
