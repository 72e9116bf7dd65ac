package web

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/graph/noun"
	"weir/ops/fault"
	ops "weir/ops/incident"
	"weir/ops/runbook"
	"weir/queries"
	"weir/server/session"
	"weir/views/config"
	"weir/views/incident"
)

// looked is somebody who looks at a page whose frame has these open incidents.
func looked(t *testing.T, q Query, open ...ops.Incident) (*Web, *asked) {
	t.Helper()
	w := newSite(t, nil).Web
	w.Query = q
	a := w.ask(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/incidents", nil))
	a.viewer = &session.Viewer{Actor: runbook.Actor{Kind: runbook.User, ID: 1, Name: "ada@example.org", Role: runbook.Operator}}
	a.frame = &frame{at: a.frame.at, snapshot: a.frame.snapshot, open: open}
	return w, a
}

func TestAnOpenIncidentIsShownAsTheConsoleSeesItNow(t *testing.T) {
	began := time.Now().Add(-time.Minute)
	live := ops.Incident{Finding: ops.Finding{Cause: "pooler-down/pgb2", Impact: "now", Action: "see why", Evidence: []string{"now"},
		Falls: []time.Time{began.Add(-time.Hour), began.Add(10 * time.Second), began.Add(20 * time.Second)}},
		State: ops.Flapping, Flaps: 6, Since: began.Add(20 * time.Second), Gone: began.Add(30 * time.Second)}
	w, a := looked(t, nil, ops.Incident{Finding: ops.Finding{Cause: "pooler-down/pgb1"}}, live)
	m := incident.Model{Incident: incident.Incident{Cause: "pooler-down/pgb2", OpenedAt: began, Flaps: 1}, Impact: "then", Evidence: []string{"then"}}
	w.present(a, &m)
	if i := m.Incident; i.Flaps != 6 || !i.Gone.Equal(live.Gone) || !i.Since.Equal(live.Since) {
		t.Errorf("the incident is %+v", i)
	}
	if m.Impact != "now" || m.Action != "see why" || !slices.Equal(m.Evidence, live.Evidence) || !m.EvidenceAt.Equal(live.Gone) {
		t.Errorf("the words are of the last transition: %+v", m)
	}
	if !slices.Equal(m.Fell, live.Falls[1:]) {
		t.Errorf("it fell at %v", m.Fell)
	}
}

func TestAnIncidentThatTheConsoleDoesNotSeeIsShownAsItIsWrittenDown(t *testing.T) {
	w, a := looked(t, nil)
	m := incident.Model{Incident: incident.Incident{Cause: "pooler-down/pgb2"}, Impact: "then"}
	if w.present(a, &m); m.Impact != "then" || !m.Incident.Gone.IsZero() {
		t.Errorf("%+v", m)
	}
}

// silent is an API with these silences, and no settings of any host but pgb1.
type silent struct {
	Query
	silences []queries.Silence
}

func (q silent) Silences(context.Context, *int, *string, *int, *string) (*noun.SilenceConnection, error) {
	var list noun.SilenceConnection
	for _, s := range q.silences {
		list.Edges = append(list.Edges, noun.SilenceEdge{Node: noun.Silence{Silence: s}})
	}
	return &list, nil
}

func (q silent) Config(_ context.Context, host string) (*noun.Config, error) {
	c := &noun.Config{Host: host, Files: []noun.ConfigFile{{Path: "/etc/pgbouncer/pgbouncer.ini", Body: "[pgbouncer]\npool_mode = transaction\n"}}}
	if host != "pgb1" {
		c.RunningUnknown = new(host + " does not answer.")
		return c, nil
	}
	c.Running = []noun.Setting{{Key: "pool_mode", Value: "session"}}
	return c, nil
}

func TestWhatKeptAMessageBackIsAskedFor(t *testing.T) {
	now := time.Now()
	ended := queries.Silence{Cause: "*", StartsAt: now.Add(-time.Hour), EndsAt: now.Add(time.Hour), EndedAt: new(now.Add(-time.Minute))}
	other := queries.Silence{Cause: "pooler-down/*", Subject: "pgb3", StartsAt: now.Add(-time.Hour), EndsAt: now.Add(time.Hour)}
	mine := queries.Silence{Cause: "pooler-down/*", CreatedBy: "ada", StartsAt: now.Add(-time.Hour), EndsAt: now.Add(time.Hour)}
	for _, row := range []struct {
		sentence, monitor string
		silences          []queries.Silence
		channels          incident.Channels
		by                string // whose silence it is
	}{
		{"no channel", `{"notifications_pending": {}}`, nil, incident.NoChannel, ""},
		{"a channel", `{"notifications_pending": {"slack": 0}}`, nil, incident.SomeChannel, ""},
		{"a monitor that makes no sense", `?`, nil, incident.ChannelsUnknown, ""},
		{"silences that do not cover it", `{"notifications_pending": {"slack": 0}}`, []queries.Silence{ended, other}, incident.SomeChannel, ""},
		{"one that does", `{"notifications_pending": {"slack": 0}}`, []queries.Silence{ended, other, mine}, incident.SomeChannel, "ada"},
	} {
		monitor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, row.monitor) }))
		w, a := looked(t, silent{silences: row.silences})
		w.Monitor, w.Client = monitor.URL, monitor.Client()
		u := w.untold(a, incident.Incident{Cause: "pooler-down/pgb2", Subject: "pgb2"})
		by := ""
		if u.Silence != nil {
			by = u.Silence.By
		}
		if u.Channels != row.channels || by != row.by {
			t.Errorf("%s: channels %d, silence of %q", row.sentence, u.Channels, by)
		}
		monitor.Close()
	}
}

