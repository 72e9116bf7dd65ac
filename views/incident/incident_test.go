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
	for name, m := range map[string]page.Model{"incident": story.Incident(), "incident-over": story.IncidentOver()} {
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
		{"an open one", story.Incident(), true}, {"one that is over", story.IncidentOver(), false},
		{"one that somebody is at", taken, false}, {"for a viewer", viewer, false},
	} {
		if got := strings.Contains(golden.Render(t, page.Content(row.m)), "/acknowledge"); got != row.want {
			t.Errorf("%s: %v", row.sentence, got)
		}
	}
}

func TestMeanTimeToRecoverCountsOutagesThatAreOver(t *testing.T) {
	over := func(d time.Duration, s incident.Severity, planned bool) page.Incident {
		return page.Incident{OpenedAt: chaintest.Noon, ResolvedAt: chaintest.Noon.Add(d), Severity: s, Planned: planned}
	}
	got := page.Recover([]page.Incident{
		over(2*time.Minute, incident.Critical, false), over(10*time.Minute, incident.Warning, false), over(30*time.Minute, incident.Warning, false),
		over(time.Hour, incident.Warning, true), over(0, incident.Info, false), {OpenedAt: chaintest.Noon, Severity: incident.Critical}})
	if want := (page.Recovery{Count: 3, Mean: 14 * time.Minute, Median: 10 * time.Minute, Longest: 30 * time.Minute}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if (page.Recover(nil) != page.Recovery{}) {
		t.Error("nothing is something")
	}
}

func TestAFilterMeansTheSameToEverybody(t *testing.T) {
	f := page.ParseFilter(url.Values{"state": {"over"}, "kind": {"pooler-down"}, "from": {"2026-11-23T10:00"}}, clock)
	if want := "from=2026-11-23T09%3A00%3A00Z&kind=pooler-down&state=over"; f.Query() != want {
		t.Errorf("%s, want %s", f.Query(), want)
	}
	q, _ := url.ParseQuery(f.Query())
	if again := page.ParseFilter(q, ui.Clock{Now: chaintest.Noon}); again.Query() != f.Query() {
		t.Errorf("read again it is %s", again.Query())
	}
}

func TestAFilterAdmitsWhatFits(t *testing.T) {
	i := page.Incident{Cause: "pooler-down/pgb2", Subject: "pgb2", Severity: incident.Warning, OpenedAt: chaintest.Noon}
	for _, row := range []struct {
		query string
		want  bool
	}{
		{"", true}, {"state=open", true}, {"state=over", false}, {"severity=warning", true}, {"severity=critical", false},
		{"kind=pooler-down", true}, {"kind=pooler", false}, {"host=pgb2", true}, {"host=pgb1", false},
		{"from=2026-11-23T12:00:00Z", true}, {"from=2026-11-23T12:00:01Z", false}, {"to=2026-11-23T11:59:59Z", false},
	} {
		q, _ := url.ParseQuery(row.query)
		if got := page.ParseFilter(q, clock).Admits(i); got != row.want {
			t.Errorf("%q admits: %v", row.query, got)
		}
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
	for _, k := range page.Kinds {
		for _, m := range page.Numbers(k) {
			if _, ok := metric.Find(m); !ok {
				t.Errorf("%s: %s is not drawn", k, m)
			}
		}
	}
}
