// Package admin is the pages of those who run the console: people and their links, tokens, sessions,
// silences, where messages go, and the audit.
package admin

import (
	"cmp"
	"encoding/csv"
	"io"
	"net/url"
	"strings"
	"time"

	"weir/views/account"
	"weir/views/layout"
	"weir/views/metric"
	"weir/views/ui"
)

// Paths of the pages.
const (
	PeoplePath        = "/admin"
	TokensPath        = "/admin/tokens"
	SessionsPath      = "/admin/sessions"
	SilencesPath      = "/admin/silences"
	NotificationsPath = "/admin/notifications"
	AuditPath         = "/admin/audit"
)

// tabs are the pages that a role reaches.
func tabs(r layout.Role, here string) []ui.Tab {
	list := []ui.Tab{}
	add := func(label, path string) {
		list = append(list, ui.Tab{Label: label, Href: path, Here: path == here})
	}
	if r == layout.Administrator {
		add("People", PeoplePath)
		add("Tokens", TokensPath)
		add("Sessions", SessionsPath)
	}
	add("Silences", SilencesPath)
	add("Notifications", NotificationsPath)
	if r == layout.Administrator || r == layout.Operator {
		add("Audit", AuditPath)
	}
	return list
}

func operates(r layout.Role) bool { return r == layout.Operator || r == layout.Administrator }

// ── People ──

// People is the page /admin.
type People struct {
	Clock  ui.Clock
	Role   layout.Role // of the viewer
	People []Person
	Links  []Link // not used yet
	Pager  ui.Pager
	ui.Missing
}

// Person is somebody with an account.
type Person struct {
	ID, Email, Name string
	Role            layout.Role
	SecondFactor    bool
	DisabledAt      time.Time // zero: can sign in
	CreatedAt       time.Time
	You             bool // the viewer
}

// URL of a person's page.
func (p Person) URL() string { return "/admin/people/" + url.PathEscape(p.ID) }

// Link is a one-time link that was not used yet.
type Link struct {
	ID        string
	Kind      LinkKind
	Email     string      // "" is the first administrator's
	Role      layout.Role // "" is a password reset's
	CreatedBy string
	CreatedAt time.Time
	ExpiresAt time.Time
}

// LinkKind of a one-time link.
type LinkKind string

const (
	Invite        LinkKind = "invite"
	FirstAdmin    LinkKind = "first-admin"
	PasswordReset LinkKind = "password-reset"
)

var linkWord = map[LinkKind]string{Invite: "invitation", FirstAdmin: "first administrator", PasswordReset: "new password"}

// WithdrawURL is where the link is made good for nothing, by POST.
func (l Link) WithdrawURL() string { return "/admin/links/" + url.PathEscape(l.ID) + "/withdraw" }

// PersonModel is the page /admin/people/ID.
type PersonModel struct {
	Clock    ui.Clock
	Role     layout.Role // of the viewer
	Person   Person
	Sessions account.Sessions
	ui.Missing
}

// Change is what can be done to a person, each on a page of its own, /admin/people/ID/CHANGE; the
// last of them makes a link.
type Change string

const (
	SetRole     Change = "role" // field role
	Disable     Change = "disable"
	Enable      Change = "enable"
	ClearFactor Change = "clear-second-factor"
	EndSessions Change = "end-sessions"
	ResetLink   Change = "reset-link"
)

// URL of a change.
func (c Change) URL(p Person) string { return p.URL() + "/" + string(c) }

var changeLabel = map[Change]string{SetRole: "Change the role", Disable: "Disable", Enable: "Enable", ClearFactor: "Clear the second factor",
	EndSessions: "End all sessions", ResetLink: "Link for a new password"}

// changes are those that make sense for a person; nobody disables or demotes themselves.
func changes(p Person) []Change {
	var out []Change
	switch {
	case !p.DisabledAt.IsZero():
		return []Change{Enable}
	case !p.You:
		out = append(out, SetRole)
	}
	out = append(out, ResetLink)
	if p.SecondFactor {
		out = append(out, ClearFactor)
	}
	out = append(out, EndSessions)
	if !p.You {
		out = append(out, Disable)
	}
	return out
}