func TestEveryHostThatReportsItsSettingsIsCompared(t *testing.T) {
	w, a := looked(t, silent{})
	got := w.configChecks(a, []config.Host{{Name: "pgb1"}, {Name: "pgb2"}})
	if got["pgb1"].Differ != 1 || got["pgb2"].Why != "pgb2 does not answer." {
		t.Errorf("%+v", got)
	}
}

func TestBeforeAReloadItIsSaidWhatWouldChange(t *testing.T) {
	w, a := looked(t, silent{})
	all := strings.Join(w.rereads(a, ""), "|")
	if !strings.Contains(all, "pgb1 runs with pool_mode = session, and its rendered file says transaction") || !strings.Contains(all, "What pgb2 runs with now is not known.") {
		t.Error(all)
	}
	if one := w.rereads(a, "pgb2"); len(one) != 1 || !strings.Contains(one[0], "pgb2") {
		t.Errorf("of pgb2 alone: %q", one)
	}
}

// written is an API with one row of an incident, whose id is the monitor's.
type written struct {
	Query
	row noun.Incident
}

func (written) Node(context.Context, string) (noun.Node, error) { return nil, nil }

func (q written) Incidents(_ context.Context, open *bool, _, kind, host *string, since, until *time.Time, _ *int, _ *string, _ *int, _ *string) (*noun.IncidentConnection, error) {
	var page noun.IncidentConnection
	if open == nil && *kind == "pooler-down" && *host == "pgb2" && since.Before(q.row.OpenedAt) && until.After(q.row.OpenedAt) {
		page.Edges = []noun.IncidentEdge{{Node: noun.Incident{Incident: queries.Incident{ID: "another", OpenedAt: q.row.OpenedAt.Add(-50 * time.Second)}}}, {Node: q.row}}
	}
	return &page, nil
}

func TestALinkFromTheTimeOfAnOutageLeadsToItWhenItIsOver(t *testing.T) {
	began := time.Now().Add(-time.Hour)
	w, a := looked(t, written{row: noun.Incident{Incident: queries.Incident{ID: anIncident, OpenedAt: began.Add(300 * time.Millisecond)}}})
	w.live.remember(ops.Incident{ID: anotherIncident, OpenedAt: began, Finding: ops.Finding{Cause: "pooler-down/pgb2"}})
	if got, err := w.find(t.Context(), a, anotherIncident); err != nil || got.Incident.ID != anIncident {
		t.Errorf("%+v, %v", got.Incident, err)
	}
	if _, err := w.find(t.Context(), a, newID()); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("an id of nothing: %v", err)
	}
	for range seenMost {
		w.live.remember(ops.Incident{ID: newID()})
	}
	if _, still := w.live.of(anotherIncident); still || len(w.live.seen) != seenMost {
		t.Errorf("%d are remembered", len(w.live.seen))
	}
}
