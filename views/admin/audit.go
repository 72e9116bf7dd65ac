package admin

import (
	"cmp"
	"encoding/csv"
	"io"
	"net/url"
	"strings"
	"time"

	"weir/views/layout"
	"weir/views/metric"
	"weir/views/ui"
)

// Audit is the page /admin/audit.
type Audit struct {
	Clock   ui.Clock
	Role    layout.Role
	Filter  Filter
	Entries []Entry // the newest first
	Pager   ui.Pager
	ui.Missing
}

// Filter is what of the audit is asked for; what is empty asks for all.
type Filter struct {
	Actor, Verb, Subject string
	Since, Until         time.Time
	Since0, Until0       string // as entered, when Faults say that it is no moment
	Faults               ui.Faults
}

// ParseFilter reads it from an address. Moments without a zone are in the viewer's.
func ParseFilter(q url.Values, c ui.Clock) Filter {
	f := Filter{Actor: strings.TrimSpace(q.Get("actor")), Verb: q.Get("verb"), Subject: strings.TrimSpace(q.Get("subject"))}
	moment := func(name string, entered *string) time.Time {
		if q.Get(name) == "" {
			return time.Time{}
		}
		t, err := metric.ParseMoment(q.Get(name), c.Zone)
		if err != nil {
			*entered = q.Get(name)
			f.Faults = append(f.Faults, ui.Fault{Field: name, Message: "Write the moment like 2026-11-23T14:05."})
		}
		return t
	}
	f.Since, f.Until = moment("since", &f.Since0), moment("until", &f.Until0)
	return f
}

// Query is the filter as an address has it.
func (f Filter) Query() string {
	q := url.Values{}
	for name, value := range map[string]string{"actor": f.Actor, "verb": f.Verb, "subject": f.Subject, "since": written(f.Since), "until": written(f.Until)} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q.Encode()
}

func written(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func (f Filter) any() bool { return f.Query() != "" || len(f.Faults) > 0 }

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
	// Incident is the id of the one that Subject names; "" is that it names something else. Title is the
	// incident's, "" when it is not known.
	Incident, Title string
	Reason          string
	Outcome         string // ok, refused, failed
	Detail          []string
	Took            time.Duration
}

// duration is how long it took to carry it out. There is none of what was refused, and none worth
// telling of what only wrote a row.
func (e Entry) duration() string {
	if e.Outcome == "refused" || e.Took < time.Millisecond {
		return ""
	}
	return ui.Took(e.Took)
}

// openly reports whether the detail is shown without a click: what was refused or failed says why, and one
// line is not worth hiding.
func (e Entry) openly() bool { return e.Outcome != "ok" || len(e.Detail) == 1 }

// Look is how an entry's outcome looks.
func (e Entry) Look() ui.State {
	switch e.Outcome {
	case "ok":
		return ui.OK
	case "refused":
		return ui.Warning
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
	zone := cmp.Or(m.Clock.Zone, time.UTC)
	moment := func(name, label, entered string, t time.Time) ui.Input {
		return metric.MomentField(name, label, entered, m.Filter.Faults.Of(name), t, zone)
	}
	return []ui.Input{
		{Name: "actor", Label: "Who", Value: m.Filter.Actor, Autocomplete: "off"},
		{Name: "verb", Label: "What", Value: m.Filter.Verb, Options: append([]ui.Option{{Label: "any"}}, Verbs...)},
		{Name: "subject", Label: "About", Value: m.Filter.Subject, Autocomplete: "off"},
		moment("since", "From", m.Filter.Since0, m.Filter.Since),
		moment("until", "To", m.Filter.Until0, m.Filter.Until),
	}
}

// Verbs are what can be asked for, and in the audit: what is done to the chain, then to accounts.
var Verbs = []ui.Option{
	{Value: "drain", Label: "drain"}, {Value: "maint", Label: "take out (maint)"}, {Value: "ready", Label: "make ready"},
	{Value: "pause", Label: "pause"}, {Value: "resume", Label: "resume"}, {Value: "reconnect", Label: "reconnect"}, {Value: "reload", Label: "reload"},
	{Value: "relinquish", Label: "move the VIP away"}, {Value: "reclaim", Label: "let hold the VIP again"},
	{Value: "cancel", Label: "cancel a query"}, {Value: "terminate", Label: "end a PostgreSQL session"},
	{Value: "acknowledge", Label: "acknowledge"}, {Value: "silence", Label: "silence"}, {Value: "unsilence", Label: "end a silence"}, {Value: "test", Label: "send a test message"},
	{Value: "sign-in", Label: "sign in"}, {Value: "sign-out", Label: "sign out"}, {Value: "sign-up", Label: "make an account"},
	{Value: "name", Label: "change the name"}, {Value: "password-change", Label: "change the password"}, {Value: "password-reset", Label: "set a new password"},
	{Value: "second-factor-on", Label: "turn the second factor on"}, {Value: "second-factor-off", Label: "remove the second factor"}, {Value: "recovery-codes", Label: "make new recovery codes"},
	{Value: "first-administrator-link", Label: "make the first administrator's link"}, {Value: "invite", Label: "invite"},
	{Value: "password-reset-link", Label: "make a link for a new password"}, {Value: "link-withdraw", Label: "withdraw a link"},
	{Value: "role", Label: "change the role"}, {Value: "disable", Label: "disable an account"}, {Value: "enable", Label: "enable an account"},
	{Value: "session-end", Label: "end a session"}, {Value: "sessions-end", Label: "end all sessions"},
	{Value: "token-create", Label: "make a token"}, {Value: "token-revoke", Label: "revoke a token"},
}

// what is the verb in words.
func (e Entry) what() string {
	for _, v := range Verbs {
		if v.Value == e.Verb {
			return v.Label
		}
	}
	return e.Verb
}

// from is how whoever did it came here; "" of Weir itself.
func (e Entry) from() string {
	var parts []string
	switch {
	case e.Kind == "token":
		parts = append(parts, "token")
	case e.Actor == "machine":
		parts = append(parts, "on the console's host")
	}
	if e.Address != "" {
		parts = append(parts, "from "+e.Address)
	}
	return strings.Join(parts, " ")
}

// around is the numbers of the time around an entry.
func around(e Entry) string {
	r := metric.Range{From: e.At.Add(-15 * time.Minute), To: e.At.Add(15 * time.Minute)}
	return string(layout.Metrics) + "?" + r.Query()
}
