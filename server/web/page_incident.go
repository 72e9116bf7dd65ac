package web

import (
	"cmp"
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"weir/graph/noun"
	"weir/ops/fault"
	ops "weir/ops/incident"
	"weir/ops/runbook"
	"weir/queries"
	"weir/views/incident"
	"weir/views/layout"
	"weir/views/metric"
	"weir/views/ui"
)

func (w *Web) incidentPages(see seeing, do doing) {
	see("/incidents", w.incidents)
	see("/incidents/{id}", w.incident)
	w.orders(see, do, "/incidents/{id}/acknowledge", w.acknowledge)
}

const (
	incidentsShown = 20
	recoveryOf     = 30 * 24 * time.Hour
	recoveryPages  = 10 // of a hundred each, at most
)

func (w *Web) incidents(a *asked) (made, error) {
	if err := a.needs(runbook.Viewer); err != nil {
		return made{}, err
	}
	q := a.URL.Query()
	m := incident.ListModel{Clock: a.clock, Now: w.openNow(a), Filter: incident.ParseFilter(q, a.clock)}
	inv := w.Deps.Inventory
	m.Hosts = slices.Concat(inv.HAProxy.NodeNames(), inv.PgBouncer.PoolerNames(), []string{inv.Postgres.Name, inv.Monitor.Name})
	if !a.stream { // it is no part of what the stream sends
		m.Missing = a.missing(w.pastIncidents(a, &m, q))
	}
	return made{title: "Incidents", section: layout.Incidents, content: incident.List(m), fragments: m.Fragments()}, nil
}

// openNow is what is open as the console sees it, with what only the monitor's rows know of it: who is at
// it, and how often it came back. Without PostgreSQL it is the console's word alone.
func (w *Web) openNow(a *asked) []incident.Incident {
	list := incident.Now(a.view())
	if _, away := a.away(); away || len(list) == 0 {
		return list
	}
	rows, err := shared(a.frame, "rows of open incidents", func() (map[string]incident.Incident, error) { return w.openRows(a) })
	if err != nil {
		return list
	}
	for n := range list {
		i := &list[n]
		if row, ok := rows[i.Cause]; ok {
			i.ID, i.OpenedAt, i.Well, i.Flaps = row.ID, row.OpenedAt, row.Well, max(i.Flaps, row.Flaps)
			i.AcknowledgedAt, i.AcknowledgedBy, i.AcknowledgedReason = row.AcknowledgedAt, row.AcknowledgedBy, row.AcknowledgedReason
		}
	}
	return list
}

// openRows are the open incidents by cause: there is one of each.
func (w *Web) openRows(a *asked) (map[string]incident.Incident, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.Context()), historyLimit) // others wait for it as well
	defer cancel()
	open, most := true, noun.MaxPage
	page, err := w.Query.Incidents(ctx, &open, nil, nil, nil, nil, nil, &most, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	rows := map[string]incident.Incident{}
	for _, e := range page.Edges {
		rows[e.Node.Cause] = incidentOf(e.Node.Incident)
	}
	return rows, nil
}

func (w *Web) pastIncidents(a *asked, m *incident.ListModel, q url.Values) error {
	ctx, cancel := a.limited()
	defer cancel()
	f := m.Filter
	size := incidentsShown
	first, after, last, before := &size, given(q.Get("after")), (*int)(nil), given(q.Get("before"))
	if before != nil {
		first, last = nil, &size
	}
	page, err := w.Query.Incidents(ctx, f.Opened(), given(string(f.Severity)), given(string(f.Kind)), given(f.Host), given(f.From), given(f.To), first, after, last, before)
	if err != nil {
		return err
	}
	for _, e := range page.Edges {
		m.History = append(m.History, incidentOf(e.Node.Incident))
	}
	m.Pager = pager("/incidents?"+f.Query(), page.PageInfo, len(page.Edges), "incident")
	m.Recovery, err = w.recovery(ctx, a.clock.Now)
	return err
}

// recovery is how long incidents of late took to be resolved.
func (w *Web) recovery(ctx context.Context, now time.Time) (incident.Recovery, error) {
	since, size, over := now.Add(-recoveryOf), noun.MaxPage, false
	var all []incident.Incident
	var after *string
	for range recoveryPages {
		page, err := w.Query.Incidents(ctx, &over, nil, nil, nil, &since, nil, &size, after, nil, nil)
		if err != nil {
			return incident.Recovery{}, err
		}
		for _, e := range page.Edges {
			all = append(all, incidentOf(e.Node.Incident))
		}
		if after = page.PageInfo.EndCursor; !page.PageInfo.HasNextPage {
			break
		}
	}
	return incident.Recover(all), nil
}

