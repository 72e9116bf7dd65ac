// Package postgres is the page of the database server: its limits, who does what on it and for which
// client, who blocks whom, and what it spent its time on; and the confirmation of ending any of it.
package postgres

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/ops/incident"
	"weir/views/chain"
	"weir/views/layout"
	"weir/views/ui"
)

// Model is the page /postgres?show=busy&by=total_time. Its upper half is from the live chain and
// needs nothing; Activity and Top are asked for when the page is made. The stream asks for Activity
// again, too: who answers for it keeps that to once in a few seconds.
type Model struct {
	View     chain.View
	Trends   Trends
	Activity Activity
	Show     Show
	Top      Top
	Operates bool // the viewer may cancel and terminate
}

// Trends are the last 15 minutes.
type Trends struct{ Connections, LongestXact, Blocked ui.Series }

// Show is which sessions are listed.
type Show string

const (
	Busy Show = "busy" // all but those that wait for their client
	All  Show = "all"
)

// ParseShow reads the parameter show; anything else is Busy.
func ParseShow(s string) Show {
	if Show(s) == All {
		return All
	}
	return Busy
}

// Activity is who does what.
type Activity struct {
	At       time.Time
	Backends []Backend // the oldest open transaction first
	Unknown  []string  // sentences about what could not be asked
	ui.Missing
}

// Backend is one client session of PostgreSQL. A zero moment is none.
type Backend struct {
	PID         int
	Started     time.Time
	User        string
	Database    string
	Application string
	State       State
	StateSince  time.Time
	XactSince   time.Time
	QuerySince  time.Time
	Wait        string // Lock: transactionid; "" is nothing
	BlockedBy   []int
	Query       string
	Address     string  // who connected to PostgreSQL
	Client      *Client // nil: it works for none, or that is unknown
}

// State of a session.
type State string

const (
	Active        State = "active"
	Idle          State = "idle"
	IdleInXact    State = "idle in transaction"
	FailedInXact  State = "idle in transaction (aborted)"
	StateNotKnown State = "unknown"
)

// Client is the client of a pooler that a backend works for.
type Client struct {
	Pooler       string
	User         string
	Application  string
	Since        time.Time // zero is not known
	ProxyAddress string    // HAProxy's own end, host:port
	Address      string    // its real address, host:port; "" is not known
}

// Top is what PostgreSQL spent its time on.
type Top struct {
	By      Order
	Queries []Query // in that order
	ui.Missing
}

// Order is what queries are sorted by, the most first.
type Order string

const (
	TotalTime Order = "total_time"
	MeanTime  Order = "mean_time"
	Calls     Order = "calls"
	Rows      Order = "rows"
)

// ParseOrder reads the parameter by; anything else is TotalTime.
func ParseOrder(s string) Order {
	switch o := Order(s); o {
	case MeanTime, Calls, Rows:
		return o
	}
	return TotalTime
}

// Query is one kind of query.
type Query struct {
	ID                    string
	User, Database, Text  string
	Calls, Rows           int64
	Total, Mean, Longest  time.Duration
	BlocksHit, BlocksRead int64
}

// hits is the part of its blocks that was found in memory, in per cent; "" when there was none.
func (q Query) hits() string {
	if q.BlocksHit+q.BlocksRead == 0 {
		return "–"
	}
	return strconv.FormatInt(ui.Percent(q.BlocksHit, q.BlocksHit+q.BlocksRead), 10) + " %"
}

// Fragments are the parts that the stream keeps current.
func (m Model) Fragments() []layout.Fragment {
	return []layout.Fragment{m.head(), m.limits(), m.ages(), m.trends(), m.sizes(), m.blocking(), m.sessions()}
}

func (m Model) head() layout.Fragment   { return layout.Fragment{ID: "head", Body: head(m)} }
func (m Model) limits() layout.Fragment { return layout.Fragment{ID: "limits", Body: limits(m.View)} }
func (m Model) ages() layout.Fragment   { return layout.Fragment{ID: "ages", Body: ages(m)} }
func (m Model) trends() layout.Fragment {
	return layout.Fragment{ID: "trends", Body: trends(m.Trends)}
}
func (m Model) sizes() layout.Fragment { return layout.Fragment{ID: "sizes", Body: sizes(m.View)} }
func (m Model) blocking() layout.Fragment {
	return layout.Fragment{ID: "blocking", Body: blocking(m)}
}
func (m Model) sessions() layout.Fragment {
	return layout.Fragment{ID: "sessions", Body: sessions(m)}
}

