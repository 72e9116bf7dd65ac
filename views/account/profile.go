package account

import (
	"cmp"
	"fmt"
	"image/color"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/boombuler/barcode/qr"

	"weir/views/layout"
	"weir/views/ui"
)

// Profile is the page /account, of whoever is signed in. Its forms go to /account/name (name),
// /account/sessions/ID/end and /account/sessions/end; the others have pages of their own.
type Profile struct {
	Clock        ui.Clock
	Name         string // as entered, when Faults say that it is wrong
	Email        string
	Role         layout.Role
	SecondFactor bool
	Sessions     Sessions
	Tokens       Tokens // of this person; Missing.Role for all but administrators
	Faults       ui.Faults
}

// Sessions are browsers that are signed in, the newest first.
type Sessions struct {
	List []Session
	ui.Missing
}

// Session is one of them.
type Session struct {
	ID        string
	Here      bool   // the one that asks
	Who       string // on lists of several people
	Address   string
	UserAgent string
	CreatedAt time.Time
	LastSeen  time.Time // to the minute
	ExpiresAt time.Time
}

// Browser is what a user agent comes to, for people: Firefox on Linux. The whole of it stays on hover.
func (s Session) Browser() string {
	has := func(text string) bool { return strings.Contains(s.UserAgent, text) }
	first := func(of ...string) string {
		for i := 0; i < len(of); i += 2 {
			if has(of[i]) {
				return of[i+1]
			}
		}
		return ""
	}
	// The order matters: all of them say Safari, and most say Chrome.
	browser := first("Firefox/", "Firefox", "Edg/", "Edge", "OPR/", "Opera", "Chrome/", "Chrome", "Safari/", "Safari", "curl/", "curl")
	system := first("Android", "Android", "iPhone", "iPhone", "iPad", "iPad", "Windows", "Windows", "Macintosh", "macOS", "Linux", "Linux")
	switch {
	case browser == "" && s.UserAgent == "":
		return "unknown browser"
	case browser == "":
		return cmp.Or(s.UserAgent, system)
	case system == "":
		return browser
	}
	return browser + " on " + system
}

// Tokens are keys of programs, the newest first.
type Tokens struct {
	List []Token
	ui.Missing
}

// Token is one of them. A zero moment is never.
type Token struct {
	ID, Name, Prefix string
	Role             layout.Role
	Operations       []string // nil is all that the role allows
	Who              string   // on lists of several people; "" was made on the machine
	CreatedBy        string
	CreatedAt        time.Time
	ExpiresAt        time.Time
	LastUsed         time.Time
	RevokedAt        time.Time
}

// mark is how a token is; without a state it does not work any more.
func (t Token) mark(now time.Time) (ui.State, string) {
	switch {
	case !t.RevokedAt.IsZero():
		return "", "revoked"
	case !t.ExpiresAt.After(now):
		return "", "expired"
	case t.ExpiresAt.Sub(now) < 7*24*time.Hour:
		return ui.Warning, "ends in " + ui.Span(t.ExpiresAt.Sub(now))
	}
	return ui.OK, "works"
}

func (t Token) works(now time.Time) bool { return t.RevokedAt.IsZero() && t.ExpiresAt.After(now) }

func (t Token) scope() string {
	if t.Operations == nil {
		return "everything the role allows"
	}
	return strings.Join(t.Operations, ", ")
}

func (p Profile) name() ui.Input {
	return ui.Input{Name: "name", Label: "Name", Value: p.Name, Wrong: p.Faults.Of("name"), Autocomplete: "name", Required: true, Max: 100,
		Hint: "Shown in the list of people. The audit and incidents show your e-mail address."}
}

// others reports whether there is a session beside the one that asks.
func (s Sessions) others() bool {
	return slices.ContainsFunc(s.List, func(one Session) bool { return !one.Here })
}

// Password is the page /account/password. Fields: old, password.
type Password struct {
	Email  string // of the viewer
	Faults ui.Faults
}

// Proof is a page that asks for the password before it does something to the second factor: POST to
// its own URL, field password.
type Proof struct {
	Step   Step
	Email  string // of the viewer
	Faults ui.Faults
}

// Step is what is done to the second factor.
type Step string

const (
	Begin  Step = "begin"  // /account/second-factor/begin answers with Enrolment
	Remove Step = "remove" // /account/second-factor/remove
	Renew  Step = "renew"  // /account/second-factor/renew answers with Codes
)

// URL of a step.
func (s Step) URL() string { return "/account/second-factor/" + string(s) }

// variant is the look of the button that does it.
func (s Step) variant() string {
	if s == Remove {
		return "destructive"
	}
	return "primary"
}