// pager leads through a list whose address, filter included, is base.
func pager(base string, info noun.PageInfo, shown int, what string) ui.Pager {
	p := ui.Pager{Shown: shown, Noun: what}
	base = strings.TrimSuffix(base, "?")
	join := "?"
	if strings.Contains(base, "?") {
		join = "&"
	}
	if info.HasPreviousPage && info.StartCursor != nil {
		p.Newer = base + join + "before=" + url.QueryEscape(*info.StartCursor)
	}
	if info.HasNextPage && info.EndCursor != nil {
		p.Older = base + join + "after=" + url.QueryEscape(*info.EndCursor)
	}
	return p
}

func incidentOf(i queries.Incident) incident.Incident {
	return incident.Incident{ID: i.ID, Cause: i.Cause, Subject: i.Subject, Severity: ops.Severity(i.Severity), State: ops.State(i.State), Planned: i.Planned,
		Title: i.Title, Flaps: int(i.Flaps), Symptoms: texts(i.Symptoms), OpenedAt: i.OpenedAt, ResolvedAt: or(i.ResolvedAt),
		Well: time.Duration(i.WellSeconds * float64(time.Second)), AcknowledgedAt: or(i.AcknowledgedAt), AcknowledgedBy: or(i.AcknowledgedBy), AcknowledgedReason: or(i.AcknowledgedReason)}
}

// texts are the lines of a column; the monitor wrote them.
func texts(column json.RawMessage) (out []string) {
	_ = json.Unmarshal(column, &out)
	return out
}

// find is an incident's row. The pages name those that are open by the console's own id, which it gave
// them without asking the database: they are found by their cause.
func (w *Web) find(ctx context.Context, a *asked, id string) (noun.Incident, error) {
	for _, open := range a.frame.open {
		if open.ID == id {
			return w.findOpen(ctx, open.Cause)
		}
	}
	n, err := w.Query.Node(ctx, noun.ID(noun.IncidentKind, id))
	if err != nil {
		return noun.Incident{}, err
	}
	if found, ok := n.(noun.Incident); ok {
		return found, nil
	}
	if was, ok := w.live.of(id); ok {
		return w.findOver(ctx, was)
	}
	return noun.Incident{}, fault.Errorf(fault.NotFound, "There is no such incident.")
}

func (w *Web) findOpen(ctx context.Context, cause string) (noun.Incident, error) {
	kind, subject, _ := strings.Cut(cause, "/")
	open, n := true, 1
	page, err := w.Query.Incidents(ctx, &open, nil, &kind, given(subject), nil, nil, &n, nil, nil, nil)
	if err != nil {
		return noun.Incident{}, err
	}
	if len(page.Edges) == 0 {
		return noun.Incident{}, fault.Errorf(fault.NotFound, "The monitor has not written this incident down yet.")
	}
	return page.Edges[0].Node, nil
}

// near is how far apart the console and the monitor may see one incident begin.
const near = time.Minute

// findOver is the row of an incident of the console that is over.
func (w *Web) findOver(ctx context.Context, was ops.Incident) (noun.Incident, error) {
	kind, subject, _ := strings.Cut(was.Cause, "/")
	since, until, n := was.OpenedAt.Add(-near), was.OpenedAt.Add(near), 10
	page, err := w.Query.Incidents(ctx, nil, nil, &kind, given(subject), &since, &until, &n, nil, nil, nil)
	if err != nil {
		return noun.Incident{}, err
	}
	if len(page.Edges) == 0 {
		return noun.Incident{}, fault.Errorf(fault.NotFound, "The monitor has not written this incident down.")
	}
	return slices.MinFunc(page.Edges, func(a, b noun.IncidentEdge) int {
		return cmp.Compare(a.Node.OpenedAt.Sub(was.OpenedAt).Abs(), b.Node.OpenedAt.Sub(was.OpenedAt).Abs())
	}).Node, nil
}

func (w *Web) incident(a *asked) (made, error) {
	if err := a.needs(runbook.Viewer); err != nil {
		return made{}, err
	}
	ctx, cancel := a.limited()
	defer cancel()
	m := incident.Model{Clock: a.clock, Operates: a.operates(), Incident: incident.Incident{ID: a.PathValue("id"), Title: "Incident"}}
	found, err := w.find(ctx, a, a.PathValue("id"))
	switch fault.CodeOf(err) {
	case fault.NotFound:
		return made{}, err // it may not be written down yet
	case fault.Invalid:
		return made{}, fault.Errorf(fault.NotFound, "There is no such incident.")
	}
	if err == nil && found.Incident.ID != a.PathValue("id") { // the console's own id lasts as long as the incident is open
		return made{to: "/incidents/" + found.Incident.ID}, nil
	}
	if err == nil {
		m.Incident, m.Impact, m.Action, m.Evidence = incidentOf(found.Incident), found.Impact, found.Action, found.Evidence()
		if m.Incident.Open() {
			m.EvidenceAt = found.UpdatedAt
			w.present(a, &m)
		}
		err = w.told(ctx, a, &m, found)
	}
	m.Missing = a.missing(err)
	return made{title: m.Incident.Title, section: layout.Incidents, content: incident.Content(m), fragments: m.Fragments(), charts: true}, nil
}

