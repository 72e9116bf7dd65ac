// Package pool is the pages of the poolers: all of them in a table, one of them with everything that
// is known of it, and the confirmation of every order to them.
package pool

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/ops/fleet"
	"weir/ops/incident"
	"weir/ops/inventory"
	"weir/views/chain"
	"weir/views/layout"
	"weir/views/ui"
)

// ListModel is the page /poolers.
type ListModel struct {
	View     chain.View
	Operates bool // the viewer may give orders
}

// Fragments are the parts that the stream keeps current.
func (m ListModel) Fragments() []layout.Fragment {
	list := []layout.Fragment{m.table()}
	if m.Operates {
		list = append(list, m.actions())
	}
	return list
}

func (m ListModel) actions() layout.Fragment {
	return layout.Fragment{ID: "orders", Body: ordersToAll(m.View)}
}

func (m ListModel) table() layout.Fragment {
	return layout.Fragment{ID: "poolers", Body: table(m.View)}
}

// Setting is one setting that a pooler runs with.
type Setting struct{ Name, Value, Default string }

// Settings are all that a pooler runs with, asked for when the page is made.
type Settings struct {
	Missing ui.Missing
	List    []Setting
}

// Connections are both ends of a pooler, those of applications only: the first of each and how many
// there are.
type Connections struct {
	Missing      ui.Missing
	At           time.Time
	Clients      []Client // the longest wait first, then the oldest
	ClientsTotal int
	Servers      []Server // those in use first
	ServersTotal int
	MaxPrepared  int // prepared statements on a server connection; 0 is none at all
	Unknown      []string
}

// Client is a connection to a pooler.
type Client struct {
	Address, Proxy              string // its own, "" when not known; and HAProxy's end
	User, Database, Application string
	State                       string        // active, waiting, ...
	Wait                        time.Duration // for a server connection; 0 when it does not wait
	Since, LastRequest          time.Time     // zero is not known
	PID                         int           // of the backend that works for it; 0 is none
	Prepared                    int64
}

// Server is a connection of a pooler to PostgreSQL.
type Server struct {
	PID                int
	User, Database     string
	State              string // active, idle, ...
	Since, LastRequest time.Time
	Prepared           int64
	Client             *Client // that it works for; nil is none
}

// Trends are the last 15 minutes of one pooler.
type Trends struct{ Clients, Waiting, Servers, Xacts ui.Series }

// Model is the page /poolers/NAME.
type Model struct {
	View        chain.View
	Pooler      fleet.Pooler
	Trends      Trends
	Connections Connections
	Settings    Settings
	Operates    bool // the viewer may give orders
}

// Find is the pooler of a name in the snapshot, for Model.
func Find(v chain.View, name string) (fleet.Pooler, bool) {
	i := slices.IndexFunc(v.Snapshot.Poolers, func(p fleet.Pooler) bool { return p.Name == name })
	if i < 0 {
		return fleet.Pooler{}, false
	}
	return v.Snapshot.Poolers[i], true
}

// Fragments are the parts that the stream keeps current.
func (m Model) Fragments() []layout.Fragment {
	list := []layout.Fragment{m.head(), m.now(), m.trends(), m.opinions(), m.pools(), m.clients(), m.servers(), m.databases()}
	if m.Operates {
		list = append(list, m.actions())
	}
	return list
}

func (m Model) head() layout.Fragment { return layout.Fragment{ID: "head", Body: head(m)} }
func (m Model) actions() layout.Fragment {
	return layout.Fragment{ID: "orders", Body: orders(m.View, m.Pooler)}
}
func (m Model) now() layout.Fragment { return layout.Fragment{ID: "now", Body: now(m)} }
func (m Model) trends() layout.Fragment {
	return layout.Fragment{ID: "trends", Body: trends(m.Trends)}
}
func (m Model) opinions() layout.Fragment {
	return layout.Fragment{ID: "opinions", Body: opinions(m)}
}
func (m Model) clients() layout.Fragment { return layout.Fragment{ID: "clients", Body: clients(m)} }
func (m Model) servers() layout.Fragment { return layout.Fragment{ID: "servers", Body: servers(m)} }
func (m Model) pools() layout.Fragment   { return layout.Fragment{ID: "pools", Body: pools(m)} }
func (m Model) databases() layout.Fragment {
	return layout.Fragment{ID: "databases", Body: databases(m)}
}

