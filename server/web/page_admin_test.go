package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/graph/noun"
	"weir/ops/runbook"
	"weir/queries"
	"weir/server/session"
	"weir/views/admin"
	"weir/views/ui"
)

const (
	anIncident      = "0199e0a2-7c1e-7b3a-9d6e-5f5ad3c2a001"
	anotherIncident = "0199e0a2-7c1e-7b3a-9d6e-5f5ad3c2a002"
)

// kept is an API with these rows. It notes what it was asked for.
type kept struct {
	Query
	titles   map[string]string // of incidents, by id
	away     error             // of incidents
	messages []queries.Notification
	entries  []queries.Audit
	asked    []string
}

func (k *kept) Node(_ context.Context, id string) (noun.Node, error) {
	_, key, _ := noun.ParseID(id)
	k.asked = append(k.asked, key)
	title, ok := k.titles[key]
	if !ok {
		return nil, k.away
	}
	return noun.Incident{Incident: queries.Incident{ID: key, Title: title}}, nil
}

func (k *kept) Notifications(_ context.Context, _ *string, first *int, _ *string, _ *int, _ *string) (*noun.NotificationConnection, error) {
	k.asked = append(k.asked, fmt.Sprint(*first, " messages"))
	var list noun.NotificationConnection
	for _, n := range k.messages[:min(*first, len(k.messages))] {
		list.Edges = append(list.Edges, noun.NotificationEdge{Node: noun.Notification{Notification: n}})
	}
	list.PageInfo.HasNextPage = len(k.messages) > *first
	return &list, nil
}

func (k *kept) Audit(_ context.Context, _, _, _ *string, since, until *time.Time, _ *int, _ *string, _ *int, _ *string) (*noun.AuditConnection, error) {
	if since != nil || until != nil {
		k.asked = append(k.asked, fmt.Sprint(or(since).UTC().Format(time.TimeOnly), " to ", or(until).UTC().Format(time.TimeOnly)))
	}
	var list noun.AuditConnection
	for _, e := range k.entries {
		list.Edges = append(list.Edges, noun.AuditEdge{Node: noun.AuditEntry{Audit: e}})
	}
	return &list, nil
}

// drawn is a page of this API, for an operator. The monitor has a channel, slack.
func (k *kept) drawn(t *testing.T, path string, make func(*Web) maker) string {
	t.Helper()
	return k.drawnWith(t, `{"notifications_pending": {"slack": 0}}`, path, make)
}

// drawnWith is drawn with what the monitor says of itself.
func (k *kept) drawnWith(t *testing.T, monitorSays, path string, make func(*Web) maker) string {
	t.Helper()
	monitor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, monitorSays)
	}))
	defer monitor.Close()
	w := newSite(t, nil).Web
	w.Query, w.Monitor, w.Client = k, monitor.URL, monitor.Client()
	a := w.ask(httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	a.viewer = &session.Viewer{Actor: runbook.Actor{Kind: runbook.User, ID: 1, Name: "ada@example.org", Role: runbook.Operator}}
	m, err := make(w)(a)
	if err != nil {
		t.Fatal(err)
	}
	var html strings.Builder
	if err := m.content.Render(t.Context(), &html); err != nil {
		t.Fatal(err)
	}
	return html.String()
}

func (k *kept) Silences(context.Context, *int, *string, *int, *string) (*noun.SilenceConnection, error) {
	return &noun.SilenceConnection{}, nil
}

func silences(w *Web) maker      { return w.silences }
func notifications(w *Web) maker { return w.notifications }
func audit(w *Web) maker         { return w.audit }

func message(incident string, sent bool) queries.Notification {
	n := queries.Notification{Channel: "slack", Reason: "first", State: "pending", Error: "post to Slack: timeout", CreatedAt: time.Now().Add(-time.Minute)}
	if incident != "" {
		n.IncidentID = &incident
	}
	if sent {
		n.State, n.Error, n.SentAt = "sent", "", new(time.Now())
	}
	return n
}

