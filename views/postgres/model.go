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
	"unicode"

	"weir/ops/incident"
	"weir/views/chain"
	"weir/views/layout"
	"weir/views/ui"
)

// Model is the page /postgres?show=busy&by=total_time&statements=queries. Its upper half is from the live chain and
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
type Trends struct{ Connections, Xacts, LongestXact, Blocked ui.Series }

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
	All     bool    // DDL, COMMIT and the like too
	Queries []Query // in that order, of every kind
	Whole   bool    // there are no more
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

// AllStatements is the parameter statements of a page with DDL, COMMIT and the like.
const AllStatements = "all"

// topShown is how many queries are listed at most, and how many of them at once.
const topShown, topOpen = 20, 10

// listed are the queries that the page lists: those that it opens with, and more.
func (t Top) listed() (first, more []Query) {
	for _, q := range t.Queries {
		if t.All || !q.utility() {
			first = append(first, q)
		}
	}
	first = first[:min(len(first), topShown)]
	if len(first) > topOpen {
		return first[:topOpen], first[topOpen:]
	}
	return first, nil
}

// share is which part of the time of all a query took; "" is that the time of all is not known.
func (t Top) share(q Query) string {
	if !t.Whole && t.By != TotalTime {
		return ""
	}
	var all time.Duration
	for _, q := range t.Queries {
		all += q.Total
	}
	p := ui.Percent(int64(q.Total), int64(all))
	if p == 0 && q.Total > 0 {
		return "< 1 %"
	}
	return strconv.FormatInt(p, 10) + " %"
}

// said is what the list is of.
func (t Top) said() string {
	text := "Counted since PostgreSQL's statistics were last reset; the most first."
	switch {
	case t.Whole:
		text += " Share is of the time of all statements."
	case t.By == TotalTime:
		text += " Share is of the time of the " + strconv.Itoa(len(t.Queries)) + " statements that took most."
	}
	if !t.All {
		text += " DDL, COMMIT and the like are left out."
	}
	return text
}

// reads are the words with which a statement begins that reads or writes rows.
var reads = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "TABLE", "COPY", "CALL", "EXECUTE", "FETCH", "DECLARE"}

// utility reports whether a query is DDL, COMMIT or the like. Of a text that is withheld nobody knows.
func (q Query) utility() bool {
	text := strings.TrimSpace(q.Text)
	for strings.HasPrefix(text, "/*") || strings.HasPrefix(text, "--") {
		end := map[bool]string{true: "*/", false: "\n"}[text[0] == '/']
		_, rest, _ := strings.Cut(text[2:], end)
		text = strings.TrimSpace(rest)
	}
	if strings.HasPrefix(text, "(") {
		return false
	}
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) })
	return len(words) == 0 || !slices.Contains(reads, strings.ToUpper(words[0]))
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

// address of this page with another list of sessions, or of queries.
func address(show Show, by Order, all bool) string {
	q := url.Values{"show": {string(show)}, "by": {string(by)}}
	if all {
		q.Set("statements", AllStatements)
	}
	return string(layout.Postgres) + "?" + q.Encode()
}

// choice is one of a few ways to see a list.
type choice struct {
	Label, URL string
	Is         bool
}

func (m Model) shows() []choice {
	return []choice{
		{"Busy", address(Busy, m.Top.By, m.Top.All), m.Show == Busy},
		{"All", address(All, m.Top.By, m.Top.All), m.Show == All},
	}
}

const topPlace = "#top-title"

func (m Model) orders() (out []choice) {
	for _, o := range []struct {
		by    Order
		label string
	}{{TotalTime, "Total time"}, {MeanTime, "Mean time"}, {Calls, "Calls"}, {Rows, "Rows"}} {
		out = append(out, choice{o.label, address(m.Show, o.by, m.Top.All) + topPlace, m.Top.By == o.by})
	}
	return out
}

func (m Model) kinds() []choice {
	return []choice{
		{"Queries", address(m.Show, m.Top.By, false) + topPlace, !m.Top.All},
		{"All statements", address(m.Show, m.Top.By, true) + topPlace, m.Top.All},
	}
}

// connections is the gauge of PostgreSQL's connections.
func connections(v chain.View) ui.Gauge {
	p := v.Snapshot.Postgres.Probe.Value
	return ui.Gauge{Label: "connections", Value: int64(p.Connections), Limit: int64(p.MaxConnections), Warn: 80, Alarm: 95}
}

// xidLimit is about where PostgreSQL refuses to write.
const xidLimit = 1 << 31

// xids is the gauge of transaction IDs, with the limits of the findings: vacuum_failsafe_age is
// at three quarters.
func xids(v chain.View) ui.Gauge {
	return ui.Gauge{Label: "transaction ID age", Value: v.Snapshot.Postgres.Probe.Value.OldestXIDAge, Limit: xidLimit, Warn: 46, Alarm: 74}
}

// large is a number of transactions, in words where its last digits say nothing.
func large(n int64) string {
	switch {
	case n >= 1e9:
		return strconv.FormatFloat(float64(n)/1e9, 'f', 2, 64) + " billion"
	case n >= 1e6:
		return ui.Rate(float64(n)/1e6) + " million"
	}
	return ui.Count(n)
}

// xidWidth is how much of the limit that is, as the bar has it.
func xidWidth(g ui.Gauge) string {
	return strconv.FormatFloat(min(max(float64(g.Value)*100/xidLimit, 0.5), 100), 'f', 1, 64) + "%"
}

// tps is the rate of transactions on the server itself.
func tps(v chain.View) string {
	if v.Snapshot.Postgres.Rates.Over == 0 {
		return "–"
	}
	return ui.Rate(v.Snapshot.Postgres.Rates.Xacts)
}

// active is how many sessions run a query.
func (a Activity) active() string {
	if a.Missing.Is() {
		return "–"
	}
	n := 0
	for _, b := range a.Backends {
		if b.State == Active {
			n++
		}
	}
	return strconv.Itoa(n)
}

// fresh is how long a server counts as just started.
const fresh = 10 * time.Minute

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
		return "waiting for a lock"
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

// whose is the program that a session works for, and where that runs: whom to ask.
func (m Model) whose(b Backend) string {
	from := m.way(b)[0]
	if b.Client == nil || b.Client.Address != "" {
		from = "from " + from
	}
	if program := b.application(); program != "" {
		return program + ", " + from
	}
	return from
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
	ui.Verdict
}

// Way is how a session came here.
func (m Model) Way(b Backend) []string { return m.way(b) }

// Confirm is the form of it.
func (a Act) Confirm() ui.Confirm {
	who := "pid " + strconv.Itoa(a.Backend.PID)
	c := ui.Confirm{Action: a.Verb.URL(a.Backend), Cancel: string(layout.Postgres), Reason: true, Danger: true, Verdict: a.Verdict}
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

func are(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

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