// places is the gauge of a pooler's client places.
func places(v chain.View, p fleet.Pooler) ui.Gauge {
	active, waiting, _ := p.View.Value.Clients()
	return ui.Gauge{Label: "clients", Value: active + waiting, Limit: int64(v.Inventory.PgBouncer.MaxClientConn), Warn: 80, Alarm: 95}
}

// Use is how many of its server connections a pool uses.
type Use struct {
	Database, User string
	InUse, Open    int64
	Size, Reserve  int64 // the most, and more of them after a wait
}

// Gauge is the use against its limit.
func (u Use) Gauge() ui.Gauge {
	return ui.Gauge{Label: "server connections in use, pool " + u.Name(), Value: u.InUse, Limit: u.Limit(), Warn: 95}
}

// Limit is its size; while it draws on its reserve, that too: nothing is 72 of 70.
func (u Use) Limit() int64 {
	if u.InUse > u.Size {
		return u.Size + u.Reserve
	}
	return u.Size
}

// Name is the database, and the user where that is another.
func (u Use) Name() string {
	if u.User == "" || u.User == u.Database {
		return u.Database
	}
	return u.Database + " of " + u.User
}

// Fullest is the pool of a pooler that uses most of what it may: limits are those of a pool, not of a
// pooler. false: it has none yet.
func Fullest(p fleet.Pooler) (fullest Use, ok bool) {
	for _, q := range busyPools(p) {
		u := q.Use
		if u.Size == 0 { // PgBouncer does not list its database any more
			continue
		}
		if !ok || u.InUse*fullest.Size > fullest.InUse*u.Size {
			fullest, ok = u, true
		}
	}
	return fullest, ok
}

// busyPools are the pools of applications, those in which clients wait first, then the largest.
func busyPools(p fleet.Pooler) []poolRow {
	var out []poolRow
	for _, q := range p.View.Value.Pools {
		if !q.Serves() {
			continue
		}
		row := poolRow{Mode: q.PoolMode, Clients: q.ClActive + q.ClWaiting, Waiting: q.ClWaiting, MaxWait: q.MaxWait, Login: q.SvLogin,
			Use: Use{Database: q.Database, User: q.User, InUse: q.SvActive, Open: q.SvActive + q.SvIdle + q.SvUsed + q.SvTested + q.SvLogin}}
		for _, d := range p.View.Value.Databases {
			if d.Name == q.Database {
				row.Size, row.Reserve = d.PoolSize, d.ReservePoolSize
			}
		}
		out = append(out, row)
	}
	slices.SortStableFunc(out, func(a, b poolRow) int {
		return cmp.Or(cmp.Compare(b.Waiting, a.Waiting), cmp.Compare(b.Clients, a.Clients), strings.Compare(a.Database+a.User, b.Database+b.User))
	})
	return out
}

type poolRow struct {
	Use
	Mode             string
	Clients, Waiting int64
	MaxWait          time.Duration
	Login            int64 // server connections that log in
}

// incidents are those about a pooler that are open.
func (m Model) incidents() []incident.Incident {
	return slices.DeleteFunc(slices.Clone(m.View.Open), func(i incident.Incident) bool { return i.Subject != m.Pooler.Name })
}

// flapping is how often a pooler has come back of late; 0 is that it does not.
func flapping(i incident.Incident) string {
	if i.State != incident.Flapping {
		return ""
	}
	return ", flapping, came back " + ui.Counted(i.Flaps, "time")
}

// look is how a client is, in a word.
func (c Client) look() (ui.State, string) {
	switch {
	case c.Wait > 0:
		return ui.Louder(ui.OK, chain.Waiting(1, c.Wait)), "waiting " + ui.Took(c.Wait)
	case c.PID != 0:
		return ui.OK, "served by pid " + strconv.Itoa(c.PID)
	case c.State == "active":
		return ui.OK, "idle"
	}
	return ui.OK, c.State
}

// who is a client as people know it: its own address, or what it comes through.
func (c Client) who(v chain.View) string {
	if c.Address != "" {
		return c.Address
	}
	if c.via(v) != "" {
		return "address not known"
	}
	return c.Proxy
}

// via is the HAProxy node that a client comes through; "" is that it comes directly.
func (c Client) via(v chain.View) string {
	host, _, _ := strings.Cut(c.Proxy, ":")
	for _, n := range v.Snapshot.Nodes {
		if n.Address == host {
			return n.Name
		}
	}
	return ""
}

func (c Client) whoVia(v chain.View) string {
	if via := c.via(v); via != "" {
		return c.who(v) + " through " + via
	}
	return c.who(v)
}