func TestTheDeliveryLogAsksForEachIncidentOnce(t *testing.T) {
	k := &kept{titles: map[string]string{anIncident: "pgb2 down", anotherIncident: "PostgreSQL down"},
		messages: []queries.Notification{message(anIncident, true), message(anotherIncident, true), message("", true), message(anIncident, true), message(anotherIncident, true)}}
	html := k.drawn(t, "/admin/notifications", notifications)
	if want := []string{"25 messages", anIncident, anotherIncident}; !slices.Equal(k.asked, want) {
		t.Errorf("asked for %v, want %v", k.asked, want)
	}
	for title, times := range map[string]int{">pgb2 down</a>": 2, ">PostgreSQL down</a>": 2, "a test message": 2} { // that and the button
		if n := strings.Count(html, title); n < times {
			t.Errorf("%s is there %d times", title, n)
		}
	}
}

func TestTheDeliveryLogIsThereWithoutTitlesAndAsksNoFurther(t *testing.T) {
	k := &kept{away: errors.New("no answer"), messages: []queries.Notification{message(anIncident, true), message(anotherIncident, true)}}
	html := k.drawn(t, "/admin/notifications", notifications)
	if len(k.asked) != 2 || strings.Count(html, ">an incident</a>") != 2 {
		t.Errorf("asked for %v: %s", k.asked, html)
	}
}

func TestAChannelsLastWordsAreLookedForFurtherBackOnlyWhenThePageHasNone(t *testing.T) {
	owed := slices.Repeat([]queries.Notification{message("", false)}, pageShown)
	for _, row := range []struct {
		why, path string
		messages  []queries.Notification
		asked     int
		delivers  bool
	}{
		{"the page has them", "/admin/notifications", []queries.Notification{message("", true)}, 1, true},
		{"there are no others", "/admin/notifications", owed[:3], 1, false},
		{"they are further back", "/admin/notifications", append(slices.Clone(owed), message("", true)), 2, false},
		{"the page is of one state", "/admin/notifications?state=sent", []queries.Notification{message("", true)}, 2, true},
		{"the page is an older one", "/admin/notifications?after=x", []queries.Notification{message("", true)}, 2, true},
	} {
		k := &kept{messages: row.messages}
		html := k.drawn(t, row.path, notifications)
		if len(k.asked) != row.asked || strings.Contains(html, ">delivers<") != row.delivers || strings.Contains(html, "does not deliver") == row.delivers {
			t.Errorf("%s: asked for %v: %s", row.why, k.asked, html)
		}
	}
}

func TestTheAuditNamesAnAcknowledgedIncidentByItsTitle(t *testing.T) {
	k := &kept{titles: map[string]string{anIncident: "pgb2 down"}, entries: []queries.Audit{
		{ID: newID(), Verb: "acknowledge", Subject: anIncident, Outcome: "ok"}, {ID: newID(), Verb: "drain", Subject: "pgb3", Outcome: "ok"},
		{ID: newID(), Verb: "acknowledge", Subject: anIncident, Outcome: "refused"}, {ID: newID(), Verb: "acknowledge", Subject: "mistyped", Outcome: "refused"}}}
	html := k.drawn(t, "/admin/audit", audit)
	if strings.Count(html, `<a href="/incidents/`+anIncident+`">pgb2 down</a>`) != 2 || len(k.asked) != 1 || !strings.Contains(html, "mistyped") {
		t.Errorf("asked for %v: %s", k.asked, html)
	}
}

