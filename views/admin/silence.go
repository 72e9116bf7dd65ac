package admin

import (
	"cmp"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"weir/views/layout"
	"weir/views/ui"
)

// Silences is the page /admin/silences.
type Silences struct {
	Clock    ui.Clock
	Role     layout.Role
	Channels Channels
	List     []Silence // the newest first
	Pager    ui.Pager
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

// mark is how a silence is; without a state it is over.
func (s Silence) mark(now time.Time) (ui.State, string) {
	switch {
	case !s.EndedAt.IsZero():
		return "", "ended by " + s.EndedBy
	case s.holds(now):
		return ui.Planned, "silent for " + ui.Span(s.EndsAt.Sub(now))
	case now.Before(s.StartsAt):
		return ui.Unknown, "not yet"
	}
	return "", "ended by itself"
}

// about is what a silence covers, in words.
func (s Silence) about() string {
	if s.Host == "" {
		return inWords(s.Cause)
	}
	return inWords(s.Cause) + " on " + s.Host
}

// inWords is what a pattern is about: pooler down on pgb2. One that is not of the form is itself.
func inWords(cause string) string {
	kind, host, _ := strings.Cut(cause, "/")
	for _, c := range causes {
		switch c.Value {
		case cause:
			return c.Label
		case kind + "/*":
			return c.Label + " on " + host
		}
	}
	return cause
}

const everything = "*"

// causes are what can be silenced, as patterns over the causes of incidents, with the names that incidents
// have. Those of a host have its name after a slash.
var causes = []ui.Option{
	{Value: "vip-nobody", Label: "VIP held by nobody"},
	{Value: "vip-twice", Label: "VIP held twice"},
	{Value: "vip-moved", Label: "VIP moved"},
	{Value: "no-haproxy", Label: "no HAProxy answers"},
	{Value: "haproxy-unreachable/*", Label: "HAProxy unreachable"},
	{Value: "haproxy-unread/*", Label: "HAProxy not readable"},
	{Value: "keepalived-dead/*", Label: "keepalived dead"},
	{Value: "redundancy-lost", Label: "redundancy lost"},
	{Value: "no-pooler", Label: "no pooler serving"},
	{Value: "pooler-down/*", Label: "pooler down"},
	{Value: "pooler-unseen/*", Label: "pooler not readable"},
	{Value: "pooler-disputed/*", Label: "HAProxies disagree"},
	{Value: "pause-forgotten", Label: "pause not ended"},
	{Value: "clients-waiting", Label: "clients wait"},
	{Value: "places-used", Label: "client places used up"},
	{Value: "no-spare", Label: "no pooler to spare"},
	{Value: "postgres-down", Label: "PostgreSQL down"},
	{Value: "postgres-unseen", Label: "PostgreSQL not readable"},
	{Value: "postgres-unreachable", Label: "no query gets through"},
	{Value: "connections-high", Label: "connections used up"},
	{Value: "transaction-long", Label: "long transaction"},
	{Value: "idle-in-transaction", Label: "idle in transaction"},
	{Value: "xid-age", Label: "transaction ID age"},
	{Value: "monitor-blind", Label: "monitor blind"},
	{Value: everything, Label: "every alarm"},
}

// Open is an incident that is open now.
type Open struct{ Cause, Host, Title string }

// SilenceForm is the page /admin/silences/new. Fields: cause, host, for (an ISO 8601 duration), reason,
// and sure, which a silence of every alarm needs: the form of one has it.
type SilenceForm struct {
	Cause, Host, For, Reason string // as entered
	Hosts                    []string
	Open                     []Open
	Faults                   ui.Faults
	Clock                    ui.Clock
}

// All reports whether it silences every alarm there is.
func (f SilenceForm) All() bool { return f.Cause == everything && f.Host == "" }

// choices are what is open now, then everything that there can be. A pattern from elsewhere is kept.
func (f SilenceForm) choices() []ui.Option {
	list := []ui.Option{{Label: "Choose …"}}
	for _, i := range f.Open {
		list = append(list, ui.Option{Value: i.Cause, Label: i.Title + " (open now)"})
	}
	list = append(list, causes...)
	if !slices.ContainsFunc(list, func(o ui.Option) bool { return o.Value == f.Cause }) {
		list = slices.Insert(list, 1, ui.Option{Value: f.Cause, Label: inWords(f.Cause)})
	}
	return list
}

// fits are the titles of what is open now and would be silent.
func (f SilenceForm) fits() (titles []string) {
	for _, i := range f.Open {
		match, _ := path.Match(f.Cause, i.Cause) // a wrong pattern fits nothing
		if (match || f.Cause == everything) && (f.Host == "" || f.Host == i.Host) {
			titles = append(titles, i.Title)
		}
	}
	return titles
}

// effects are what the silence does now; none before a cause is chosen.
func (f SilenceForm) effects() (lines []string) {
	if f.Cause == "" {
		return nil
	}
	if f.All() {
		lines = append(lines, "Nobody is told of anything on any host, for as long as you choose below.")
	}
	titles := f.fits()
	for _, t := range titles {
		lines = append(lines, "Open now, and silent from then on: "+t+".")
	}
	if len(titles) == 0 {
		lines = append(lines, "Nothing that is open now fits.")
	}
	return lines
}

// Confirm is the form of it.
func (f SilenceForm) Confirm() ui.Confirm {
	hosts := []ui.Option{{Label: "every host"}}
	for _, h := range f.Hosts {
		hosts = append(hosts, ui.Option{Value: h, Label: h})
	}
	c := ui.Confirm{Action: SilencesPath + "/new", Title: "Silence alarms?", Submit: "Silence", Busy: "Silencing …", Cancel: SilencesPath,
		Say:    "Nobody is told about incidents that fit, until the silence ends by itself. The console still shows them.",
		Reason: true, Verdict: ui.Verdict{Text: f.Reason, Faults: f.Faults, Clock: f.Clock, Effects: f.effects()}, Fields: []ui.Input{
			{Name: "cause", Label: "What", Value: f.Cause, Wrong: f.Faults.Of("cause"), Required: true, Options: f.choices()},
			{Name: "host", Label: "Host", Value: f.Host, Wrong: f.Faults.Of("host"), Options: hosts},
			{Name: "for", Label: "For", Value: cmp.Or(f.For, "PT1H"), Wrong: f.Faults.Of("for"), Options: []ui.Option{{Value: "PT15M", Label: "15 minutes"}, {Value: "PT1H", Label: "an hour"},
				{Value: "PT4H", Label: "4 hours"}, {Value: "P1D", Label: "a day"}, {Value: "P7D", Label: "7 days"}}}}}
	if f.All() {
		c.Danger, c.Submit, c.Hidden = true, "Silence every alarm", []ui.Hidden{{Name: "sure", Value: everything}}
	}
	return c
}

// SilenceEnd is the page of ending one.
type SilenceEnd struct {
	Silence Silence
	ui.Verdict
}

// Confirm is the form of it.
func (e SilenceEnd) Confirm() ui.Confirm {
	return ui.Confirm{Action: e.Silence.EndURL(), Title: "End the silence?", Say: "It is about: " + e.Silence.about() + ". Alarms that fit are sent again, also those of incidents that are open now.", Submit: "End the silence",
		Busy: "Ending …", Cancel: SilencesPath, Verdict: e.Verdict}
}
