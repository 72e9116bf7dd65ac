// Package config is the pages of the configuration: how the connections fit together, in words, and
// for every host its rendered files beside what runs there.
package config

import (
	"cmp"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"weir/ops/inventory"
	"weir/views/chain"
	"weir/views/layout"
	"weir/views/ui"
)

// ListModel is the page /configuration.
type ListModel struct {
	View   chain.View
	Hosts  []Host
	Checks map[string]Check // by host
	ui.Missing
}

// Check is what came of comparing a host's files with what runs there.
type Check struct {
	Differ, Untold int
	Why            string // why nothing could be compared; "" is that it was
}

// Compared counts what of a host's files runs otherwise.
func (m Model) Compared() Check {
	if m.RunningUnknown != "" || len(m.Running) == 0 {
		return Check{Why: cmp.Or(m.RunningUnknown, "not asked")}
	}
	var c Check
	lines, _ := Compare(m.Files, m.Running)
	for _, l := range lines {
		switch l.State {
		case ui.Warning:
			c.Differ++
		case ui.Unknown:
			c.Untold++
		}
	}
	return c
}

// Rereads is what changes when the program reads its files again, if those that are rendered are on the host.
func (m Model) Rereads() (lines []string) {
	if len(m.Running) == 0 {
		return []string{"What " + m.Host.Name + " runs with now is not known."}
	}
	compared, _ := Compare(m.Files, m.Running)
	for _, l := range compared {
		if l.State == ui.Warning {
			lines = append(lines, fmt.Sprintf("%s runs with %s = %s, and its rendered file says %s: if that file is on the host, this changes.", m.Host.Name, l.Key, l.Running, l.Rendered))
		}
	}
	if len(lines) == 0 {
		lines = []string{m.Host.Name + " has the settings of the inventory already. Its users, databases and rules of access are not compared."}
	}
	return lines
}

// mark is a check in a word or two.
func (m ListModel) mark(h Host) (ui.State, string) {
	switch c, asked := m.Checks[h.Name]; {
	case !asked:
		return ui.Unknown, "not asked"
	case c.Why != "":
		return ui.Unknown, "does not answer"
	case c.Differ > 0:
		return ui.Warning, ui.Counted(c.Differ, "setting") + " " + differs(c.Differ)
	case c.Untold > 0:
		return ui.Unknown, ui.Counted(c.Untold, "setting") + " not reported"
	}
	return ui.OK, "as rendered"
}

func differs(n int) string {
	if n == 1 {
		return "differs"
	}
	return "differ"
}

// sorted are the hosts, those where something differs first.
func (m ListModel) sorted() []Host {
	out := slices.Clone(m.Hosts)
	slices.SortStableFunc(out, func(a, b Host) int { return m.Checks[b.Name].Differ - m.Checks[a.Name].Differ })
	return out
}

// Host is one of the inventory.
type Host struct {
	Name, What, Address string
}

// Hosts are all that have files, in the order of the chain.
func Hosts(inv *inventory.Inventory) []Host {
	var out []Host
	for _, n := range inv.HAProxy.Nodes {
		out = append(out, Host{n.Name, "HAProxy and keepalived", n.Address.String()})
	}
	for _, n := range inv.PgBouncer.Poolers {
		out = append(out, Host{n.Name, "PgBouncer", n.Address.String()})
	}
	return append(out, Host{inv.Postgres.Name, "PostgreSQL", inv.Postgres.Address.String()},
		Host{inv.Monitor.Name, "Weir's monitor", inv.Monitor.Address.String()}, Host{inv.Console.Name, "Weir's console", inv.Console.Address.String()})
}

// URL of a host's page.
func (h Host) URL() string { return string(layout.Configuration) + "/" + url.PathEscape(h.Name) }

// Words is the pool budget in sentences.
func Words(inv *inventory.Inventory) []string {
	b, p := inv.Budget(), inv.PgBouncer
	each := fmt.Sprintf("Each of %s opens at most %s to PostgreSQL: %d for queries, %d in reserve, %d for password look-ups.",
		ui.Counted(b.Poolers, "pooler"), ui.Counted(b.ServersEach, "connection"), p.PoolSize, p.ReservePoolSize, inventory.AuthPoolSize)
	all := fmt.Sprintf("That is %s together. PostgreSQL allows %s: %d are kept for direct connections, %d for superusers, and %s left over.",
		ui.Count(b.Servers), ui.Count(b.MaxConnections), b.Direct, b.Superuser, is(b.Spare))
	places := fmt.Sprintf("%s client places share %s server connections: %s for each connection. That is enough while most clients are idle most of the time.",
		ui.Count(b.Clients), ui.Count(b.PoolSize), ui.Counted(b.Clients/max(b.PoolSize, 1), "place"))
	return []string{each, all, places}
}

