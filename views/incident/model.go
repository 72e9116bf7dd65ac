// Package incident is the pages of what broke: what is open now, which needs no database, what is
// over, and one incident with its timeline.
package incident

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"weir/ops/incident"
	"weir/views/chain"
	"weir/views/layout"
	"weir/views/metric"
	"weir/views/ui"
)

// Incident is one, as lists have it.
type Incident struct {
	ID         string // "" has no page: the database has not got it yet
	Cause      string
	Subject    string // host; "" is the chain as a whole
	Severity   incident.Severity
	State      incident.State
	Planned    bool
	Title      string
	Flaps      int
	Symptoms   []string // causes
	OpenedAt   time.Time
	ResolvedAt time.Time // zero while it is open

	AcknowledgedAt     time.Time // zero is not
	AcknowledgedBy     string
	AcknowledgedReason string
}

// Open reports whether it is not over.
func (i Incident) Open() bool { return i.ResolvedAt.IsZero() }

// Kind of an incident: what its cause begins with.
func (i Incident) Kind() incident.Kind {
	kind, _, _ := strings.Cut(i.Cause, "/")
	return incident.Kind(kind)
}

// Lasted is how long it was open, or has been.
func (i Incident) Lasted(now time.Time) time.Duration {
	return cmp.Or(i.ResolvedAt, now).Sub(i.OpenedAt)
}

// Look is how loud it is to look at: what is over is quiet.
func (i Incident) Look() ui.State {
	switch {
	case !i.Open():
		return ui.OK
	case i.Planned || i.State == incident.Planned:
		return ui.Planned
	case i.Severity == incident.Critical:
		return ui.Critical
	case i.Severity == incident.Warning:
		return ui.Warning
	}
	return ui.Unknown
}

var stateWord = map[incident.State]string{incident.Suspect: "suspected", incident.Firing: "open", incident.Recovering: "recovering",
	incident.Flapping: "comes and goes", incident.Planned: "planned", incident.OK: "over"}

// Word is its state in a word or two.
func (i Incident) Word() string {
	if !i.Open() {
		return "over"
	}
	return cmp.Or(stateWord[i.State], string(i.State))
}

// URL of its page.
func (i Incident) URL() string { return string(layout.Incidents) + "/" + url.PathEscape(i.ID) }

// Now is what is open as the console itself knows it, the newest first: no database is asked.
func Now(v chain.View) []Incident {
	var out []Incident
	for _, i := range v.Open {
		out = append(out, Incident{ID: i.ID, Cause: i.Cause, Subject: i.Subject, Severity: i.Severity, State: i.State, Planned: i.Planned, Title: i.Title,
			Flaps: i.Flaps, Symptoms: i.Symptoms, OpenedAt: i.OpenedAt})
	}
	slices.SortStableFunc(out, func(a, b Incident) int { return b.OpenedAt.Compare(a.OpenedAt) })
	return out
}

// ListModel is the page /incidents.
type ListModel struct {
	Clock    ui.Clock
	Now      []Incident // open ones; see Now
	Filter   Filter
	Hosts    []string // of the inventory
	History  []Incident
	Recovery Recovery // of the last 30 days
	Pager    ui.Pager
	ui.Missing
}

// Fragments are the parts that the stream keeps current.
func (m ListModel) Fragments() []layout.Fragment { return []layout.Fragment{m.now()} }

func (m ListModel) now() layout.Fragment {
	return layout.Fragment{ID: "open", Body: open(m.Clock, m.Now)}
}

// Filter is what of the history is asked for, as the address has it; "" is all.
type Filter struct {
	State    string // open, over
	Severity incident.Severity
	Kind     incident.Kind
	Host     string
	From, To time.Time // when it began; zero is no limit
	Faults   ui.Faults
	From0    string // as entered, when it is wrong
	To0      string
}

// ParseFilter reads state, severity, kind, host, from and to of an address; moments as
// metric.ParseRange has them.
func ParseFilter(q url.Values, c ui.Clock) Filter {
	f := Filter{State: q.Get("state"), Severity: incident.Severity(q.Get("severity")), Kind: incident.Kind(q.Get("kind")), Host: q.Get("host")}
	zone := c.Zone
	if named, err := time.LoadLocation(q.Get("tz")); err == nil && q.Get("tz") != "" {
		zone = named
	}
	moment := func(field string, entered *string) time.Time {
		if q.Get(field) == "" {
			return time.Time{}
		}
		t, err := metric.ParseMoment(q.Get(field), zone)
		if err != nil {
			*entered = q.Get(field)
			f.Faults = append(f.Faults, ui.Fault{Field: field, Message: "That is no moment: write it like 2026-11-23T14:05."})
		}
		return t
	}
	f.From, f.To = moment("from", &f.From0), moment("to", &f.To0)
	return f
}

