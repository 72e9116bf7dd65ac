// Package chain reads a snapshot as the pages show it: how each part of the chain is, in one state
// and one word, and what stands behind it. All of it is pure; the clock comes with the view.
package chain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/incident"
	"weir/ops/inventory"
	"weir/ops/word"
	"weir/views/ui"
)

// View is the chain at one moment, as far as a page needs to know it.
type View struct {
	Clock     ui.Clock
	Snapshot  *fleet.Snapshot
	Inventory *inventory.Inventory
	// Findings are what incident.Findings says of the snapshot. They need no database.
	Findings []incident.Finding
	// Open are the incidents that are not over: rows, or those of a Book that the server advances
	// itself, which needs no database. They say since when; and a finding that counts only after a
	// while (its After) is certain when it has one.
	Open []incident.Incident
	// Pauses are those that were ordered, as far as they could be read; PausesUnread says that they could not.
	Pauses       []Pause
	PausesUnread bool
}

// Mark is a state with its word.
type Mark struct {
	State ui.State
	Word  string
}

// quiet is how long nothing may be read until the console itself counts as cut off.
func (v View) quiet() time.Duration {
	return 3*v.Inventory.Poll.Interval.Duration + v.Inventory.Poll.Timeout.Duration
}

// Deaf reports whether the console itself has read nothing for too long.
func (v View) Deaf() bool {
	return v.Snapshot.At.IsZero() || v.Clock.Now.Sub(v.Snapshot.At) > v.quiet()
}

// Certain are the findings that stand on enough evidence to be said, the symptoms of another left
// out; the loudest first.
func (v View) Certain() []incident.Finding {
	var out []incident.Finding
	for _, f := range v.Findings {
		if v.certain(f) && !v.symptom(f) {
			out = append(out, f)
		}
	}
	slices.SortStableFunc(out, func(a, b incident.Finding) int { return rank(b) - rank(a) })
	return out
}

func (v View) certain(f incident.Finding) bool {
	return !f.Unsure && (f.After == 0 || v.Incident(f) != "")
}

func rank(f incident.Finding) int {
	switch {
	case f.Planned:
		return 0
	case f.Severity == incident.Critical:
		return 3
	case f.Severity == incident.Warning:
		return 2
	}
	return 1
}

// symptom reports whether another certain finding explains this one.
func (v View) symptom(f incident.Finding) bool {
	return slices.ContainsFunc(v.Findings, func(root incident.Finding) bool {
		return v.certain(root) && root.Accounts(f.Cause) && !v.older(f, root)
	})
}

// older reports whether a fault was there before another that would explain it, which may have no incident yet.
func (v View) older(f, root incident.Finding) bool {
	explains := v.open(root)
	if explains.ID == "" {
		explains = incident.Incident{Finding: root, OpenedAt: v.Clock.Now}
	}
	return v.open(f).Before(explains)
}

// StateOf is how a finding looks.
func StateOf(f incident.Finding) ui.State {
	switch {
	case f.Planned:
		return ui.Planned
	case f.Severity == incident.Critical:
		return ui.Critical
	case f.Severity == incident.Warning:
		return ui.Warning
	}
	return ui.OK
}

// open is a finding's open incident; the zero one is none.
func (v View) open(f incident.Finding) incident.Incident {
	for _, i := range v.Open {
		if i.Cause == f.Cause {
			return i
		}
	}
	return incident.Incident{}
}

// Since is since when a finding has been there; zero when it is not known.
func (v View) Since(f incident.Finding) time.Time { return v.open(f).Since }

// Incident is the id of a finding's open incident; "" is none.
func (v View) Incident(f incident.Finding) string { return v.open(f).ID }

// raised is a mark at least as loud as the findings about its subject. The word stays the part's own,
// unless it says that all is well, or that nothing is known.
func (v View) raised(m Mark, subject string) Mark {
	for _, f := range v.Certain() {
		if f.Subject != subject {
			continue
		}
		if s := StateOf(f); ui.Louder(m.State, s) != m.State {
			if m.State == ui.OK || m.State == ui.Stale || m.State == ui.Unknown {
				m.Word = strings.TrimPrefix(strings.TrimPrefix(f.Title, subject+" "), "PostgreSQL ")
			}
			m.State = s
		}
	}
	if m.State == ui.OK && slices.ContainsFunc(v.Unsettled(), func(i incident.Incident) bool { return i.Subject == subject && i.State == incident.Flapping }) {
		return Mark{ui.Warning, m.Word + ", flapping"}
	}
	return m
}