func is(n int) string {
	switch n {
	case 0:
		return "none is"
	case 1:
		return "1 is"
	}
	return ui.Count(n) + " are"
}

// Lost is the budget with one pooler lost, and how loud it is that today's clients fit or do not.
func Lost(v chain.View) (ui.State, string) {
	b := v.Inventory.Budget()
	said := fmt.Sprintf("With one pooler lost, %s client places on %s server connections are left, of %s on %s.",
		ui.Count(b.ClientsLostOne), ui.Count(b.PoolSizeLostOne), ui.Count(b.Clients), ui.Count(b.PoolSize))
	now, known := clients(v)
	switch {
	case b.Poolers < 2:
		return ui.Warning, "There is one pooler: with it lost, nobody is served."
	case !known:
		return ui.Unknown, said + " How many clients are connected now is not known of every pooler."
	case now > int64(b.ClientsLostOne):
		return ui.Warning, fmt.Sprintf("%s %s clients are connected now: %s of them would be turned away.", said, ui.Count(now), ui.Count(now-int64(b.ClientsLostOne)))
	}
	return ui.OK, fmt.Sprintf("%s The %s clients connected now fit.", said, ui.Count(now))
}

// clients are those of all poolers, and whether that is known of every one.
func clients(v chain.View) (n int64, known bool) {
	known = true
	for _, p := range v.Snapshot.Poolers {
		active, waiting, _ := p.View.Value.Clients()
		n, known = n+active+waiting, known && p.View.Known()
	}
	return n, known
}

// part is one row of the budget as numbers.
type part struct {
	Label string
	Value int
}

func parts(inv *inventory.Inventory) []part {
	b, p := inv.Budget(), inv.PgBouncer
	return []part{
		{fmt.Sprintf("queries, %d\u00a0×\u00a0%d", b.Poolers, p.PoolSize), b.PoolSize},
		{fmt.Sprintf("reserve, %d\u00a0×\u00a0%d", b.Poolers, p.ReservePoolSize), b.Poolers * p.ReservePoolSize},
		{fmt.Sprintf("password look-ups, %d\u00a0×\u00a0%d", b.Poolers, inventory.AuthPoolSize), b.Poolers * inventory.AuthPoolSize},
		{"direct connections", b.Direct},
		{"superusers", b.Superuser},
		{"left over", b.Spare},
	}
}

// Model is the page /configuration/HOST.
type Model struct {
	Clock ui.Clock
	Host  Host
	Files []File
	// Running are the settings that the host's program runs with; RunningUnknown says why there are
	// none.
	Running        []Setting
	RunningUnknown string
	ui.Missing
}

// File is one rendered file. Every secret in it is made up.
type File struct{ Path, Mode, Body string }

// Setting is one that a program runs with.
type Setting struct{ Key, Value, Default string }

// Line is one setting, as it is rendered and as it runs.
type Line struct {
	Key               string
	Rendered, Running string
	Default           string
	State             ui.State // OK: the same; Warning: not; Unknown: rendered, and the program does not report it
}

// Compare puts what is rendered beside what runs. extra are settings that run otherwise than by
// default and are in no file.
func Compare(files []File, running []Setting) (lines []Line, extra []Setting) {
	rendered := settings(files)
	at := map[string]Setting{}
	for _, s := range running {
		at[strings.ToLower(s.Key)] = s
		if _, ok := find(rendered, s.Key); !ok && s.Value != s.Default {
			extra = append(extra, s)
		}
	}
	for _, r := range rendered {
		l := Line{Key: r.Key, Rendered: r.Value, State: ui.Unknown}
		if s, ok := at[strings.ToLower(r.Key)]; ok {
			l.Running, l.Default, l.State = s.Value, s.Default, ui.Warning
			if same(r.Value, s.Value) {
				l.State = ui.OK
			}
		}
		lines = append(lines, l)
	}
	slices.SortStableFunc(lines, func(a, b Line) int { return rank(b) - rank(a) })
	return lines, extra
}

func rank(l Line) int {
	switch l.State {
	case ui.Warning:
		return 2
	case ui.Unknown:
		return 1
	}
	return 0
}