// Changing is a change on its way.
type Changing struct {
	Change Change
	Person Person
	Role   layout.Role // as entered, of SetRole
	Reason string      // as entered
	Faults ui.Faults
	Clock  ui.Clock
}

// Confirm is the page of it.
func (c Changing) Confirm() ui.Confirm {
	who := c.Person.Name
	f := ui.Confirm{Action: c.Change.URL(c.Person), Cancel: c.Person.URL(), Text: c.Reason, Faults: c.Faults, Clock: c.Clock, Busy: "One moment …"}
	switch c.Change {
	case SetRole:
		f.Title, f.Submit = "Give "+who+" another role", "Give the role"
		f.Say = who + " has the role " + string(c.Person.Role) + ". With another one all their sessions end, and they sign in again."
		f.Fields = []ui.Input{roleField(cmp.Or(c.Role, c.Person.Role), c.Faults)}
	case Disable:
		f.Title, f.Submit, f.Danger = "Disable the account of "+who+"?", "Disable it", true
		f.Say = "All sessions, tokens and links of " + who + " end now, and signing in is refused until the account is enabled again. What they did stays in the audit."
	case Enable:
		f.Title, f.Submit = "Enable the account of "+who+"?", "Enable it"
		f.Say = who + " can sign in again, with the password from before. Their tokens stay ended."
	case ClearFactor:
		f.Title, f.Submit, f.Danger = "Take the second factor away from "+who+"?", "Take it away", true
		f.Say = "From then on the password alone is enough. Make sure of who asks you for it: call them."
	case EndSessions:
		f.Title, f.Submit = "End all sessions of "+who+"?", "End them"
		f.Say = "Wherever " + who + " is signed in, they have to sign in again. Their tokens go on."
	case ResetLink:
		f.Title, f.Submit = "Make a link for a new password of "+who+"?", "Make the link"
		f.Say = "Whoever has the link sets the password. Links for it that were made before are good for nothing from then on."
	}
	return f
}

func roleField(chosen layout.Role, f ui.Faults) ui.Input {
	return ui.Input{Name: "role", Label: "Role", Value: string(chosen), Wrong: f.Of("role"), Options: []ui.Option{
		{Value: string(layout.SeesOnly), Label: "viewer: looks"},
		{Value: string(layout.Operator), Label: "operator: operates the chain, acknowledges"},
		{Value: string(layout.Administrator), Label: "administrator: people, tokens, settings"}}}
}

// Invitation is the page /admin/invite. Fields: email, role.
type Invitation struct {
	Email  string // as entered
	Role   layout.Role
	Faults ui.Faults
}

func (i Invitation) email() ui.Input {
	return ui.Input{Name: "email", Label: "E-mail address", Type: "email", Value: i.Email, Wrong: i.Faults.Of("email"), Required: true, Focus: true, Autocomplete: "off",
		Hint: "They sign in with it. Nothing is sent there: you pass the link on."}
}

// LinkShown is the page with a link that was made, the only one that ever shows it.
type LinkShown struct {
	Clock   ui.Clock
	Kind    LinkKind
	Email   string
	URL     string
	Expires time.Time
	Back    string // URL
}

// ── Tokens and sessions of everybody ──

// Tokens is the page /admin/tokens.
type Tokens struct {
	Clock  ui.Clock
	Role   layout.Role
	Tokens account.Tokens
	Pager  ui.Pager
}

// Sessions is the page /admin/sessions.
type Sessions struct {
	Clock    ui.Clock
	Role     layout.Role
	Sessions account.Sessions
	Pager    ui.Pager
}

// ── Silences ──

// Silences is the page /admin/silences.
type Silences struct {
	Clock ui.Clock
	Role  layout.Role
	List  []Silence // the newest first
	Pager ui.Pager
	ui.Missing
}

// Silence is who wanted to hear nothing about what, and until when.
type Silence struct {
	ID        string
	Cause     string // a pattern
	Host      string // "" is every host
	Reason    string
	CreatedBy string
	CreatedAt time.Time
	StartsAt  time.Time
	EndsAt    time.Time
	EndedAt   time.Time // zero: not before its time
	EndedBy   string
}