// Unsettled are incidents that are open though nothing is found now: they flap, or have just ended.
func (v View) Unsettled() []incident.Incident {
	var out []incident.Incident
	for _, i := range v.Open {
		found := slices.ContainsFunc(v.Findings, func(f incident.Finding) bool { return f.Cause == i.Cause })
		if !found && !i.Planned && i.Severity != incident.Info && (i.State == incident.Flapping || i.State == incident.Recovering) {
			out = append(out, i)
		}
	}
	return out
}

// Opinion is what one HAProxy node says about one pooler.
type Opinion struct {
	Node string
	Mark
	Serving bool      // sends it new connections
	Check   string    // outcome of the last check: L7OK
	Said    string    // what the pooler said to it
	Changed time.Time // when Lasts began; zero is not known
	Lasts   string    // what has lasted since Changed where that is not Word: UP, as HAProxy does not tell since when it drains
	Seen    time.Time // when the node was heard; zero is never
	Current bool      // it was heard in the last reading
	Inner   []string  // what each process of the node says, where they differ
}

// Opinions are what every node says about a pooler, in the order of the inventory.
func (v View) Opinions(pooler string) []Opinion {
	out := make([]Opinion, len(v.Snapshot.Nodes))
	for i, n := range v.Snapshot.Nodes {
		out[i] = opinion(n, pooler)
	}
	return out
}

func opinion(n fleet.Node, pooler string) Opinion {
	o := Opinion{Node: n.Name, Mark: Mark{ui.Unknown, "not heard"}, Seen: n.Stats.Seen, Current: n.Stats.OK()}
	row, ok := n.Server(pooler)
	if !ok {
		if n.Stats.Known() {
			o.Word = "not configured"
		}
		return o
	}
	up := row.State.Serving()
	o.Check, o.Said = row.Check, row.LastCheck
	o.Serving = up && row.Admin.String() == "ready"
	if row.LastChange > 0 {
		o.Changed = changed(n.Stats.Seen, row.LastChange)
	}
	for _, d := range row.Disagree {
		o.Inner = append(o.Inner, d.Process+": "+operational(d.State.String(), d.Health.Passed, d.Health.Of)+", "+d.Admin.String())
	}
	o.Mark = Mark{ui.OK, operational(row.State.String(), row.Health.Passed, row.Health.Of)}
	switch admin := row.Admin.String(); {
	case admin == "maint":
		o.Mark = Mark{ui.Planned, "MAINT"}
	case admin == "drain":
		o.Lasts, o.Mark = o.Word, Mark{ui.Planned, "DRAIN"}
		if !up {
			o.Word = "DRAIN, DOWN"
		}
	case !up:
		o.State = ui.Critical
	case row.Health.Of > 0:
		o.State = ui.Warning
	}
	if !o.Current {
		o.State = ui.Stale
	}
	return o
}

// changed is when a state began that HAProxy says is so old, in whole seconds. What is long ago is
// rounded, or it would be another second with every reading.
func changed(seen time.Time, ago time.Duration) time.Time {
	if ago > 10*time.Minute {
		return seen.Add(-ago).Round(time.Minute)
	}
	return seen.Add(-ago).Truncate(time.Second)
}

// operational is HAProxy's own way to write a state: UP, DOWN, UP 1/3.
func operational(state string, passed, of int) string {
	state, _, _ = strings.Cut(state, " going")
	if of > 0 {
		return fmt.Sprintf("%s %d/%d", state, passed, of)
	}
	return state
}

// Disputed reports whether nodes, or processes of one, that were heard in the last reading differ in
// what they say of a pooler.
func Disputed(opinions []Opinion) bool {
	var first *Opinion
	for i := range opinions {
		o := &opinions[i]
		if !o.Current {
			continue
		}
		if len(o.Inner) > 0 || first != nil && (o.Serving != first.Serving || o.State != first.State) {
			return true
		}
		first = o
	}
	return false
}

