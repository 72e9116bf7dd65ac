// Package admin is the pages of those who run the console: people and their links, tokens, sessions,
// silences, where messages go, and the audit.
package admin

import (
	"cmp"
	"net/url"
	"time"

	"weir/views/account"
	"weir/views/layout"
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
	DisabledAt      time.Time // zero: active
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

// WithdrawURL is where a POST makes the link useless.
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

var changeLabel = map[Change]string{SetRole: "Change the role", Disable: "Disable", Enable: "Enable", ClearFactor: "Remove the second factor",
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
	ui.Verdict
}

// Confirm is the page of it.
func (c Changing) Confirm() ui.Confirm {
	who := c.Person.Name
	f := ui.Confirm{Action: c.Change.URL(c.Person), Cancel: c.Person.URL(), Busy: "One moment …", Verdict: c.Verdict}
	switch c.Change {
	case SetRole:
		f.Title, f.Submit = "Give "+who+" another role", "Give the role"
		f.Say = who + " has the role " + string(c.Person.Role) + ". A change ends all their sessions: they have to sign in again."
		f.Fields = []ui.Input{roleField(cmp.Or(c.Role, c.Person.Role), c.Faults)}
	case Disable:
		f.Title, f.Submit, f.Danger = "Disable the account of "+who+"?", "Disable it", true
		f.Say = "All sessions, tokens and links of " + who + " end now. They cannot sign in until the account is enabled again. What they did stays in the audit."
	case Enable:
		f.Title, f.Submit = "Enable the account of "+who+"?", "Enable it"
		f.Say = who + " can sign in again with their old password. Their tokens stay revoked."
	case ClearFactor:
		f.Title, f.Submit, f.Danger = "Remove the second factor of "+who+"?", "Remove it", true
		f.Say = "From then on their password alone is enough to sign in. Make sure that it is they who ask: call them."
	case EndSessions:
		f.Title, f.Submit = "End all sessions of "+who+"?", "End them"
		f.Say = who + " has to sign in again in every browser. Their tokens go on working."
	case ResetLink:
		f.Title, f.Submit = "Make a link for a new password of "+who+"?", "Make the link"
		f.Say = "Whoever has the link can set the password. Older links for it stop working."
	}
	return f
}

func roleField(chosen layout.Role, f ui.Faults) ui.Input {
	return ui.Input{Name: "role", Label: "Role", Value: string(chosen), Wrong: f.Of("role"), Options: []ui.Option{
		{Value: string(layout.SeesOnly), Label: "viewer: sees everything, changes nothing"},
		{Value: string(layout.Operator), Label: "operator: gives orders, acknowledges, silences"},
		{Value: string(layout.Administrator), Label: "administrator: also people, tokens, sessions"}}}
}

// Invitation is the page /admin/invite. Fields: email, role.
type Invitation struct {
	Email  string // as entered
	Role   layout.Role
	Faults ui.Faults
}

func (i Invitation) email() ui.Input {
	return ui.Input{Name: "email", Label: "E-mail address", Type: "email", Value: i.Email, Wrong: i.Faults.Of("email"), Required: true, Focus: true, Autocomplete: "off",
		Hint: "They sign in with it. You get the link to pass on; if this server can send mail, they get it by mail as well."}
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
