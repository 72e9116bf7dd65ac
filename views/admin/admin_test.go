package admin_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"

	broke "weir/ops/incident"
	"weir/views/admin"
	"weir/views/chain/chaintest"
	"weir/views/golden"
	"weir/views/incident"
	"weir/views/layout"
	"weir/views/story"
	"weir/views/ui"
)

func TestThePagesAreDrawnAsTheyWereLookedAt(t *testing.T) {
	for _, s := range story.Shots() {
		if strings.HasPrefix(s.Name, "admin") {
			golden.HTML(t, s.Name, s.Content)
			golden.Plain(t, s.Content)
		}
	}
}

func TestTabsLeadToWhatARoleReaches(t *testing.T) {
	for role, want := range map[layout.Role]string{
		layout.SeesOnly:      "Silences Notifications",
		layout.Operator:      "Silences Notifications Audit",
		layout.Administrator: "People Tokens Sessions Silences Notifications Audit",
	} {
		html := golden.Render(t, admin.SilencesContent(admin.Silences{Role: role}))
		var got []string
		for _, label := range []string{"People", "Tokens", "Sessions", "Silences", "Notifications", "Audit"} {
			if strings.Contains(html, ">"+label+"</a>") {
				got = append(got, label)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v", role, got)
		}
	}
}

func TestAViewerSeesNoOrders(t *testing.T) {
	silences, notifications := story.Silences(), story.Notifications()
	silences.Role, notifications.Role = layout.SeesOnly, layout.SeesOnly
	for _, html := range []string{golden.Render(t, admin.SilencesContent(silences)), golden.Render(t, admin.NotificationsContent(notifications))} {
		for _, order := range []string{"/admin/silences/new", "/end", "/test"} {
			if strings.Contains(html, order) {
				t.Errorf("a viewer is offered %s", order)
			}
		}
	}
}

func TestNobodyIsOfferedToShutThemselvesOut(t *testing.T) {
	m := story.Person()
	m.Person.You = true
	html := golden.Render(t, admin.PersonContent(m))
	if strings.Contains(html, admin.Disable.URL(m.Person)+`"`) || strings.Contains(html, admin.SetRole.URL(m.Person)+`"`) {
		t.Error("they are")
	}
}

func TestADisabledAccountCanOnlyBeEnabled(t *testing.T) {
	m := story.Person()
	m.Person.DisabledAt = chaintest.Noon
	html := golden.Render(t, admin.PersonContent(m))
	if !strings.Contains(html, admin.Enable.URL(m.Person)+`"`) || strings.Contains(html, admin.ResetLink.URL(m.Person)+`"`) {
		t.Error(html)
	}
}

func TestAnIncidentIsNamedByItsTitle(t *testing.T) {
	const id = "0199e0a2-7c1e-7b3a-9d6e-5f5ad3c2a001"
	for title, want := range map[string]string{"pgb2 down": "pgb2 down", "": "an incident"} {
		audit := admin.AuditContent(admin.Audit{Entries: []admin.Entry{{Verb: "acknowledge", Subject: id, Incident: id, Title: title}}})
		log := admin.NotificationsContent(admin.Notifications{List: []admin.Notification{{Incident: id, Title: title}}})
		for page, c := range map[string]templ.Component{"audit": audit, "delivery log": log} {
			if html := golden.Render(t, c); !strings.Contains(html, `<a href="/incidents/`+id+`">`+want+`</a>`) || strings.Contains(html, ">"+id) {
				t.Errorf("%s: %s", page, html)
			}
		}
	}
}

func TestHowLongItTookIsToldOfWhatWasCarriedOut(t *testing.T) {
	for _, row := range []struct {
		outcome string
		took    time.Duration
		want    string
	}{
		{"ok", 41 * time.Millisecond, "took 41 ms"},
		{"failed", 2100 * time.Millisecond, "took 2.1 s"},
		{"ok", 0, ""}, // a sign-in
		{"ok", 400 * time.Microsecond, ""},
		{"refused", 41 * time.Millisecond, ""},
	} {
		html := golden.Render(t, admin.AuditContent(admin.Audit{Entries: []admin.Entry{{Verb: "drain", Outcome: row.outcome, Took: row.took}}}))
		if told := strings.Contains(html, "took "); told != (row.want != "") || !strings.Contains(html, row.want) {
			t.Errorf("%s after %s: %s", row.outcome, row.took, html)
		}
	}
}

func TestTheExportHasTheFilterOfThePage(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	f := admin.ParseFilter(url.Values{"actor": {" ada@example.org "}, "verb": {"drain"}, "subject": {""}, "since": {"2026-11-23T02:00"}}, ui.Clock{Zone: berlin})
	if want := "/admin/audit/csv?actor=ada%40example.org&since=2026-11-23T01%3A00%3A00Z&verb=drain"; f.CSV() != want {
		t.Errorf("%s, want %s", f.CSV(), want)
	}
}

func TestWhatPeopleWroteIsNoFormulaInASpreadsheet(t *testing.T) {
	var b strings.Builder
	e := story.Audit().Entries[0]
	e.Reason, e.Detail = `=HYPERLINK("x")`, []string{"a, b", "c"}
	if err := admin.WriteCSV(&b, []admin.Entry{e}); err != nil {
		t.Fatal(err)
	}
	if want := `2026-11-23T11:56:00Z,user,ada@example.org,203.0.113.77,drain,pgb3,"'=HYPERLINK(""x"")",ok,"a, b; c",41ms` + "\n"; !strings.HasSuffix(b.String(), want) {
		t.Errorf("%s", b.String())
	}
}

func TestARefusalSaysWhyWithoutAClick(t *testing.T) {
	for outcome, openly := range map[string]bool{"refused": true, "failed": true, "ok": false} {
		html := golden.Render(t, admin.AuditContent(admin.Audit{Entries: []admin.Entry{{Verb: "maint", Outcome: outcome, Detail: []string{"1,833 clients are connected", "1,200 places are left"}}}}))
		if strings.Contains(html, "<details") == openly || !strings.Contains(html, "1,200 places are left") {
			t.Errorf("%s: %s", outcome, html)
		}
	}
}

func TestTheSilenceFormSaysWhatFitsNow(t *testing.T) {
	for _, row := range []struct{ cause, host, want string }{
		{"", "", ""},
		{"pooler-down/pgb2", "", "Open now, and silent from then on: pgb2 down."},
		{"pooler-down/*", "", "Open now, and silent from then on: pgb2 down."},
		{"pooler-down/*", "pgb3", "Nothing that is open now fits."},
		{"postgres-down", "", "Nothing that is open now fits."},
		{"*", "", "Nobody is told of anything on any host, for as long as you choose below. Open now, and silent from then on: pgb2 down."},
	} {
		f := story.SilenceForm(row.cause)
		f.Host = row.host
		if got := strings.Join(f.Confirm().Effects, " "); got != row.want {
			t.Errorf("%s on %s: %s", row.cause, row.host, got)
		}
	}
}

func TestASilenceSaysInWordsWhatItIsAbout(t *testing.T) {
	for _, row := range []struct{ cause, host, want string }{
		{"pooler-down/*", "", "pooler down"},
		{"pooler-down/*", "pgb3", "pooler down on pgb3"},
		{"pooler-down/pgb3", "", "pooler down on pgb3"},
		{"postgres-down", "", "PostgreSQL down"},
		{"*", "", "every alarm"},
		{"*", "pgb3", "every alarm on pgb3"},
		{"pool*", "", "pool*"},
	} {
		html := golden.Render(t, admin.SilencesContent(admin.Silences{List: []admin.Silence{{Cause: row.cause, Host: row.host}}}))
		if !strings.Contains(html, `<th scope="row">`+row.want+`</th>`) {
			t.Errorf("%s on %q: %s", row.cause, row.host, html)
		}
	}
}

func TestWhatCanBeSilencedIsAPatternOfAKind(t *testing.T) {
	for _, o := range story.SilenceForm("x").Confirm().Fields[0].Options {
		kind, _, _ := strings.Cut(o.Value, "/")
		if !slices.Contains(incident.Kinds(), broke.Kind(kind)) && o.Value != "" && o.Value != "*" && o.Value != "x" {
			t.Errorf("%q (%s) is no kind of incident", o.Value, o.Label)
		}
	}
}

func TestAChannelThatNeverDeliveredIsNotGreen(t *testing.T) {
	for _, row := range []struct {
		c    admin.Channel
		told string
	}{
		{admin.Channel{Name: "slack"}, ""},
		{admin.Channel{Name: "slack", LastSent: chaintest.Noon}, ""},
		{admin.Channel{Name: "slack", LastSent: chaintest.Noon, Error: "channel_not_found"}, "no channel delivers"},
		{admin.Channel{Name: "slack", Unset: "Set it."}, "no channel is set up"},
	} {
		list := admin.Channels{List: []admin.Channel{row.c}}
		if told := list.Told(); (told != nil) != (row.told != "") || told != nil && !strings.Contains(told.Title, row.told) {
			t.Errorf("%+v: %+v", row.c, told)
		}
		html := golden.Render(t, admin.NotificationsContent(admin.Notifications{Channels: list}))
		if green := row.told == "" && !row.c.LastSent.IsZero(); strings.Contains(html, `data-state-of="ok"`) != green {
			t.Errorf("%+v: %s", row.c, html)
		}
	}
}