// Pooler is how a pooler is.
func (v View) Pooler(p fleet.Pooler) Mark { return v.raised(v.pooler(p), p.Name) }

func (v View) pooler(p fleet.Pooler) Mark {
	opinions := v.Opinions(p.Name)
	if Disputed(opinions) {
		return Mark{ui.Warning, "disputed"}
	}
	i := slices.IndexFunc(opinions, func(o Opinion) bool { return o.Current })
	switch {
	case i < 0 && !p.View.Known():
		return Mark{ui.Unknown, "unknown"}
	case i < 0 && p.View.OK():
		return Mark{ui.Unknown, "no HAProxy heard"}
	case i < 0:
		return Mark{ui.Stale, "not heard"}
	}
	o := opinions[i]
	switch {
	case o.State == ui.Planned && strings.HasPrefix(o.Word, "MAINT"):
		return Mark{ui.Planned, "in maint"}
	case o.State == ui.Planned:
		return Mark{ui.Planned, "drained"}
	case o.State == ui.Critical:
		return Mark{ui.Critical, "down"}
	case o.State == ui.Warning:
		return Mark{ui.Warning, o.Word}
	case o.State == ui.Unknown:
		return Mark{ui.Unknown, o.Word}
	case p.View.Known() && len(p.View.Value.Paused()) > 0:
		return Mark{ui.Planned, "paused"}
	case !p.View.OK():
		return Mark{ui.Stale, "serves, not read"}
	case v.Postgres().State == ui.Critical:
		return Mark{ui.Warning, "up, no server"}
	}
	return Mark{ui.OK, "serves"}
}

// Node is how a HAProxy node is: by its own word, and by what its statistics say.
func (v View) Node(n fleet.Node) Mark { return v.raised(v.node(n), n.Name) }

func (v View) node(n fleet.Node) Mark {
	s := n.State.Value
	switch {
	case !n.State.Known():
		return Mark{ui.Unknown, "never heard"}
	case !n.State.OK():
		return Mark{ui.Stale, "not heard"}
	case s.VIP && len(v.Snapshot.Holders()) > 1:
		return Mark{ui.Critical, "also holds the VIP"}
	case s.VIP:
		return Mark{ui.OK, "holds the VIP"}
	case s.Hold:
		return Mark{ui.Planned, "held back"}
	case !s.Keepalived:
		return Mark{ui.Warning, "keepalived dead"}
	case s.VRRP == "FAULT" || !s.Ready:
		return Mark{ui.Warning, "could not take over"}
	}
	return Mark{ui.OK, "stands by"}
}

// Evidence is one observation about something, and how it speaks.
type Evidence struct {
	Mark
	Seen time.Time // of the observation; zero leaves it out
}

// VIP is who holds the address, by evidence.
func (v View) VIP() (Mark, []Evidence) {
	s := v.Snapshot
	holders := s.Holders()
	mark := Mark{ui.OK, "on " + strings.Join(holders, " and ")}
	switch {
	case len(holders) > 1:
		mark.State = ui.Critical
	case len(holders) == 0 && s.VIP.Answers.OK():
		mark = Mark{ui.Unknown, "answers; no holder seen"}
	case len(holders) == 0 && len(s.Heard()) == len(s.Nodes):
		mark = Mark{ui.Critical, "held by nobody"}
	case len(holders) == 0:
		mark = Mark{ui.Unknown, "holder not known"}
	}
	return mark, append(v.answers(), v.claims()...)
}

// answers is what came of asking the address itself.
func (v View) answers() []Evidence {
	a, vip := v.Snapshot.VIP.Answers, v.Snapshot.VIP.Address
	host, _, _ := strings.Cut(vip, ":")
	switch {
	case a.OK():
		return []Evidence{{Mark{ui.OK, a.Value + " answers at " + host}, a.Seen}}
	case a.Known():
		return []Evidence{{Mark{ui.Warning, "nobody answers at " + host + "; last did " + a.Value}, a.Seen}}
	case a.Asked():
		return []Evidence{{Mark{ui.Warning, "nobody answers at " + host}, time.Time{}}}
	}
	return []Evidence{{Mark{ui.Unknown, "who answers at " + host + " was not asked yet"}, time.Time{}}}
}

