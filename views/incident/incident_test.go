package incident_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"weir/ops/incident"
	"weir/views/chain/chaintest"
	"weir/views/golden"
	page "weir/views/incident"
	"weir/views/metric"
	"weir/views/story"
	"weir/views/ui"
)

var clock = ui.Clock{Now: chaintest.Noon, Zone: time.FixedZone("CET", 3600)}

func TestThePagesAreDrawnAsTheyWereLookedAt(t *testing.T) {
	for _, s := range story.Shots() {
		if strings.HasPrefix(s.Name, "incident") {
			golden.Plain(t, s.Content)
			if !s.Charts {
				golden.HTML(t, s.Name, s.Content)
			}
		}
	}
	for name, m := range map[string]page.Model{"incident": story.Incident(), "incident-flapping": story.IncidentFlapping(), "incident-silenced": story.IncidentSilenced(), "incident-over": story.IncidentOver()} {
		m.Series = nil // charts are metric's
		golden.HTML(t, name, page.Content(m))
	}
}

func TestEveryFragmentHasItsPlace(t *testing.T) {
	m := story.Incident()
	html := golden.Render(t, page.Content(m))
	list := golden.Render(t, page.List(story.Incidents()))
	for _, f := range append(m.Fragments(), story.Incidents().Fragments()...) {
		if strings.Count(html+list, `id="`+f.ID+`"`) != 1 {
			t.Errorf("#%s is missing, or doubled", f.ID)
		}
	}
}

func TestWhatIsOpenStandsWhilePostgreSQLIsAway(t *testing.T) {
	v := chaintest.Healthy().NoPostgres().View()
	html := golden.Render(t, page.List(page.ListModel{Clock: v.Clock, Now: page.Now(v), Missing: story.Away}))
	if !strings.Contains(html, "PostgreSQL down") || !strings.Contains(html, "out of reach") {
		t.Error(html)
	}
}

func TestOnlyAnOpenIncidentThatNobodyIsAtCanBeAcknowledged(t *testing.T) {
	taken := story.Incident()
	taken.Incident.AcknowledgedAt, taken.Incident.AcknowledgedBy = chaintest.Noon, "ada@example.org"
	viewer := story.Incident()
	viewer.Operates = false
	for _, row := range []struct {
		sentence string
		m        page.Model
		want     bool
	}{
		{"an open one", story.Incident(), true}, {"one that flaps", story.IncidentFlapping(), true}, {"one that is resolved", story.IncidentOver(), false},
		{"one that somebody is at", taken, false}, {"for a viewer", viewer, false},
	} {
		if got := strings.Contains(golden.Render(t, page.Content(row.m)), "/acknowledge"); got != row.want {
			t.Errorf("%s: %v", row.sentence, got)
		}
	}
}

func TestAFlappingIncidentSaysHowItIsNowAndHowOftenItFell(t *testing.T) {
	up, down, once := story.IncidentFlapping(), story.IncidentFlapping(), story.Incident()
	down.Incident.Gone = time.Time{}
	back := story.Incident()
	back.Incident.Since, back.Incident.Well = chaintest.Noon.Add(-5*time.Second), 4*time.Minute
	once.Incident.State, once.Incident.Flaps, once.Incident.Gone = incident.Recovering, 0, chaintest.Noon.Add(-2*time.Second)
	for _, row := range []struct {
		sentence string
		m        page.Model
		has      []string
		not      string
	}{
		{"while it is up", up, []string{"flapping, up now", "Up again", "It went down 6 times", "if it stays up", "While it was down: "}, "Down again"},
		{"while it is down", down, []string{"flapping, down now", "Down again", "It went down 6 times"}, "It is resolved at"},
		{"up for the first time", once, []string{"Up again", "It is resolved in a moment"}, "It went down"},
		{"that was over and came back", back, []string{"again since ", ">5 s<", ", first at "}, "Down again"},
		{"that never came back", story.IncidentSilenced(), nil, "again"},
	} {
		html := golden.Render(t, page.Content(row.m))
		for _, has := range row.has {
			if !strings.Contains(html, has) {
				t.Errorf("%s: does not say %q", row.sentence, has)
			}
		}
		head, _, _ := strings.Cut(html, `id="facts"`)
		if strings.Contains(head, row.not) {
			t.Errorf("%s: says %q", row.sentence, row.not)
		}
	}
}