// Any reports whether anything is left out.
func (f Filter) Any() bool {
	return f.State != "" || f.Severity != "" || f.Kind != "" || f.Host != "" || !f.From.IsZero() || !f.To.IsZero()
}

// Admits reports whether an incident passes.
func (f Filter) Admits(i Incident) bool {
	switch {
	case f.State == "open" && !i.Open(), f.State == "over" && i.Open(),
		f.Severity != "" && f.Severity != i.Severity,
		f.Kind != "" && f.Kind != i.Kind(),
		f.Host != "" && f.Host != i.Subject,
		!f.From.IsZero() && i.OpenedAt.Before(f.From),
		!f.To.IsZero() && i.OpenedAt.After(f.To):
		return false
	}
	return true
}

// Query is the filter as an address has it, the same for everybody; "" admits all.
func (f Filter) Query() string {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	moment := func(name string, t time.Time) {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339))
		}
	}
	set("state", f.State)
	set("severity", string(f.Severity))
	set("kind", string(f.Kind))
	set("host", f.Host)
	moment("from", f.From)
	moment("to", f.To)
	return q.Encode()
}

// Kinds are all that there can be.
var Kinds = []incident.Kind{incident.PoolerDown, incident.PoolerHung, incident.PoolerUnreachable, incident.PoolerDrained, incident.PoolerMaint,
	incident.PoolerUnseen, incident.PoolerDisputed, incident.NoPooler, incident.HAProxyUnreachable, incident.HAProxyUnread, incident.NoHAProxy,
	incident.VIPNobody, incident.VIPTwice, incident.VIPMoved, incident.VIPOrdered, incident.KeepalivedDead, incident.RedundancyLost,
	incident.PostgresDown, incident.PostgresUnseen, incident.PostgresUnreachable, incident.ClientsWaiting, incident.PlacesUsed, incident.NoSpare,
	incident.PoolPaused, incident.PauseForgotten, incident.ConnectionsHigh, incident.TransactionLong, incident.TransactionIdle, incident.XIDAge,
	incident.MonitorBlind}

func (m ListModel) fields() []ui.Input {
	f := m.Filter
	choice := func(name, label, value string, all string, options ...ui.Option) ui.Input {
		return ui.Input{Name: name, Label: label, Value: value, Options: append([]ui.Option{{Label: all}}, options...)}
	}
	var kinds, hosts []ui.Option
	for _, k := range Kinds {
		kinds = append(kinds, ui.Option{Value: string(k), Label: string(k)})
	}
	for _, h := range m.Hosts {
		hosts = append(hosts, ui.Option{Value: h, Label: h})
	}
	return []ui.Input{
		choice("state", "State", f.State, "all", ui.Option{Value: "open", Label: "open"}, ui.Option{Value: "over", Label: "over"}),
		choice("severity", "Severity", string(f.Severity), "any", ui.Option{Value: "critical", Label: "critical"}, ui.Option{Value: "warning", Label: "warning"}, ui.Option{Value: "info", Label: "info"}),
		choice("kind", "Kind", string(f.Kind), "any", kinds...),
		choice("host", "Host", f.Host, "any", hosts...),
		m.moment("from", "Began after", f.From0, f.From),
		m.moment("to", "Began before", f.To0, f.To),
	}
}

func (m ListModel) moment(name, label, entered string, t time.Time) ui.Input {
	return metric.MomentField(name, label, entered, m.Filter.Faults.Of(name), t, m.zone())
}

func (m ListModel) zone() *time.Location {
	if m.Clock.Zone == nil {
		return time.UTC
	}
	return m.Clock.Zone
}

// Recovery is how long incidents take to be over. Planned ones, and those that only want to be known,
// are no outages and do not count.
type Recovery struct {
	Count                 int
	Mean, Median, Longest time.Duration
}