// address of this page with another list, or another order.
func address(show Show, by Order) string {
	return string(layout.Postgres) + "?" + url.Values{"show": {string(show)}, "by": {string(by)}}.Encode()
}

// connections is the gauge of PostgreSQL's connections.
func connections(v chain.View) ui.Gauge {
	p := v.Snapshot.Postgres.Probe.Value
	return ui.Gauge{Label: "connections", Value: int64(p.Connections), Limit: int64(p.MaxConnections), Warn: 80, Alarm: 95}
}

// xidLimit is about where PostgreSQL refuses to write.
const xidLimit = 1 << 31

// xids is the gauge of transaction numbers, with the limits of the findings: vacuum_failsafe_age is
// at three quarters.
func xids(v chain.View) ui.Gauge {
	return ui.Gauge{Label: "oldest xid", Value: v.Snapshot.Postgres.Probe.Value.OldestXIDAge, Limit: xidLimit, Warn: 46, Alarm: 74}
}

func total(v chain.View) (sum int64) {
	for _, s := range v.Snapshot.Postgres.Sizes.Value {
		sum += s.Bytes
	}
	return sum
}

// shown is how many sessions are listed at most.
const shown = 200

// listed are the sessions that the page lists, and how many there are besides.
func (m Model) listed() (list []Backend, more int) {
	for _, b := range m.Activity.Backends {
		if m.Show == All || b.State != Idle {
			list = append(list, b)
		}
	}
	if len(list) > shown {
		return list[:shown], len(list) - shown
	}
	return list, 0
}

// busy is how many sessions do anything.
func (m Model) busy() (n int) {
	for _, b := range m.Activity.Backends {
		if b.State != Idle {
			n++
		}
	}
	return n
}

// Look is how loud a session is.
func (b Backend) Look(now time.Time) ui.State {
	switch {
	case len(b.BlockedBy) > 0:
		return ui.Warning
	case b.State == IdleInXact || b.State == FailedInXact:
		if now.Sub(b.StateSince) >= incident.IdleLimit {
			return ui.Warning
		}
		return ui.Unknown
	case b.State == StateNotKnown:
		return ui.Unknown
	}
	return ui.OK
}

// word is the state of a session, with what it waits for.
func (b Backend) word() string {
	if len(b.BlockedBy) > 0 {
		return "blocked"
	}
	return string(b.State)
}

// since is what the age of a session counts from: its transaction, or else its state.
func (b Backend) since() (what string, t time.Time) {
	switch {
	case !b.XactSince.IsZero():
		return "transaction", b.XactSince
	case b.State == Active && !b.QuerySince.IsZero():
		return "query", b.QuerySince
	}
	return string(b.State), b.StateSince
}

// way is how a session came here: client, HAProxy node, pooler, backend.
func (m Model) way(b Backend) []string {
	pid := "pid " + strconv.Itoa(b.PID)
	c := b.Client
	if c == nil {
		return []string{cmp.Or(m.named(b.Address), "this machine"), pid}
	}
	return []string{cmp.Or(c.Address, "client not known"), cmp.Or(m.named(c.ProxyAddress), "HAProxy"), c.Pooler, pid}
}

// named is the inventory's name for an address, host:port; an address that it does not know stays.
func (m Model) named(address string) string {
	host := address
	if i := strings.LastIndex(address, ":"); i >= 0 {
		host = address[:i]
	}
	inv := m.View.Inventory
	for _, n := range slices.Concat(inv.HAProxy.Nodes, inv.PgBouncer.Poolers) {
		if n.Address.String() == host {
			return n.Name
		}
	}
	return address
}

// application is what the client calls itself: to the pooler, when it comes through one.
func (b Backend) application() string {
	if b.Client != nil {
		return cmp.Or(b.Client.Application, b.Application)
	}
	return b.Application
}

// Blocker is a session that others wait for, in a tree. Backend is nil for one that is not listed: a
// prepared transaction (PID 0), or PostgreSQL's own.
type Blocker struct {
	PID     int
	Backend *Backend
	Also    []int // it waits for these too, and stands once only
	Waiting []Blocker
}

// count is how many wait for it, for those that wait for it included.
func (b Blocker) count() int {
	n := len(b.Waiting)
	for _, w := range b.Waiting {
		n += w.count()
	}
	return n
}