// meanings are the states of a server connection that PgBouncer has its own words for.
var meanings = map[string]string{"active": "in use", "used": "idle, checked before use", "tested": "being checked", "login": "logging in"}

func (s Server) word() string { return cmp.Or(meanings[s.State], s.State) }

// shown says how many of a list there are.
func shown(n, of int, noun, order string) string {
	if n < of {
		return "The first " + ui.Count(n) + " of " + ui.Counted(of, noun) + ": " + order
	}
	return ui.Counted(of, noun) + ": " + order
}

// fullestPrepared is the most statements that stand prepared on one of the connections.
func (c Connections) fullestPrepared() (n int64) {
	for _, s := range c.Servers {
		n = max(n, s.Prepared)
	}
	return n
}

// differing are the settings that are not the default, and those that are.
func (s Settings) differing() (differ, same []Setting) {
	for _, x := range s.List {
		if x.Value != x.Default {
			differ = append(differ, x)
		} else {
			same = append(same, x)
		}
	}
	return differ, same
}

// rate is a dash while there are no two readings to tell it from.
func rate(r fleet.PoolerRates, v float64) string {
	if r.Over == 0 {
		return "–"
	}
	return ui.Rate(v)
}

func bytes(r fleet.PoolerRates, v float64) string {
	if r.Over == 0 {
		return "–"
	}
	return perSecond(ui.Bytes(int64(v)))
}

func perSecond(text string) string {
	if text == "–" {
		return text
	}
	return text + "/s"
}

// open is how a database looks that can be connected to, by the pooler's last word.
func open(p fleet.Pooler) ui.State {
	if p.View.OK() {
		return ui.OK
	}
	return ui.Stale
}

// halves are the first of a list, and those that a page folds away.
func halves[T any](list []T) (first, more []T) {
	n := min(len(list), unfolded)
	return list[:n], list[n:]
}

const unfolded = 6

// longestWait is a dash when nobody waits.
func longestWait(n int64, longest time.Duration) string {
	if n == 0 {
		return "–"
	}
	return ui.Took(longest)
}

// reserve is what a pool may have beyond its size, in a few letters.
func reserve(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (+%d reserve)", n)
}

// budget is how the connections fit together, in sentences.
func budget(b inventory.Budget) []string {
	return []string{
		fmt.Sprintf("%s client places share %s server connections; with one pooler lost, %s share %s.",
			ui.Count(b.Clients), ui.Count(b.PoolSize), ui.Count(b.ClientsLostOne), ui.Count(b.PoolSizeLostOne)),
		fmt.Sprintf("PostgreSQL allows %s connections: %d × %d for the poolers, reserve and password look-ups included, %d direct, %d for superusers.",
			ui.Count(b.MaxConnections), b.Poolers, b.ServersEach, b.Direct, b.Superuser),
	}
}

// Verb is an order that can be given to a pooler.
type Verb string

const (
	Drain     Verb = "drain"
	Maint     Verb = "maint"
	Ready     Verb = "ready"
	Pause     Verb = "pause"
	Resume    Verb = "resume"
	Reconnect Verb = "reconnect"
	Reload    Verb = "reload"
)

var label = map[Verb]string{Drain: "Drain", Maint: "Take out (maint)", Ready: "Ready", Pause: "Pause", Resume: "Resume", Reconnect: "Reconnect", Reload: "Reload"}

// hint is what a verb does to clients, beside its button.
var hint = map[Verb]string{
	Drain:     "No new clients; those it has stay.",
	Maint:     "No clients; those it has are disconnected.",
	Ready:     "Clients come again.",
	Pause:     "Clients wait; nobody is disconnected.",
	Resume:    "Clients that wait are served.",
	Reconnect: "New connections to PostgreSQL; clients stay.",
	Reload:    "Reads its files again; clients stay.",
}

// URL is where an order is confirmed and given: /poolers/pgb1/drain; for all of them /pools/pause.
func (v Verb) URL(pooler string) string {
	if pooler == "" {
		return "/pools/" + string(v)
	}
	return "/poolers/" + pooler + "/" + string(v)
}

// rotation are the verbs about who gets clients that make sense for a pooler now, what restores first,
// then by the harm they do.
func rotation(v chain.View, p fleet.Pooler) []Verb {
	opinions := v.Opinions(p.Name)
	ordered, ready, out := false, false, len(opinions) > 0
	for _, o := range opinions {
		out = out && strings.HasPrefix(o.Word, "MAINT")
		ordered = ordered || strings.HasPrefix(o.Word, "DRAIN") || strings.HasPrefix(o.Word, "MAINT")
		ready = ready || o.Serving
	}
	var verbs []Verb
	if ordered {
		verbs = append(verbs, Ready)
	}
	if ready {
		verbs = append(verbs, Drain)
	}
	if !out {
		verbs = append(verbs, Maint)
	}
	return verbs
}

