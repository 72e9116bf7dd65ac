package admin_test

import (
	"net/url"
	"strings"
	"testing"

	"weir/views/admin"
	"weir/views/chain/chaintest"
	"weir/views/golden"
	"weir/views/layout"
	"weir/views/story"
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

func TestTheExportHasTheFilterOfThePage(t *testing.T) {
	f := admin.ParseFilter(url.Values{"actor": {" ada@example.org "}, "verb": {"drain"}, "subject": {""}})
	if want := "/admin/audit/csv?actor=ada%40example.org&verb=drain"; f.CSV() != want {
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
