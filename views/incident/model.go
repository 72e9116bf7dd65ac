// Package incident is the pages of what broke: what is open now, which needs no database, what is
// resolved, and one incident with its timeline.
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
	Since      time.Time // of the last time that it was there; zero is not known
	Gone       time.Time // since when an open one is not there; zero while it is, or is not known
	ResolvedAt time.Time // zero while it is open

	Well time.Duration // how long it was over, each time before it was opened again

	AcknowledgedAt     time.Time // zero is not
	AcknowledgedBy     string
	AcknowledgedReason string
}

// Open reports whether it is not resolved.
func (i Incident) Open() bool { return i.ResolvedAt.IsZero() }

// Kind of an incident: what its cause begins with.
func (i Incident) Kind() incident.Kind {
	kind, _, _ := strings.Cut(i.Cause, "/")
	return incident.Kind(kind)
}

// Lasted is how long it was open, or has been; the time when it was over does not count.
func (i Incident) Lasted(now time.Time) time.Duration {
	return cmp.Or(i.ResolvedAt, now).Sub(i.OpenedAt) - i.Well
}

// Look is how loud it is to look at: what is resolved is quiet.
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
	incident.Flapping: "flapping", incident.Planned: "planned", incident.OK: "resolved"}

// Word is its state in a few words.
func (i Incident) Word() string {
	word := cmp.Or(stateWord[i.State], string(i.State))
	switch {
	case !i.Open():
		return "resolved"
	case i.State == incident.Flapping && !i.Gone.IsZero():
		return word + ", " + i.up() + " now"
	case i.State == incident.Flapping && !i.Since.IsZero():
		return word + ", " + i.down() + " now"
	}
	return word
}

// URL of its page.
func (i Incident) URL() string { return string(layout.Incidents) + "/" + url.PathEscape(i.ID) }