// Recover counts incidents that are over.
func Recover(list []Incident) Recovery {
	var took []time.Duration
	for _, i := range list {
		if !i.Open() && !i.Planned && i.Severity != incident.Info {
			took = append(took, i.Lasted(i.ResolvedAt))
		}
	}
	if len(took) == 0 {
		return Recovery{}
	}
	slices.Sort(took)
	sum := time.Duration(0)
	for _, d := range took {
		sum += d
	}
	return Recovery{Count: len(took), Mean: sum / time.Duration(len(took)), Median: took[len(took)/2], Longest: took[len(took)-1]}
}

// Event is one transition.
type Event struct {
	At       time.Time
	Kind     incident.Change
	From, To incident.State // "" is not known
	Text     string
	Evidence []string
}

// Look is how a transition looks.
func (e Event) Look(s incident.Severity) ui.State {
	switch e.To {
	case incident.OK:
		return ui.OK
	case incident.Planned:
		return ui.Planned
	case incident.Suspect, incident.Recovering:
		return ui.Unknown
	}
	if s == incident.Critical {
		return ui.Critical
	}
	if s == incident.Warning {
		return ui.Warning
	}
	return ui.Unknown
}

// Notification is what was said about it.
type Notification struct {
	Channel   string // slack, webhook
	Reason    string // first, escalated, reminder, resolved
	State     string // pending, sent, failed, collapsed
	Attempts  int
	CreatedAt time.Time
	SentAt    time.Time
	Error     string // of the last attempt
}

// Look is how a notification's state looks.
func (n Notification) Look() ui.State {
	switch n.State {
	case "sent":
		return ui.OK
	case "failed":
		return ui.Critical
	case "collapsed":
		return ui.Planned
	}
	if n.Error != "" {
		return ui.Warning
	}
	return ui.Unknown
}

var notificationWord = map[string]string{"pending": "still owed", "sent": "accepted", "failed": "refused for good", "collapsed": "a later one says it all"}

// Word is a notification's state in a few words.
func (n Notification) Word() string { return cmp.Or(notificationWord[n.State], n.State) }

// Model is the page of one incident.
type Model struct {
	Clock         ui.Clock
	Incident      Incident
	Impact        string
	Action        string
	Evidence      []string // a line for each source
	Events        []Event  // oldest first
	Notifications []Notification
	Range         metric.Range                      // Around, when the series were read
	Series        map[metric.Metric][]metric.Series // of Numbers, over Range
	Marks         []metric.Mark                     // that lie in Range, this incident left out
	Operates      bool
	ui.Missing    // of all of it
}

// Fragments are the parts that the stream keeps current; none when the page has none.
func (m Model) Fragments() []layout.Fragment {
	if m.Missing.Is() {
		return nil
	}
	list := []layout.Fragment{m.head(), m.facts(), m.timeline(), m.said()}
	if m.Operates {
		list = append(list, m.actions())
	}
	for _, c := range m.charts() {
		list = append(list, layout.Fragment{ID: c.NumbersID(), Body: ui.ChartNumbers(c)})
	}
	return list
}

func (m Model) head() layout.Fragment    { return layout.Fragment{ID: "head", Body: head(m)} }
func (m Model) actions() layout.Fragment { return layout.Fragment{ID: "orders", Body: orders(m)} }
func (m Model) facts() layout.Fragment   { return layout.Fragment{ID: "facts", Body: facts(m)} }
func (m Model) timeline() layout.Fragment {
	return layout.Fragment{ID: "timeline", Body: timeline(m)}
}
func (m Model) said() layout.Fragment { return layout.Fragment{ID: "said", Body: said(m)} }

// step is one line of the timeline: a transition, or an acknowledgement.
type step struct {
	At       time.Time
	State    ui.State
	Text     string
	Change   string // opened: suspected → open
	Evidence []string
}

// steps are the transitions and the acknowledgement, oldest first.
func (m Model) steps() []step {
	var out []step
	for _, e := range m.Events {
		out = append(out, step{At: e.At, State: e.Look(m.Incident.Severity), Text: e.Text, Change: change(e), Evidence: e.Evidence})
	}
	if i := m.Incident; !i.AcknowledgedAt.IsZero() {
		out = append(out, step{At: i.AcknowledgedAt, State: ui.Planned, Text: i.AcknowledgedBy + " is at it: " + i.AcknowledgedReason, Change: "acknowledged"})
	}
	slices.SortStableFunc(out, func(a, b step) int { return a.At.Compare(b.At) })
	return out
}