// present is what the console sees of an open incident itself: the monitor writes down when its state
// changes, and one that flaps goes and comes back without that.
func (w *Web) present(a *asked, m *incident.Model) {
	n := slices.IndexFunc(a.frame.open, func(i ops.Incident) bool { return i.Cause == m.Incident.Cause })
	if n < 0 {
		return
	}
	live, i := a.frame.open[n], &m.Incident
	i.Since, i.Gone, i.Flaps = live.Since, live.Gone, max(i.Flaps, live.Flaps)
	m.Impact, m.Action, m.Evidence, m.EvidenceAt = live.Impact, live.Action, live.Evidence, live.Gone
	m.Fell = slices.DeleteFunc(slices.Clone(live.Falls), func(at time.Time) bool { return at.Before(i.OpenedAt) })
}

// untold is what keeps messages about an incident back.
func (w *Web) untold(a *asked, i incident.Incident) incident.Untold {
	u, _ := shared(a.frame, "why nobody was told of "+i.Cause, func() (u incident.Untold, err error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(a.Context()), partLimit) // others wait for it as well
		defer cancel()
		owed, err := w.owed(ctx)
		switch {
		case err == nil && len(owed) == 0:
			u.Channels = incident.NoChannel
		case err == nil:
			u.Channels = incident.SomeChannel
		}
		u.Silence = w.silencing(ctx, i, a.clock.Now)
		return u, nil
	})
	return u
}

// silencing is the silence that covers an incident now; nil is none, or that they cannot be read.
func (w *Web) silencing(ctx context.Context, i incident.Incident, now time.Time) *incident.Silence {
	size := noun.MaxPage
	list, err := w.Query.Silences(ctx, &size, nil, nil, nil)
	if err != nil {
		return nil
	}
	about := ops.Incident{Finding: ops.Finding{Cause: i.Cause, Subject: i.Subject}}
	for _, e := range list.Edges {
		s := e.Node
		until := s.EndsAt
		if s.EndedAt != nil {
			until = *s.EndedAt
		}
		if (ops.Silence{Cause: s.Cause, Subject: s.Subject, From: s.StartsAt, Until: until}).Covers(about, now) {
			return &incident.Silence{By: s.CreatedBy, Reason: s.Reason, Until: until}
		}
	}
	return nil
}

// told is what became of an incident, and the numbers around it.
func (w *Web) told(ctx context.Context, a *asked, m *incident.Model, i noun.Incident) error {
	events, err := i.Events(ctx)
	if err != nil {
		return err
	}
	for _, e := range events {
		m.Events = append(m.Events, incident.Event{At: e.At, Kind: ops.Change(e.Kind), From: ops.State(e.IncidentEvent.FromState), To: ops.State(e.IncidentEvent.ToState),
			Text: e.Text, Evidence: e.Evidence()})
	}
	said, err := i.Notifications(ctx)
	if err != nil {
		return err
	}
	for _, n := range said {
		m.Notifications = append(m.Notifications, incident.Notification{Channel: n.Channel, Reason: n.Reason, State: n.State, Attempts: int(n.Attempts),
			CreatedAt: n.CreatedAt, SentAt: or(n.SentAt), Error: n.Error})
	}
	if len(said) == 0 {
		m.Untold = w.untold(a, m.Incident)
	}
	r := incident.Around(m.Incident, m.Clock.Now)
	m.Range, m.Series, err = w.past.over(ctx, m.Incident.URL(), r, !a.stream, func(ctx context.Context, r metric.Range) (metricSeries, error) {
		return w.series(ctx, incident.Numbers(m.Incident.Kind()), r)
	})
	if err != nil {
		return err
	}
	marks, err := w.marks(ctx, a, m.Range)
	m.Marks = slices.DeleteFunc(marks, func(k metric.Mark) bool { return k.Href == m.Incident.URL() })
	return err
}

func (w *Web) acknowledge(a *asked) (order, error) {
	ctx, cancel := a.limited()
	defer cancel()
	found, err := w.find(ctx, a, a.PathValue("id"))
	if err != nil {
		return order{}, err
	}
	i := incidentOf(found.Incident)
	return order{section: layout.Incidents, done: "Acknowledged: " + cmp.Or(i.Title, i.Cause),
		give: func(ctx context.Context, m Mutation, dry bool) (*noun.OrderPayload, error) {
			return m.Acknowledge(ctx, found.ID(), a.FormValue("reason"), dry)
		},
		confirm: func(v ui.Verdict) ui.Confirm { return incident.Order{Incident: i, Verdict: v}.Confirm() },
	}, nil
}
