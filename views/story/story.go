// Package story is one page with every shared part in every state, on canned data, for those who
// work on the pages: it is served in development only.
package story

import (
	"math"
	"time"

	"weir/views/chain"
	"weir/views/chain/chaintest"
	"weir/views/overview"
	"weir/views/ui"
)

// states are all of them, the quietest first.
var states = []ui.State{ui.OK, ui.Planned, ui.Stale, ui.Unknown, ui.Warning, ui.Critical}

var clock = ui.Clock{Now: chaintest.Noon, Zone: time.UTC}

func ago(d time.Duration) time.Time { return chaintest.Noon.Add(-d) }

// chains are the ways a chain can be, each with its name.
var chains = []struct {
	Name string
	Make func() *chaintest.Chain
}{
	{"Everything serves", chaintest.Healthy},
	{"A pooler is down", func() *chaintest.Chain { return chaintest.Healthy().Down("pgb2") }},
	{"A pooler is drained", func() *chaintest.Chain { return chaintest.Healthy().Drain("pgb2") }},
	{"The HAProxies disagree", func() *chaintest.Chain { return chaintest.Healthy().Dispute("pgb2") }},
	{"All pools are paused", func() *chaintest.Chain { return chaintest.Healthy().Pause() }},
	{"PostgreSQL is down", func() *chaintest.Chain { return chaintest.Healthy().NoPostgres() }},
	{"PostgreSQL is down, and a pooler was before", func() *chaintest.Chain { return chaintest.Healthy().Down("pgb2").Before(time.Hour).NoPostgres() }},
	{"A HAProxy node is gone", func() *chaintest.Chain { return chaintest.Healthy().NodeGone() }},
	{"Two nodes hold the VIP", func() *chaintest.Chain { return chaintest.Healthy().TwoHolders() }},
	{"The console hears nothing", func() *chaintest.Chain { return chaintest.Healthy().Deaf() }},
	{"The console has just started", chaintest.Nothing},
}

// Chain is the canned chain of a name in the address, such as "pooler-down"; the healthy one for any
// other.
func Chain(name string) chain.View {
	for _, c := range chains {
		if slug(c.Name) == name {
			return c.Make().View()
		}
	}
	return chaintest.Healthy().View()
}

// Trends are a quiet quarter of an hour, with a gap in it.
func Trends() overview.Trends {
	t := overview.Trends{Passage: wave(0.0032, 0.0004, 1), Connections: wave(135, 6, 2),
		Sessions: map[string]ui.Series{"haproxy1": wave(1760, 70, 3), "haproxy2": wave(0, 0, 4)},
		New:      map[string]ui.Series{"haproxy1": wave(41, 4, 12), "haproxy2": wave(0, 0, 4)},
		Clients:  map[string]ui.Series{}, Xacts: map[string]ui.Series{}, PostgresXacts: wave(1430, 60, 13)}
	for i, name := range []string{"pgb1", "pgb2", "pgb3"} {
		t.Clients[name], t.Xacts[name] = wave(590, 25, 5+i), wave(470, 40, 9+i)
	}
	for i := range 6 {
		t.Xacts["pgb2"][40+i] = math.NaN()
	}
	return t
}

// wave is a series about a mean that looks like traffic and is the same every time.
func wave(mean, swing float64, phase int) ui.Series {
	s := make(ui.Series, 90)
	for i := range s {
		x := float64(i + 31*phase)
		s[i] = mean + swing*(0.6*math.Sin(x/11)+0.3*math.Sin(x/2.7)+0.2*math.Sin(x*1.9))
	}
	return s
}

// History is a few changes of every kind.
func History() overview.History {
	return overview.History{Changes: []overview.Change{
		{At: ago(12 * time.Second), State: ui.Critical, Text: "pgb2 down", Href: "/incidents/1"},
		{At: ago(4 * time.Minute), State: ui.OK, Text: "ready pgb3", Who: "ada@example.org", Href: "/admin/audit"},
		{At: ago(9 * time.Minute), State: ui.Planned, Text: "drain pgb3: kernel update", Who: "ada@example.org", Href: "/admin/audit"},
		{At: ago(30 * time.Hour), State: ui.Warning, Text: "The VIP moved from haproxy2 to haproxy1", Href: "/incidents/3"},
		{At: ago(31 * time.Hour), State: ui.OK, Text: "Resolved after 3 min 5 s: haproxy1 unreachable", Href: "/incidents/4"},
	}}
}

func slug(name string) string {
	out := make([]rune, 0, len(name))
	for _, r := range name {
		switch {
		case r == ' ':
			out = append(out, '-')
		case r >= 'A' && r <= 'Z':
			out = append(out, r+'a'-'A')
		default:
			out = append(out, r)
		}
	}
	return string(out)
}

var confirmation = ui.Confirm{Action: "/poolers/pgb2/drain", Title: "Drain pgb2?", Submit: "Drain pgb2", Busy: "Draining …", Cancel: "/poolers/pgb2",
	Say:    "pgb2 gets no new clients on either HAProxy. Those it has stay until they leave by themselves.",
	Reason: true, Verdict: ui.Verdict{Effects: []string{"The 611 clients of pgb2 stay until they leave; new ones go to pgb1 and pgb3.", "2 of 3 poolers are left: pgb1 and pgb3, with 8,000 client places for the 1,833 clients of now and up to 140 server connections."}, Checked: ago(2 * time.Second), Clock: clock}}

// refused is the same order when it would hurt, with a fault in what was entered.
func refused() ui.Confirm {
	c := confirmation
	c.Title, c.Effects = "Drain pgb3?", nil
	c.Refused = []string{"1,833 clients are connected, and the poolers that remain have 1,200 places."}
	return c
}

// chart is an hour of transactions with an incident in it.
func chart() ui.Chart {
	c := ui.Chart{ID: "xacts", Title: "Transactions a second", Clock: clock, Marks: []ui.ChartMark{
		{At: ago(30 * time.Minute), Until: ago(22 * time.Minute), State: ui.Critical, Label: "pgb2 down"},
		{At: ago(10 * time.Minute), State: ui.Planned, Label: "drain pgb3"}}}
	for i := range 90 {
		c.Times = append(c.Times, ago(time.Duration(90-i)*40*time.Second))
	}
	for i, name := range []string{"pgb1", "pgb2", "pgb3"} {
		c.Lines = append(c.Lines, ui.Line{Label: name, Values: wave(470, 40, 9+i)})
	}
	for i := 45; i < 57; i++ {
		c.Lines[1].Values[i] = math.NaN()
	}
	return c
}