// Now is what is open as the console itself knows it, the newest first: no database is asked.
func Now(v chain.View) []Incident {
	var out []Incident
	for _, i := range v.Open {
		out = append(out, Incident{ID: i.ID, Cause: i.Cause, Subject: i.Subject, Severity: i.Severity, State: i.State, Planned: i.Planned, Title: i.Title,
			Flaps: i.Flaps, Symptoms: i.Symptoms, OpenedAt: i.OpenedAt, Since: i.Since, Gone: i.Gone, Well: i.Well})
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

// Filter is what of the history is asked for, as the address has it.
type Filter struct {
	State    string // open, all; "" is what is resolved: what is open stands above it
	Severity incident.Severity
	Kind     incident.Kind
	Host     string
	From, To time.Time // when it began; zero is no limit
	Faults   ui.Faults
	From0    string // as entered, when it is wrong
	To0      string
}

// Opened is what the state means for the list of incidents: nil is both.
func (f Filter) Opened() *bool {
	if f.State == "all" {
		return nil
	}
	is := f.State == "open"
	return &is
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
			f.Faults = append(f.Faults, ui.Fault{Field: field, Message: "This is not a time. Write it like 2026-11-23T14:05."})
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

// Query is the filter as an address has it, the same for everybody.
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

func (m ListModel) fields() []ui.Input {
	f := m.Filter
	choice := func(name, label, value string, all string, options ...ui.Option) ui.Input {
		return ui.Input{Name: name, Label: label, Value: value, Options: append([]ui.Option{{Label: all}}, options...)}
	}
	var causes, hosts []ui.Option
	for _, k := range kinds {
		causes = append(causes, ui.Option{Value: string(k.Kind), Label: k.Word})
	}
	for _, h := range m.Hosts {
		hosts = append(hosts, ui.Option{Value: h, Label: h})
	}
	return []ui.Input{
		choice("state", "State", f.State, "resolved", ui.Option{Value: "open", Label: "open"}, ui.Option{Value: "all", Label: "both"}),
		choice("severity", "Severity", string(f.Severity), "any", ui.Option{Value: "critical", Label: "critical"}, ui.Option{Value: "warning", Label: "warning"}, ui.Option{Value: "info", Label: "info"}),
		choice("kind", "Kind", string(f.Kind), "any", causes...),
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

// Recovery is how long incidents take to be resolved. Planned ones, and those that only want to be known,
// are no outages and do not count.
type Recovery struct {
	Count                 int
	Mean, Median, Longest time.Duration
}

// Recover counts incidents that are resolved.
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

var notificationWord = map[string]string{"pending": "waiting", "sent": "delivered", "failed": "failed", "collapsed": "superseded"}

// Word is a notification's state in a few words.
func (n Notification) Word() string { return cmp.Or(notificationWord[n.State], n.State) }

// Model is the page of one incident.
type Model struct {
	Clock         ui.Clock
	Incident      Incident
	Impact        string
	Action        string
	Evidence      []string    // a line for each source
	EvidenceAt    time.Time   // when it was read; zero is just now, or not known
	Fell          []time.Time // times it went down while it flaps, as far as somebody counted them; oldest first
	Untold        Untold
	Events        []Event // oldest first
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

// Untold is what decides why nobody was told of an incident.
type Untold struct {
	Channels Channels
	Silence  *Silence // that covers it now
}

// Channels is whether there is one to send to.
type Channels int

const (
	ChannelsUnknown Channels = iota // the monitor, which has them, does not answer
	NoChannel
	SomeChannel
)

// Silence is who wanted nobody to be told, until when and why.
type Silence struct {
	By, Reason string
	Until      time.Time
}

// untold says why nobody was told, how loud that is, and where to see to it; href may be "".
func (m Model) untold() (s ui.State, text, href, link string) {
	switch u := m.Untold; {
	case m.Incident.Planned:
		return ui.Planned, "Nobody was told: this is planned work, not an outage.", "", ""
	case m.Incident.Open() && u.Silence != nil:
		return ui.Planned, "Nobody was told: " + u.Silence.By + " silenced it until " + m.Clock.Zoned(u.Silence.Until) + " (" + u.Silence.Reason + ").", "/admin/silences", "Silences"
	case u.Channels == NoChannel:
		return ui.Warning, "Nobody was told: no channel is set up.", "/admin/notifications", "Set one up"
	case u.Channels == ChannelsUnknown:
		return ui.Unknown, "No message is written down, and the monitor, which sends them, does not answer.", "", ""
	case m.Incident.Open():
		return ui.Unknown, "No message is written down yet.", "", ""
	}
	return ui.Unknown, "No message about it is written down.", "", ""
}

// step is one line of the timeline: a transition, an acknowledgement, or what flapping came to so far.
type step struct {
	At       time.Time
	State    ui.State
	Text     string
	Evidence []string
}

// steps are the transitions and the acknowledgement, oldest first; how often it fell since is the last.
func (m Model) steps() []step {
	var out []step
	for _, e := range m.Events {
		out = append(out, step{At: e.At, State: e.Look(m.Incident.Severity), Text: e.say(), Evidence: e.Evidence})
	}
	i := m.Incident
	if !i.AcknowledgedAt.IsZero() {
		out = append(out, step{At: i.AcknowledgedAt, State: ui.OK, Text: i.AcknowledgedBy + " acknowledged it: " + i.AcknowledgedReason})
	}
	if i.Open() && i.State == incident.Flapping && !i.Since.IsZero() {
		out = append(out, step{At: i.Since, State: loud(i), Text: m.fell()})
	}
	slices.SortStableFunc(out, func(a, b step) int { return a.At.Compare(b.At) })
	return out
}

const fallsShown = 6

// fell is how often it went down so far, and the last times.
func (m Model) fell() string {
	text := m.Incident.often() + " so far"
	for n, at := range m.Fell[max(0, len(m.Fell)-fallsShown):] {
		if n == 0 {
			text += ", last at "
		} else {
			text += ", "
		}
		text += m.Clock.Short(at)
	}
	return text + "."
}

// happened are the transitions that one word would not explain.
var happened = map[incident.Change]string{
	incident.Opened: "Opened", incident.Reopened: "Opened again", incident.Relapsed: "Back", incident.Recovers: "Gone, perhaps not for long",
	incident.Flaps: "Flapping: it keeps coming back", incident.Steadied: "No longer flapping: it stays",
	incident.ByOperator: "An operator took it over: planned work", incident.Resolved: "Resolved",
}

// say is what happened, without the title that stands above the timeline.
func (e Event) say() string {
	title, text, _ := strings.Cut(e.Text, ": ")
	rest, same := strings.CutPrefix(text, string(e.Kind))
	switch word := happened[e.Kind]; {
	case e.Text == "":
		return cmp.Or(word, string(e.Kind))
	case e.Kind == incident.Changed:
		return "Now: " + title
	case e.Kind == incident.Happened && same:
		return title
	case word != "" && same:
		return word + rest
	case strings.HasPrefix(text, "now "):
		return "Now " + strings.TrimPrefix(text, "now ")
	}
	return e.Text
}

// Around is the stretch of time that the charts of an incident show. While it is open it goes on with the
// samples.
func Around(i Incident, now time.Time) metric.Range {
	now = now.Truncate(10 * time.Second)
	end := cmp.Or(i.ResolvedAt, now)
	margin := min(max(end.Sub(i.OpenedAt)/2, 2*time.Minute), 6*time.Hour)
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
	ui.Verdict
}

// Confirm is the page /incidents/ID/acknowledge.
func (o Order) Confirm() ui.Confirm {
	return ui.Confirm{Action: o.Incident.URL() + "/acknowledge", Title: "Acknowledge “" + o.Incident.Title + "”?", Submit: "Acknowledge", Busy: "Acknowledging …",
		Cancel: o.Incident.URL(), Say: "The others see that you are at it, and no more reminders are sent. Changes are still told.",
		Reason: true, Verdict: o.Verdict}
}

// about is its kind, and what came of it.
func (i Incident) about() string {
	text := i.word()
	if i.Flaps > 0 {
		text += ", " + ui.Counted(i.Flaps+1, "time")
	}
	if len(i.Symptoms) > 0 {
		text += ", " + ui.Counted(len(i.Symptoms), "symptom")
	}
	return text
}

// silence is the form that silences this incident, filled in.
func (m Model) silence() string {
	return "/admin/silences/new?" + url.Values{"cause": {m.Incident.Cause}}.Encode()
}