// claims is what each node says about the address and the keepalived beside it.
func (v View) claims() []Evidence {
	var out []Evidence
	for _, n := range v.Snapshot.Nodes {
		s := n.State.Value
		switch {
		case !n.State.Known():
			out = append(out, Evidence{Mark{ui.Unknown, n.Name + " was never heard"}, time.Time{}})
		case !n.State.OK():
			out = append(out, Evidence{Mark{ui.Stale, n.Name + " is not heard"}, n.State.Seen})
		case s.VIP:
			out = append(out, Evidence{Mark{claim(s.VRRP == "MASTER", s.Keepalived), n.Name + " has the VIP" + vrrp(s)}, time.Time{}})
		default:
			out = append(out, Evidence{Mark{claim(s.VRRP != "MASTER", s.Keepalived), n.Name + standsBy(s) + vrrp(s)}, time.Time{}})
		}
	}
	return out
}

func claim(consistent, keepalived bool) ui.State {
	if consistent && keepalived {
		return ui.OK
	}
	return ui.Warning
}

func standsBy(s haproxy.NodeState) string {
	if s.VRRP == "BACKUP" && s.Keepalived {
		return " stands by"
	}
	return " does not have the VIP"
}

func vrrp(s haproxy.NodeState) string {
	if s.Keepalived {
		return " (VRRP " + s.VRRP + ")"
	}
	return " (keepalived dead)"
}

// Through is whether a query goes the whole way.
func (v View) Through() Mark {
	t := v.Snapshot.VIP.Through
	switch {
	case t.OK():
		return Mark{ui.OK, "a query through it took " + ui.Took(t.Value.Elapsed)}
	case t.Known():
		return Mark{ui.Critical, "no query gets through"}
	case t.Asked():
		return Mark{ui.Critical, "no query got through yet"}
	}
	return Mark{ui.Unknown, "no query was tried yet"}
}

// Postgres is how the database server is.
func (v View) Postgres() Mark {
	p := v.Snapshot.Postgres
	m := Mark{ui.OK, "serves"}
	switch {
	case !p.Probe.Known():
		m = Mark{ui.Unknown, "never heard"}
	case !p.Probe.OK():
		m = Mark{ui.Stale, "not heard"}
	case p.Probe.Value.InRecovery:
		m = Mark{ui.Warning, "in recovery"}
	}
	return v.raised(m, p.Name)
}

// Sentence is how the chain is, in one line, and what to do.
type Sentence struct {
	Mark
	Brief    string    // the word in two or three, for the head of every page
	Since    time.Time // zero is not known
	Impact   string
	Action   string
	Incident string // id; "" is none
	Page     string // of the part that it is about; "" is none of its own
	Part     string // that part: pgb2
	Others   []Other
}

// page is where a part of the chain is shown.
func (v View) page(name string) string {
	switch {
	case slices.ContainsFunc(v.Snapshot.Poolers, func(p fleet.Pooler) bool { return p.Name == name }):
		return "/poolers/" + name
	case slices.ContainsFunc(v.Snapshot.Nodes, func(n fleet.Node) bool { return n.Name == name }):
		return "/haproxy#" + name
	case name == v.Snapshot.Postgres.Name:
		return "/postgres"
	}
	return ""
}

// Other is a finding beside the one that the sentence is about.
type Other struct {
	Mark
	Since time.Time
	Href  string // of its incident, or of the part that it is about; "" is neither
}

// More says that the sentence does not tell all: and 2 more. "" is that it does.
func (s Sentence) More() string {
	if len(s.Others) == 0 {
		return ""
	}
	return "and " + ui.Count(len(s.Others)) + " more"
}