// EndURL is where a silence is ended, after confirmation.
func (s Silence) EndURL() string { return SilencesPath + "/" + url.PathEscape(s.ID) + "/end" }

// holds reports whether nobody is told because of it.
func (s Silence) holds(now time.Time) bool {
	return s.EndedAt.IsZero() && !now.Before(s.StartsAt) && now.Before(s.EndsAt)
}

// mark is how a silence is.
func (s Silence) mark(now time.Time) (ui.State, string) {
	switch {
	case !s.EndedAt.IsZero():
		return ui.OK, "ended by " + s.EndedBy
	case s.holds(now):
		return ui.Planned, "silent for " + ui.Span(s.EndsAt.Sub(now))
	case now.Before(s.StartsAt):
		return ui.Unknown, "not yet"
	}
	return ui.OK, "over"
}

// about is what a silence covers, in words.
func (s Silence) about() string {
	what := "every cause"
	if s.Cause != "*" {
		what = s.Cause
	}
	if s.Host != "" {
		what += " on " + s.Host
	}
	return what
}

// SilenceForm is the page /admin/silences/new. Fields: cause, host, for (an ISO 8601 duration), reason.
type SilenceForm struct {
	Cause, Host, For, Reason string // as entered
	Hosts                    []string
	Faults                   ui.Faults
	Clock                    ui.Clock
}

// Confirm is the form of it.
func (f SilenceForm) Confirm() ui.Confirm {
	hosts := []ui.Option{{Label: "every host"}}
	for _, h := range f.Hosts {
		hosts = append(hosts, ui.Option{Value: h, Label: h})
	}
	return ui.Confirm{Action: SilencesPath + "/new", Title: "Silence", Submit: "Silence it", Busy: "Silencing …", Cancel: SilencesPath,
		Say:    "Nobody is told about incidents that fit, until it ends by itself. They stand on the console all the same.",
		Reason: true, Text: f.Reason, Faults: f.Faults, Clock: f.Clock, Fields: []ui.Input{
			{Name: "cause", Label: "Causes", Value: cmp.Or(f.Cause, "*"), Wrong: f.Faults.Of("cause"), Required: true, Autocomplete: "off", Max: 200,
				Hint: "A pattern: pooler-down/pgb2 is one cause, pooler-down/* is that of every pooler, * alone is everything."},
			{Name: "host", Label: "Host", Value: f.Host, Wrong: f.Faults.Of("host"), Options: hosts},
			{Name: "for", Label: "For", Value: cmp.Or(f.For, "PT1H"), Wrong: f.Faults.Of("for"), Options: []ui.Option{{Value: "PT15M", Label: "15 minutes"}, {Value: "PT1H", Label: "an hour"},
				{Value: "PT4H", Label: "4 hours"}, {Value: "P1D", Label: "a day"}, {Value: "P7D", Label: "7 days"}}}}}
}

// SilenceEnd is the page of ending one.
type SilenceEnd struct {
	Silence Silence
	Reason  string
	Faults  ui.Faults
	Clock   ui.Clock
}

// Confirm is the form of it.
func (e SilenceEnd) Confirm() ui.Confirm {
	return ui.Confirm{Action: e.Silence.EndURL(), Title: "End the silence?", Say: "What is open and fits " + e.Silence.about() + " is told from then on.", Submit: "End the silence",
		Busy: "Ending …", Cancel: SilencesPath, Text: e.Reason, Faults: e.Faults, Clock: e.Clock}
}

// ── Notifications ──

// Notifications is the page /admin/notifications?state=failed.
type Notifications struct {
	Clock    ui.Clock
	Role     layout.Role
	Channels []Channel
	State    string // pending, sent, failed, collapsed; "" is all
	List     []Notification
	Pager    ui.Pager
	ui.Missing
}

// Channel is where messages go.
type Channel struct {
	Name  string // slack, webhook
	Where string // #database; no secret
	// Unset says what to set to have it; "" is that it is set up.
	Unset    string
	LastSent time.Time // accepted
	Owed     int       // messages that were not accepted yet
	Error    string    // of the last attempt; "" is none
}

// TestURL is where a test message is ordered, by POST.
func (c Channel) TestURL() string {
	return NotificationsPath + "/" + url.PathEscape(c.Name) + "/test"
}