func TestWhatAnIncidentTookIsWithoutTheTimeWhenItWasOver(t *testing.T) {
	m := page.ListModel{Clock: clock, Now: []page.Incident{{Cause: "pooler-down/pgb2", Title: "pgb2 down", Flaps: 1,
		OpenedAt: chaintest.Noon.Add(-110 * time.Second), Since: chaintest.Noon.Add(-5 * time.Second), Well: 100 * time.Second}}}
	if html := golden.Render(t, page.List(m)); !strings.Contains(html, "10 s") || strings.Contains(html, "1 min 50 s") {
		t.Error(html)
	}
}

func TestTheTimelineSaysEverythingOnce(t *testing.T) {
	at := func(kind incident.Change, text string) page.Event {
		return page.Event{At: chaintest.Noon, Kind: kind, From: incident.OK, To: incident.Firing, Text: text}
	}
	m := page.Model{Clock: clock, Incident: page.Incident{ID: "1", Title: "pgb2 down", OpenedAt: chaintest.Noon}, Events: []page.Event{
		at(incident.Opened, "pgb2 down: opened. 2 of 3 poolers serving."), at(incident.Escalated, "pgb2 down: now critical. Nobody is served."),
		at(incident.Changed, "pgb2 hung: changed"), at(incident.Happened, "pgb2 went down and came back: happened"),
		at(incident.Resolved, "pgb2 down: resolved after 42 s"), at(incident.Steadied, ""), at("later", "what a later monitor says")}}
	html := golden.Render(t, page.Content(m))
	_, timeline, _ := strings.Cut(html, `id="timeline"`)
	for _, line := range []string{">Opened. 2 of 3 poolers serving.<", ">Now critical. Nobody is served.<", ">Now: pgb2 hung<", ">pgb2 went down and came back<",
		">Resolved after 42 s<", ">No longer flapping: it stays<", ">what a later monitor says<"} {
		if strings.Count(timeline, line) != 1 {
			t.Errorf("not once %s", line)
		}
	}
	if strings.Contains(timeline, "→") {
		t.Error("states stand there that say nothing")
	}
}

func TestWhyNobodyWasToldIsSaid(t *testing.T) {
	silence := &page.Silence{By: "ada", Reason: "disk", Until: chaintest.Noon.Add(time.Hour)}
	resolved := page.Incident{OpenedAt: chaintest.Noon, ResolvedAt: chaintest.Noon}
	for _, row := range []struct {
		sentence string
		i        page.Incident
		untold   page.Untold
		want     string
	}{
		{"planned work", page.Incident{Planned: true}, page.Untold{Channels: page.NoChannel}, "planned work"},
		{"no channel", page.Incident{}, page.Untold{Channels: page.NoChannel}, "no channel is set up"},
		{"a silence", page.Incident{}, page.Untold{Channels: page.SomeChannel, Silence: silence}, "ada silenced it until 14:00:00 CET (disk)"},
		{"a silence of now says nothing of then", resolved, page.Untold{Channels: page.SomeChannel, Silence: silence}, "No message about it"},
		{"the monitor does not answer", page.Incident{}, page.Untold{}, "the monitor, which sends them, does not answer"},
		{"not yet", page.Incident{}, page.Untold{Channels: page.SomeChannel}, "written down yet"},
	} {
		if html := golden.Render(t, page.Content(page.Model{Clock: clock, Incident: row.i, Untold: row.untold})); !strings.Contains(html, row.want) {
			t.Errorf("%s: does not say %q", row.sentence, row.want)
		}
	}
}