var proofs = map[Step]struct{ title, say, submit string }{
	Begin:  {"Set up a second factor", "Signing in then also asks for a code that an app on your phone shows. Your password alone is no longer enough for anybody who learns it.", "Go on"},
	Remove: {"Remove the second factor?", "From then on your password alone is enough to sign in. Your recovery codes stop working.", "Remove it"},
	Renew:  {"New recovery codes", "Your old codes stop working.", "Make new codes"},
}

func present(name, label string, f ui.Faults) ui.Input {
	return ui.Input{Name: name, Label: label, Type: "password", Wrong: f.Of(name), Autocomplete: "current-password", Required: true, Focus: true}
}

// Enrolment is what follows Begin: the secret as a picture and as text, and a form for a first code,
// which goes to /account/second-factor/confirm (field code). After a wrong code the secret is not known
// any more, and Secret is "": the app has it.
type Enrolment struct {
	Secret string
	URL    string // otpauth://...
	Faults ui.Faults
}

func (e Enrolment) code() ui.Input {
	return ui.Input{Name: "code", Label: "Code", Wrong: e.Faults.Of("code"), Autocomplete: "one-time-code", Mode: "numeric", Required: true,
		Focus: e.Secret == "", Hint: "The six digits that the app shows now."}
}

// grouped is the secret in groups of four, to be typed.
func (e Enrolment) grouped() string {
	var b strings.Builder
	for i, r := range e.Secret {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Codes are recovery codes, on the only page that ever shows them.
type Codes struct{ Codes []string }

// TokenForm is the page /account/tokens/new. Fields: name, role, for (an ISO 8601 duration),
// operations (lines).
type TokenForm struct {
	Name, Role, For, Operations string // as entered
	Roles                       []layout.Role
	Faults                      ui.Faults
}

func (f TokenForm) fields() []ui.Input {
	var roles []ui.Option
	for _, r := range f.Roles {
		roles = append(roles, ui.Option{Value: string(r), Label: string(r)})
	}
	return []ui.Input{
		{Name: "name", Label: "Name", Value: f.Name, Wrong: f.Faults.Of("name"), Hint: "What will use it, such as: nightly report.", Required: true, Max: 100, Focus: true, Autocomplete: "off"},
		{Name: "role", Label: "Role", Value: f.Role, Wrong: f.Faults.Of("role"), Options: roles, Hint: "Choose the lowest that is enough."},
		{Name: "for", Label: "Works for", Value: cmp.Or(f.For, "P30D"), Wrong: f.Faults.Of("for"), Options: []ui.Option{{Value: "PT1H", Label: "an hour"}, {Value: "P1D", Label: "a day"},
			{Value: "P30D", Label: "30 days"}, {Value: "P90D", Label: "90 days"}, {Value: "P365D", Label: "a year"}}},
		{Name: "operations", Label: "Operations (optional)", Value: f.Operations, Wrong: f.Faults.Of("operations"), Rows: 4,
			Hint: "The only fields of the API that it may use, one a line, such as fleet or incidents. Empty: everything that the role allows."},
	}
}

// Made is a token that was made, on the only page that ever shows its secret.
type Made struct {
	Secret string
	Token  Token
	Clock  ui.Clock
}

// Revocation is the page /account/tokens/ID/revoke; the same for everybody's tokens.
type Revocation struct {
	Token Token
	Back  string // URL of the list it came from
	ui.Verdict
}

// Confirm is the form of it.
func (r Revocation) Confirm() ui.Confirm {
	return ui.Confirm{Action: RevokeURL(r.Token.ID), Title: "Revoke the token “" + r.Token.Name + "”?", Say: "Programs that use it are refused within a second. This cannot be undone.",
		Submit: "Revoke it", Busy: "Revoking …", Cancel: cmp.Or(r.Back, string(layout.Account)), Danger: true, Verdict: r.Verdict,
		Hidden: []ui.Hidden{{Name: "back", Value: cmp.Or(r.Back, string(layout.Account))}}}
}

// RevokeURL is where a token is revoked.
func RevokeURL(id string) string { return "/account/tokens/" + url.PathEscape(id) + "/revoke" }

// EndURL is where a session is ended, by POST.
func EndURL(id string) string { return "/account/sessions/" + url.PathEscape(id) + "/end" }

// quietZone is how many white modules a reader needs around the code.
const quietZone = 4

// code is a QR code as the path of its black modules, and how many modules its side has.
func code(text string) (d string, side int, err error) {
	c, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return "", 0, fmt.Errorf("draw a QR code: %w", err)
	}
	n := c.Bounds().Dx()
	var b strings.Builder
	for y := range n {
		for x := 0; x < n; x++ {
			run := 0
			for x+run < n && c.At(x+run, y) == color.Black {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+quietZone, y+quietZone, run, run)
				x += run
			}
		}
	}
	return b.String(), n + 2*quietZone, nil
}