// Sentence says how the chain is.
func (v View) Sentence() Sentence {
	if v.Snapshot.At.IsZero() {
		return Sentence{Mark: Mark{ui.Unknown, "Nothing is known yet"}, Brief: "not known yet", Impact: "The console has just started and reads every part for the first time."}
	}
	if v.Deaf() {
		return Sentence{Mark: Mark{ui.Stale, "This is not current"}, Brief: "not current", Since: v.Snapshot.At,
			Impact: "The console has read nothing since. What stands below is how the chain was then.",
			Action: "Try a query through " + v.Snapshot.VIP.Address + " from another machine, and look at the console's network."}
	}
	certain := v.Certain()
	if len(certain) == 0 || rank(certain[0]) == 0 {
		return v.well(certain)
	}
	first := certain[0]
	s := Sentence{Mark: Mark{StateOf(first), first.Title}, Brief: first.Title, Page: v.page(first.Subject), Part: first.Subject, Since: v.Since(first), Impact: first.Impact, Action: first.Action,
		Incident: v.Incident(first), Others: append(v.others(certain[1:]), v.unseen(first)...)}
	if faults := slices.DeleteFunc(slices.Clone(s.Others), func(o Other) bool { return o.State == ui.Planned }); len(faults) > 0 {
		s.Brief += ", " + ui.Count(len(faults)) + " more"
	}
	return s
}

// unseen are faults that are open beside the first, though nothing is found of them now: they flap, have just
// ended, or cannot be looked at while nothing answers.
func (v View) unseen(first incident.Finding) []Other {
	var out []Other
	for _, i := range v.Unsettled() {
		out = append(out, v.unsettledOther(i))
	}
	for _, i := range v.Open {
		if first.Kind == incident.MonitorBlind && i.Cause != first.Cause && !i.Planned && i.State == incident.Firing {
			out = append(out, Other{Mark{ui.Stale, "“" + i.Title + "” was open before"}, i.Since, v.href(i.ID, i.Subject)})
		}
	}
	return out
}

func (v View) unsettledOther(i incident.Incident) Other {
	if flaps(i) > 0 {
		return Other{Mark{ui.Warning, "“" + i.Title + "” is flapping"}, i.OpenedAt, v.href(i.ID, i.Subject)}
	}
	return Other{Mark{ui.Warning, "“" + i.Title + "” has just ended"}, time.Time{}, v.href(i.ID, i.Subject)}
}

// href leads to an incident, or to the part that it is about where it has none yet.
func (v View) href(incident, subject string) string {
	if incident != "" {
		return "/incidents/" + incident
	}
	return v.page(subject)
}

// well is the sentence when at most planned work is found. A query that does not get through says
// otherwise before any finding is certain, unless it is the planned work that keeps it.
func (v View) well(planned []incident.Finding) Sentence {
	slices.SortStableFunc(planned, func(a, b incident.Finding) int { return halting(b) - halting(a) })
	through := v.Through()
	switch {
	case len(planned) > 0 && (through.State == ui.OK || halting(planned[0]) > 0):
		return v.planned(planned)
	case through.State == ui.Unknown:
		return Sentence{Mark: Mark{ui.Unknown, "Nothing is wrong so far"}, Brief: "not known yet", Impact: "Whether a query gets through the VIP was not tried yet.", Others: v.others(planned)}
	case through.State != ui.OK:
		return Sentence{Mark: Mark{ui.Warning, "A query through the VIP just failed"}, Brief: "a query failed", Impact: "Whether that is more than a moment shows in a second or two.", Others: v.others(planned)}
	}
	if list := v.Unsettled(); len(list) > 0 {
		return v.unsettled(list)
	}
	return Sentence{Mark: Mark{ui.OK, "Everything serves"}, Brief: "all serves", Impact: v.summary()}
}

// unsettled is the sentence when all serves, and it is too early to look away.
func (v View) unsettled(list []incident.Incident) Sentence {
	slices.SortStableFunc(list, func(a, b incident.Incident) int { return flaps(b) - flaps(a) })
	first := list[0]
	s := Sentence{Mark: Mark{ui.OK, "Everything serves again"}, Brief: "serves again", Impact: v.summary()}
	if flaps(first) > 0 {
		s = Sentence{Mark: Mark{ui.Warning, "Everything serves now, but “" + first.Title + "” is flapping"}, Brief: first.Title + ", flapping", Page: v.page(first.Subject), Part: first.Subject, Since: first.OpenedAt, Incident: first.ID,
			Impact: "It came back " + ui.Counted(first.Flaps, "time") + " already. " + v.summary()}
		list = list[1:]
	}
	for _, i := range list {
		s.Others = append(s.Others, v.unsettledOther(i))
	}
	return s
}