func change(e Event) string {
	if e.From == "" || e.To == "" || e.From == e.To {
		return string(e.Kind)
	}
	return string(e.Kind) + ": " + stateWord[e.From] + " → " + stateWord[e.To]
}

// Around is the stretch of time that the charts of an incident show. While it is open it goes on with the
// samples.
func Around(i Incident, now time.Time) metric.Range {
	now = now.Truncate(10 * time.Second)
	end := cmp.Or(i.ResolvedAt, now)
	margin := min(max(end.Sub(i.OpenedAt)/2, 10*time.Minute), 6*time.Hour)
	from, to := i.OpenedAt.Add(-margin), end.Add(margin)
	if to.After(now) {
		to = now
	}
	return metric.Range{From: from, To: to}
}

// Numbers are what is worth drawing around an incident of a kind.
func Numbers(k incident.Kind) []metric.Metric {
	switch {
	case strings.HasPrefix(string(k), "pooler"), k == incident.NoPooler:
		return []metric.Metric{metric.PoolerUp, metric.Clients, metric.XactRate, metric.Waiting}
	case strings.HasPrefix(string(k), "haproxy"), k == incident.NoHAProxy, strings.HasPrefix(string(k), "vip"), k == incident.KeepalivedDead, k == incident.RedundancyLost:
		return []metric.Metric{metric.Serving, metric.Holder, metric.Sessions, metric.Passage}
	case k == incident.ClientsWaiting, k == incident.PlacesUsed, k == incident.NoSpare:
		return []metric.Metric{metric.Waiting, metric.MaxWait, metric.Clients, metric.ServersActive}
	case k == incident.ConnectionsHigh, k == incident.TransactionLong, k == incident.TransactionIdle, k == incident.XIDAge:
		return []metric.Metric{metric.Connections, metric.LongestXact, metric.Blocked, metric.Waiting}
	}
	return []metric.Metric{metric.Serving, metric.XactRate, metric.Waiting, metric.Connections}
}

// charts are the numbers around the incident, with the incident itself marked.
func (m Model) charts() []ui.Chart {
	marks := append([]metric.Mark{{Kind: metric.Incident, At: m.Incident.OpenedAt, Until: m.Incident.ResolvedAt, Open: m.Incident.Open(),
		State: loud(m.Incident), Text: m.Incident.Title}}, m.Marks...)
	var out []ui.Chart
	for _, number := range Numbers(m.Incident.Kind()) {
		if spec, ok := metric.Find(number); ok {
			out = append(out, metric.Chart(string(number), spec, m.Series[number], marks, m.Range, m.Clock))
		}
	}
	return out
}

// loud is how the incident looked while it was open.
func loud(i Incident) ui.State {
	i.ResolvedAt = time.Time{}
	if i.State == incident.OK {
		i.State = incident.Firing
	}
	return i.Look()
}

// Order is an acknowledgement on its way, as pool.Order.
type Order struct {
	Incident Incident
	Reason   string // as entered
	Effects  []string
	Refused  []string
	Failed   []string
	Faults   ui.Faults
	Checked  time.Time
	Clock    ui.Clock
}

// Confirm is the page /incidents/ID/acknowledge.
func (o Order) Confirm() ui.Confirm {
	return ui.Confirm{Action: o.Incident.URL() + "/acknowledge", Title: "Acknowledge “" + o.Incident.Title + "”?", Submit: "Acknowledge", Busy: "Acknowledging …",
		Cancel: o.Incident.URL(), Say: "The others see that you are at it, and no more reminders are sent. What changes is still told.",
		Effects: o.Effects, Refused: o.Refused, Failed: o.Failed, Reason: true, Text: o.Reason, Faults: o.Faults, Checked: o.Checked, Clock: o.Clock}
}

// about is its kind, and what came of it.
func (i Incident) about() string {
	text := string(i.Kind())
	if i.Flaps > 0 {
		text += ", came back " + ui.Counted(i.Flaps, "time")
	}
	if len(i.Symptoms) > 0 {
		text += ", " + ui.Counted(len(i.Symptoms), "symptom")
	}
	return text
}

// severity in a word; an operator's doing has none.
func severity(i Incident) string {
	if i.Planned {
		return "planned"
	}
	return string(i.Severity)
}

// silence is the form that silences this incident, filled in.
func (m Model) silence() string {
	return "/admin/silences/new?" + url.Values{"cause": {m.Incident.Cause}}.Encode()
}