// Tree is who waits for whom. On top stand those who wait for nobody; of a circle, which PostgreSQL
// breaks by itself, one of them. Every session stands in it once.
func Tree(list []Backend) []Blocker {
	t := tree{waiting: map[int][]int{}, backends: map[int]*Backend{}, placed: map[int]bool{}}
	for i := range list {
		b := &list[i]
		t.backends[b.PID] = b
		for _, pid := range b.BlockedBy {
			t.waiting[pid] = append(t.waiting[pid], b.PID)
		}
	}
	pids := make([]int, 0, len(t.waiting))
	for pid := range t.waiting {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	var roots []Blocker
	for _, circle := range []bool{false, true} {
		for _, pid := range pids {
			b := t.backends[pid]
			if !t.placed[pid] && (circle || b == nil || len(b.BlockedBy) == 0) {
				roots = append(roots, t.at(pid, 0))
			}
		}
	}
	slices.SortStableFunc(roots, func(a, b Blocker) int { return b.count() - a.count() })
	return roots
}

type tree struct {
	waiting  map[int][]int // who waits for a session
	backends map[int]*Backend
	placed   map[int]bool
}

// at is the tree below a session. parent is whom it waits for there.
func (t tree) at(pid, parent int) Blocker {
	t.placed[pid] = true
	b := Blocker{PID: pid, Backend: t.backends[pid]}
	if b.Backend != nil {
		for _, other := range b.Backend.BlockedBy {
			if other != parent {
				b.Also = append(b.Also, other)
			}
		}
	}
	for _, w := range t.waiting[pid] {
		if !t.placed[w] {
			b.Waiting = append(b.Waiting, t.at(w, pid))
		}
	}
	return b
}

// prepared is what PostgreSQL calls the holder of a lock that is a prepared transaction.
const prepared = 0

func called(pid int) string {
	if pid == prepared {
		return "A prepared transaction"
	}
	return "pid " + strconv.Itoa(pid)
}

func pids(list []int) string {
	var out []string
	for _, pid := range list {
		if pid == prepared {
			out = append(out, "a prepared transaction")
			continue
		}
		out = append(out, strconv.Itoa(pid))
	}
	return strings.Join(out, ", ")
}

// Verb is an order to a session.
type Verb string

const (
	Cancel    Verb = "cancel"
	Terminate Verb = "terminate"
)

// URL is where an order is confirmed and given: /postgres/backends/4211/cancel?started=...; started
// keeps it from hitting another session that has the number later.
func (v Verb) URL(b Backend) string {
	return fmt.Sprintf("%s/backends/%d/%s?%s", layout.Postgres, b.PID, v, url.Values{"started": {b.Started.UTC().Format(time.RFC3339Nano)}}.Encode())
}

// Act is an order on its way, as pool.Order. Backend is as it was when the page was made; one that is
// gone has nothing but its PID and Started.
type Act struct {
	Verb    Verb
	Backend Backend
	Way     []string // see Model.Way
	Reason  string   // as entered
	Effects []string
	Refused []string
	Failed  []string
	Faults  ui.Faults
	Checked time.Time
	Clock   ui.Clock
}

// Way is how a session came here.
func (m Model) Way(b Backend) []string { return m.way(b) }

// Confirm is the form of it.
func (a Act) Confirm() ui.Confirm {
	who := "pid " + strconv.Itoa(a.Backend.PID)
	c := ui.Confirm{Action: a.Verb.URL(a.Backend), Cancel: string(layout.Postgres), Effects: a.Effects, Refused: a.Refused, Failed: a.Failed,
		Reason: true, Text: a.Reason, Faults: a.Faults, Checked: a.Checked, Clock: a.Clock, Danger: true}
	if a.Verb == Cancel {
		c.Title, c.Submit, c.Busy = "Cancel the query of "+who+"?", "Cancel the query", "Cancelling …"
		c.Say = "Its query ends with an error. The session and its client stay connected; a transaction that it is in has failed."
		return c
	}
	c.Title, c.Submit, c.Busy = "Terminate "+who+"?", "Terminate the session", "Terminating …"
	c.Say = "The session ends, its transaction is rolled back, and its client is disconnected."
	return c
}

func loudBlocked(n int) ui.State {
	if n > 0 {
		return ui.Warning
	}
	return ui.OK
}

func seconds(v float64) string { return ui.Took(time.Duration(v * float64(time.Second))) }

func waits(n int) string {
	if n == 1 {
		return "waits"
	}
	return "wait"
}

// start is the beginning of a statement, in one line.
func start(text string) string {
	line := []rune(strings.Join(strings.Fields(text), " "))
	if len(line) > 80 {
		return string(line[:80]) + " …"
	}
	return string(line)
}