// inside are the verbs about PgBouncer itself, in the same order.
func inside(paused bool) []Verb {
	if paused {
		return []Verb{Resume, Reload, Reconnect}
	}
	return []Verb{Reload, Reconnect, Pause}
}

func paused(p fleet.Pooler) bool { return p.View.Known() && len(p.View.Value.Paused()) > 0 }

// ofAll are the verbs that all poolers can be given at once: while only some are paused, both.
func ofAll(v chain.View) []Verb {
	some := slices.ContainsFunc(v.Snapshot.Poolers, paused)
	all := !slices.ContainsFunc(v.Snapshot.Poolers, func(p fleet.Pooler) bool { return !paused(p) })
	out := inside(some)
	if some && !all {
		out = append(out, Pause)
	}
	return out
}

// restores reports whether a verb ends something: it is offered most clearly.
func (v Verb) restores() bool { return v == Ready || v == Resume }

// look is the variant of a verb's button: what restores is solid.
func (v Verb) look() string {
	if v.restores() {
		return "primary"
	}
	return "outline"
}

// Order is an order on its way: from the dry run to the page that confirms it, and back to that page
// when it was refused or failed.
type Order struct {
	Verb     Verb
	Pooler   string // "" is every pooler
	Database string // of pause, resume and reconnect; "" is every database
	For      string // of a pause, in seconds, as entered
	ui.Verdict
}

// says is what each verb means, in a sentence; %s is who.
var says = map[Verb]string{
	Drain:     "%s gets no new clients on either HAProxy. Those it has stay until they leave by themselves.",
	Maint:     "%s gets no clients on either HAProxy, and those it has are disconnected.",
	Ready:     "%s gets clients again on both HAProxies.",
	Pause:     "%s finishes the transactions that run and begins none. Clients wait, and nobody is disconnected. It ends by itself.",
	Resume:    "%s goes on: clients that wait are served.",
	Reconnect: "%s replaces every server connection as its transaction ends. Clients notice nothing but the time of a login.",
	Reload:    "%s reads its configuration files again. Nobody is disconnected.",
}

// wants is each order as a button has it; %s is who.
var wants = map[Verb]string{Drain: "Drain %s", Maint: "Take %s out (maint)", Ready: "Make %s ready", Pause: "Pause %s", Resume: "Resume %s",
	Reconnect: "Reconnect %s", Reload: "Reload %s"}

var doing = map[Verb]string{Drain: "Draining …", Maint: "Taking it out …", Ready: "Putting it back …", Pause: "Pausing …", Resume: "Resuming …",
	Reconnect: "Reconnecting …", Reload: "Reloading …"}

// Confirm is the page that asks before an order is given.
func (o Order) Confirm() ui.Confirm {
	who, back := o.Pooler, "/poolers/"+o.Pooler
	if o.Pooler == "" {
		who, back = "every pooler", "/poolers"
	}
	name := fmt.Sprintf(wants[o.Verb], who)
	if o.Database != "" {
		name += ", database " + o.Database
	}
	c := ui.Confirm{Action: o.Verb.URL(o.Pooler), Title: name + "?", Submit: name, Busy: doing[o.Verb], Cancel: back,
		Say: sentence(fmt.Sprintf(says[o.Verb], who)), Verdict: o.Verdict,
		Danger: o.Verb == Maint || o.Verb == Pause && o.Pooler == "", Reason: !o.Verb.restores()}
	if o.Verb == Pause && o.Pooler == "" && o.Database == "" {
		c.Say += " No query is answered meanwhile."
	}
	if o.Database != "" {
		c.Hidden = []ui.Hidden{{Name: "database", Value: o.Database}}
	}
	if o.Verb == Pause {
		c.Fields = []ui.Input{{Name: "for", Label: "For at most", Hint: "Sooner, if you resume it.", Value: cmp.Or(o.For, "30"), Wrong: o.Faults.Of("for"),
			Options: []ui.Option{{Value: "10", Label: "10 s"}, {Value: "30", Label: "30 s"}, {Value: "60", Label: "1 min"}, {Value: "100", Label: "1 min 40 s"}}}}
	}
	return c
}

// sentence begins with a capital.
func sentence(s string) string {
	if strings.HasPrefix(s, "every") {
		return "E" + s[1:]
	}
	return s
}