// flaps is 1 for an incident that comes and goes.
func flaps(i incident.Incident) int {
	if i.State == incident.Flapping {
		return 1
	}
	return 0
}

func (v View) planned(list []incident.Finding) Sentence {
	f := list[0]
	s := Sentence{Mark: Mark{ui.Planned, "Everything serves, with planned work: " + f.Title}, Brief: f.Title, Since: v.Since(f), Impact: f.Impact, Action: f.Action,
		Incident: v.Incident(f), Others: append(v.others(list[1:]), v.unseen(f)...)}
	if halting(f) > 0 {
		s.Word = "Planned work: " + f.Title
	}
	return s
}

// halting is 1 for planned work during which clients wait.
func halting(f incident.Finding) int {
	if f.Kind == incident.PoolPaused || f.Kind == incident.PostgresDown {
		return 1
	}
	return 0
}

func (v View) others(findings []incident.Finding) []Other {
	var out []Other
	for _, f := range findings {
		out = append(out, Other{Mark{StateOf(f), f.Title}, v.Since(f), v.href(v.Incident(f), f.Subject)})
	}
	return out
}

// summary is what serves, in a line.
func (v View) summary() string {
	serving := 0
	for _, p := range v.Snapshot.Poolers {
		if slices.ContainsFunc(v.Opinions(p.Name), func(o Opinion) bool { return o.Current && o.Serving }) {
			serving++
		}
	}
	vip, _ := v.VIP()
	held := "the VIP is " + vip.Word
	if vip.State == ui.Unknown {
		held = "who holds the VIP is not known"
	}
	return fmt.Sprintf("%d of %s serve, %s, %s.", serving, ui.Counted(len(v.Snapshot.Poolers), "pooler"), held, v.Through().Word)
}

// Reason is an error in one line that fits a phone.
func Reason(err error) string {
	if err == nil {
		return ""
	}
	return word.Because(err)
}

// Waiting is how loud it is that so many clients wait, by the findings' own limits.
func Waiting(n int64, longest time.Duration) ui.State {
	switch {
	case n > 0 && longest >= incident.WaitCritical:
		return ui.Critical
	case n > 0 && longest >= incident.WaitWarning:
		return ui.Warning
	}
	return ui.OK
}

// LongXact is how loud the age of a transaction is, IdleXact how long one of its sessions has been idle
// in it, by the same limits.
func LongXact(d time.Duration) ui.State { return past(d, incident.TransactionLimit) }
func IdleXact(d time.Duration) ui.State { return past(d, incident.IdleLimit) }

func past(d, limit time.Duration) ui.State {
	if d >= limit {
		return ui.Warning
	}
	return ui.OK
}

// InTheWay is what keeps a query through the VIP from PostgreSQL while that itself answers: the pools are paused.
// "" is nothing, or that PostgreSQL does not answer.
func (v View) InTheWay() string {
	s := v.Snapshot
	if !s.Postgres.Probe.OK() || v.Through().State != ui.Critical {
		return ""
	}
	for _, f := range v.Certain() {
		switch f.Kind {
		case incident.NoHAProxy:
			return "no HAProxy answers"
		case incident.VIPNobody:
			return "no node holds it"
		case incident.NoPooler:
			return "no pooler serves"
		}
	}
	paused := slices.ContainsFunc(s.Poolers, func(p fleet.Pooler) bool {
		return slices.ContainsFunc(p.View.Value.Paused(), func(database string) bool { return database == "*" || database == fleet.OwnDatabase })
	})
	if paused {
		return "the pools are paused"
	}
	return "no query gets through it"
}

// Xacts is what PostgreSQL's own transactions a second are called, and over how long they are counted: beside the
// poolers' of the last second they trail, as its sessions tell their statistics late.
func Xacts(p fleet.Postgres) string {
	if p.Rates.Over == 0 {
		return "tps"
	}
	return "tps over " + ui.Span(min(p.Rates.Over, 10*time.Second))
}