// settings are those of postgresql.conf and of the section [pgbouncer] of pgbouncer.ini, in order, and of
// other files the checksums that their programs report.
// Of one that stands twice the last counts.
func settings(files []File) (out []Setting) {
	for _, f := range files {
		name, section := path.Base(f.Path), ""
		if sum := checksum(name, f.Body); sum != "" {
			out = append(out, Setting{Key: "checksum of " + f.Path, Value: sum})
		}
		if name != "postgresql.conf" && name != "pgbouncer.ini" {
			continue
		}
		for line := range strings.Lines(f.Body) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "[") {
				section = strings.Trim(line, "[]")
				continue
			}
			key, value, ok := strings.Cut(line, "=")
			if !ok || strings.HasPrefix(line, ";") || strings.HasPrefix(line, "#") || name == "pgbouncer.ini" && section != "pgbouncer" {
				continue
			}
			s := Setting{Key: strings.TrimSpace(key), Value: unquoted(strings.TrimSpace(value))}
			if i, ok := find(out, s.Key); ok {
				out[i] = s
				continue
			}
			out = append(out, s)
		}
	}
	return out
}

// checksum is the one by which a program says that it runs with a file; "" is one that none does.
func checksum(name, body string) string {
	switch {
	case name == "inventory.yaml":
		return inventory.Checksum([]byte(body))
	case name == "keepalived.conf", strings.HasPrefix(name, "haproxy") && path.Ext(name) == ".cfg":
		return inFile.FindString(body)
	}
	return ""
}

// inFile is where a file says its own sum.
var inFile = regexp.MustCompile("sha256:[0-9a-f]{16}")

// find goes by name in whatever case: postgresql.conf says timezone, and PostgreSQL TimeZone.
func find(list []Setting, key string) (int, bool) {
	i := slices.IndexFunc(list, func(s Setting) bool { return strings.EqualFold(s.Key, key) })
	return i, i >= 0
}

func unquoted(v string) string {
	if len(v) >= 2 && v[0] == '\'' && v[len(v)-1] == '\'' {
		return strings.ReplaceAll(v[1:len(v)-1], "''", "'")
	}
	return v
}

// units as PostgreSQL writes them, in bytes and in milliseconds.
var units = map[string]float64{"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40,
	"us": 0.001, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}

var switches = map[string]string{"true": "on", "yes": "on", "false": "off", "no": "off"}

// same reports whether two values mean the same: 1GB is 1024MB, and on is yes.
func same(a, b string) bool { return a == b || meaning(a) == meaning(b) }

func meaning(v string) string {
	i := strings.LastIndexAny(v, "0123456789") + 1
	number, err := strconv.ParseFloat(strings.TrimSpace(v[:i]), 64)
	unit, known := units[strings.TrimSpace(v[i:])]
	if err == nil && (known || i == len(v)) {
		return strconv.FormatFloat(number*cmp.Or(unit, 1), 'g', -1, 64) + kind(strings.TrimSpace(v[i:]))
	}
	v = strings.ToLower(v)
	return cmp.Or(switches[v], v)
}

// kind keeps 1 s from being 1000 of nothing.
func kind(unit string) string {
	switch {
	case unit == "":
		return ""
	case strings.HasSuffix(unit, "B"):
		return " bytes"
	}
	return " ms"
}

// verdict is what the comparison comes to.
func verdict(lines []Line) (ui.State, string) {
	differ, untold := 0, 0
	for _, l := range lines {
		switch l.State {
		case ui.Warning:
			differ++
		case ui.Unknown:
			untold++
		}
	}
	switch {
	case differ > 0:
		return ui.Warning, ui.Counted(differ, "setting") + " " + differs(differ) + ": the file was changed without a reload or a restart, or the host has another file."
	case untold > 0:
		return ui.OK, "What runs is as rendered, as far as the program reports it: " + ui.Counted(untold, "setting") + " it does not."
	}
	return ui.OK, "What runs is as rendered."
}

// split parts the lines to look at from those that are the same.
func split(lines []Line) (look, same []Line) {
	for _, l := range lines {
		if l.State == ui.OK {
			same = append(same, l)
		} else {
			look = append(look, l)
		}
	}
	return look, same
}

func count(body string) int { return strings.Count(strings.TrimSuffix(body, "\n"), "\n") + 1 }

// breakable is a path that a narrow screen breaks behind a slash. What is copied of it has no blanks.
func breakable(path string) templ.Component {
	return templ.Raw(strings.ReplaceAll(templ.EscapeString(path), "/", "/<wbr>"))
}