func TestTheHistoryLeavesOutWhatIsOpenUnlessItIsAskedFor(t *testing.T) {
	for query, want := range map[string]string{"": "resolved", "state=open": "open", "state=all": "both"} {
		q, _ := url.ParseQuery(query)
		got := "both"
		if open := page.ParseFilter(q, clock).Opened(); open != nil {
			got = map[bool]string{true: "open", false: "resolved"}[*open]
		}
		if got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
}

func TestWhatIsKnownOfACauseIsSaidInWords(t *testing.T) {
	html := golden.Render(t, page.List(story.Incidents())) + golden.Render(t, page.Content(story.IncidentOver()))
	for _, word := range []string{">pooler down, 2 times", ">pooler held back", "<li>pgb1: pooler down", "<li>no pooler serving"} {
		if !strings.Contains(html, word) {
			t.Errorf("does not say %s", word)
		}
	}
}

func TestMeanTimeToRecoverCountsOutagesThatAreResolved(t *testing.T) {
	over := func(d time.Duration, s incident.Severity, planned bool) page.Incident {
		return page.Incident{OpenedAt: chaintest.Noon, ResolvedAt: chaintest.Noon.Add(d), Severity: s, Planned: planned}
	}
	twice := over(2*time.Hour, incident.Critical, false)
	twice.Well = 2*time.Hour - 2*time.Minute
	got := page.Recover([]page.Incident{
		twice, over(10*time.Minute, incident.Warning, false), over(30*time.Minute, incident.Warning, false),
		over(time.Hour, incident.Warning, true), over(0, incident.Info, false), {OpenedAt: chaintest.Noon, Severity: incident.Critical}})
	if want := (page.Recovery{Count: 3, Mean: 14 * time.Minute, Median: 10 * time.Minute, Longest: 30 * time.Minute}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if (page.Recover(nil) != page.Recovery{}) {
		t.Error("nothing is something")
	}
}

func TestAFilterMeansTheSameToEverybody(t *testing.T) {
	f := page.ParseFilter(url.Values{"state": {"open"}, "kind": {"pooler-down"}, "from": {"2026-11-23T10:00"}}, clock)
	if want := "from=2026-11-23T09%3A00%3A00Z&kind=pooler-down&state=open"; f.Query() != want {
		t.Errorf("%s, want %s", f.Query(), want)
	}
	q, _ := url.ParseQuery(f.Query())
	if again := page.ParseFilter(q, ui.Clock{Now: chaintest.Noon}); again.Query() != f.Query() {
		t.Errorf("read again it is %s", again.Query())
	}
}

func TestAWrongMomentIsSaidAtItsField(t *testing.T) {
	f := page.ParseFilter(url.Values{"from": {"yesterday"}}, clock)
	if f.Faults.Of("from") == "" || f.From0 != "yesterday" {
		t.Errorf("%+v", f)
	}
}

func TestChartsOfAnIncidentEndNow(t *testing.T) {
	r := page.Around(page.Incident{OpenedAt: chaintest.Noon.Add(-time.Hour)}, chaintest.Noon)
	if !r.To.Equal(chaintest.Noon) || r.From.After(chaintest.Noon.Add(-time.Hour)) {
		t.Errorf("%v to %v", r.From, r.To)
	}
}

func TestEveryKindHasNumbersThatAreDrawn(t *testing.T) {
	for _, k := range page.Kinds() {
		for _, m := range page.Numbers(k) {
			if _, ok := metric.Find(m); !ok {
				t.Errorf("%s: %s is not drawn", k, m)
			}
		}
	}
}

func TestWhatAnIncidentThatIsOverMeantIsNotSaidAsIfItWereSo(t *testing.T) {
	m := story.IncidentOver()
	m.Action = "On postgres: `systemctl restart weir-postgres`."
	html := golden.Render(t, page.Content(m))
	if !strings.Contains(html, "<strong>While it lasted: </strong>Nobody was served") || strings.Contains(html, "To do") {
		t.Error("it is")
	}
	m.Incident.ResolvedAt = m.Incident.OpenedAt
	if html := golden.Render(t, page.Content(m)); strings.Contains(html, "While it lasted") {
		t.Error("what was over at once did not last")
	}
	if html := golden.Render(t, page.Content(story.Incident())); strings.Contains(html, "While it lasted") {
		t.Error("one that is open is called over")
	}
}