func TestThePagesSayWhetherAnybodyIsTold(t *testing.T) {
	for says, want := range map[string]string{
		`{"notifications_pending": {}}`: "Nobody is told when something breaks: no channel is set up.",
		`{}`:                            "Nobody is told when something breaks: no channel is set up.",
		`away`:                          "It is not known whether anybody is told when something breaks.",
		`{"notifications_pending": {"slack": 0}}`: "",
	} {
		for path, make := range map[string]func(*Web) maker{"/admin/silences": silences, "/admin/notifications": notifications} {
			html := (&kept{}).drawnWith(t, says, path, make)
			if !strings.Contains(html, want) || strings.Contains(html, "anybody is told") != strings.Contains(want, "anybody is told") || strings.Contains(html, "Nobody is told") != strings.HasPrefix(want, "Nobody") {
				t.Errorf("%s of a monitor that says %s: %s", path, says, html)
			}
			if want != "" && strings.Contains(html, `data-state-of="ok"`) {
				t.Errorf("%s of a monitor that says %s is green", path, says)
			}
		}
	}
}

func TestTheAuditCanBeAskedForANight(t *testing.T) {
	k := &kept{}
	k.drawn(t, "/admin/audit?since=2026-11-23T02:00&until=2026-11-23T05:30", audit)
	if want := []string{"02:00:00 to 05:30:00"}; !slices.Equal(k.asked, want) {
		t.Errorf("asked for %v, want %v", k.asked, want)
	}
	k.asked = nil
	html := k.drawn(t, "/admin/audit?since=last+night", audit)
	if len(k.asked) != 0 || !strings.Contains(html, `value="last night"`) || strings.Contains(html, "/audit/csv") {
		t.Errorf("a moment that is none: asked for %v: %s", k.asked, html)
	}
}

func TestEveryVerbOfTheAuditHasItsWords(t *testing.T) {
	for v := range runbook.Verbs() {
		if !slices.ContainsFunc(admin.Verbs, func(o ui.Option) bool { return o.Value == string(v) }) {
			t.Errorf("%s has none", v)
		}
	}
}

// silencing is an API that notes the silences it is asked for.
type silencing struct {
	Mutation
	asked []string
}

func (s *silencing) Silence(_ context.Context, cause string, host *string, lasts time.Duration, _ string, dry bool) (*noun.OrderPayload, error) {
	if !dry {
		s.asked = append(s.asked, fmt.Sprint(cause, " on ", or(host), " for ", lasts))
	}
	return &noun.OrderPayload{}, nil
}

func TestNothingIsSilencedThatNobodyChose(t *testing.T) {
	for _, row := range []struct{ why, form, want string }{
		{"an empty form", "reason=because&for=PT1H", ""},
		{"everything, in one go", "reason=because&for=PT1H&cause=*", ""},
		{"everything, once more", "reason=because&for=PT1H&cause=*&sure=*", "* on  for 1h0m0s"},
		{"everything of one host", "reason=because&for=PT4H&cause=*&host=pgb2", "* on pgb2 for 4h0m0s"},
		{"one cause", "reason=because&for=PT1H&cause=pooler-down/pgb2", "pooler-down/pgb2 on  for 1h0m0s"},
		{"no duration", "reason=because&for=soon&cause=pooler-down/pgb2", ""},
	} {
		w, m := newSite(t, nil).Web, &silencing{}
		w.Mutation = m
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/admin/silences/new", strings.NewReader(row.form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		a, answer := w.ask(r), httptest.NewRecorder()
		a.viewer = &session.Viewer{Actor: runbook.Actor{Kind: runbook.User, ID: 1, Name: "ada@example.org", Role: runbook.Operator}}
		if err := w.order(answer, a, w.silence); err != nil {
			t.Fatalf("%s: %v", row.why, err)
		}
		if got := strings.Join(m.asked, ", "); got != row.want || (row.want == "") != (answer.Code == http.StatusUnprocessableEntity) {
			t.Errorf("%s: silenced %q with %d, want %q", row.why, got, answer.Code, row.want)
		}
		if row.form == "reason=because&for=PT1H&cause=*" && (!strings.Contains(answer.Body.String(), `name="sure"`) || !strings.Contains(answer.Body.String(), `data-variant="destructive"`)) {
			t.Errorf("%s: the form does not warn: %s", row.why, answer.Body)
		}
	}
}