// mark is how a channel is.
func (c Channel) mark() (ui.State, string) {
	switch {
	case c.Unset != "":
		return ui.Unknown, "not set up"
	case c.Error != "":
		return ui.Critical, "does not deliver"
	case c.Owed > 0:
		return ui.Warning, ui.Counted(c.Owed, "message") + " owed"
	}
	return ui.OK, "delivers"
}

// Notification is one message.
type Notification struct {
	ID        string
	Incident  string // id; "" is a test message
	Title     string // of the incident
	Channel   string
	Reason    string
	State     string
	Attempts  int
	CreatedAt time.Time
	SentAt    time.Time
	Error     string
}

func stateURL(state string) string {
	if state == "" {
		return NotificationsPath
	}
	return NotificationsPath + "?state=" + url.QueryEscape(state)
}

// ── Audit ──

// Audit is the page /admin/audit.
type Audit struct {
	Clock   ui.Clock
	Role    layout.Role
	Filter  Filter
	Verbs   []string // that there are
	Entries []Entry  // the newest first
	Pager   ui.Pager
	ui.Missing
}

// Filter is what of the audit is asked for; "" is all.
type Filter struct{ Actor, Verb, Subject string }

// ParseFilter reads it from an address.
func ParseFilter(q url.Values) Filter {
	return Filter{Actor: strings.TrimSpace(q.Get("actor")), Verb: q.Get("verb"), Subject: strings.TrimSpace(q.Get("subject"))}
}

// Query is the filter as an address has it.
func (f Filter) Query() string {
	q := url.Values{}
	for name, value := range map[string]string{"actor": f.Actor, "verb": f.Verb, "subject": f.Subject} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q.Encode()
}

func (f Filter) any() bool { return f != Filter{} }

// CSV is where what the filter admits is downloaded.
func (f Filter) CSV() string { return AuditPath + "/csv?" + f.Query() }

// Entry is who did what, why, and how it ended.
type Entry struct {
	ID      string
	At      time.Time
	Kind    string // user, token, system
	Actor   string
	Address string
	Verb    string
	Subject string
	Reason  string
	Outcome string // ok, refused, failed
	Detail  []string
	Took    time.Duration
}

// Look is how an entry's outcome looks.
func (e Entry) Look() ui.State {
	switch e.Outcome {
	case "ok":
		return ui.OK
	case "refused":
		return ui.Planned
	}
	return ui.Critical
}

func outcome(e Entry) string {
	if e.Outcome == "ok" {
		return "done"
	}
	return e.Outcome
}

// WriteCSV writes entries for a spreadsheet, one a line. at is UTC.
func WriteCSV(w io.Writer, entries []Entry) error {
	out := csv.NewWriter(w)
	out.Write([]string{"at", "kind", "actor", "address", "verb", "subject", "reason", "outcome", "detail", "took"}) // Error tells
	for _, e := range entries {
		row := []string{e.At.UTC().Format(time.RFC3339Nano), e.Kind, e.Actor, e.Address, e.Verb, e.Subject, e.Reason, e.Outcome, strings.Join(e.Detail, "; "), e.Took.String()}
		for i, cell := range row {
			row[i] = inert(cell)
		}
		out.Write(row)
	}
	out.Flush()
	return out.Error()
}

// inert keeps a spreadsheet from taking what a person wrote for a formula.
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func (m Audit) fields() []ui.Input {
	verbs := []ui.Option{{Label: "any"}}
	for _, v := range m.Verbs {
		verbs = append(verbs, ui.Option{Value: v, Label: v})
	}
	return []ui.Input{
		{Name: "actor", Label: "Who", Value: m.Filter.Actor, Autocomplete: "off"},
		{Name: "verb", Label: "What", Value: m.Filter.Verb, Options: verbs},
		{Name: "subject", Label: "About", Value: m.Filter.Subject, Autocomplete: "off"},
	}
}

// around is the numbers of the time around an entry.
func around(e Entry) string {
	r := metric.Range{From: e.At.Add(-15 * time.Minute), To: e.At.Add(15 * time.Minute)}
	return string(layout.Metrics) + "?" + r.Query()
}
