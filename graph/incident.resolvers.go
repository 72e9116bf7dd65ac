package graph

import (
	"context"
	"time"

	"weir/graph/noun"
	"weir/ops/runbook"
	"weir/queries"
)

func (r queryResolver) Incidents(ctx context.Context, open *bool, severity, kind, subject *string, since, until *time.Time, first *int, after *string, last *int, before *string) (*noun.IncidentConnection, error) {
	if _, err := r.viewer(ctx, runbook.Viewer); err != nil {
		return nil, err
	}
	if err := checkOrder(since, until); err != nil {
		return nil, err
	}
	list := func(b noun.Bounds[string]) ([]queries.Incident, error) {
		p := queries.IncidentPageForwardParams{AfterAt: b.AfterAt, AfterID: b.AfterKey, BeforeAt: b.BeforeAt, BeforeID: b.BeforeKey,
			Open: open, Severity: severity, Kind: kind, Subject: subject, Since: since, Until: until, Size: b.Size}
		return either(ctx, r.DB, b.Backward, r.q.IncidentPageForward, r.q.IncidentPageBackward, p, queries.IncidentPageBackwardParams(p))
	}
	c, err := noun.Page(noun.Window{First: first, After: after, Last: last, Before: before}, noun.IncidentKind, list,
		func(i queries.Incident) noun.Place[string] { return noun.Place[string]{At: i.OpenedAt, Key: i.ID} }, r.incidents)
	if err != nil {
		return nil, err
	}
	if len(c.Edges) > 0 {
		if err := c.Edges[0].Node.Page.Preload(ctx); err != nil {
			return nil, err
		}
	}
	return &noun.IncidentConnection{Connection: *c}, nil
}

func (r queryResolver) IncidentSummary(ctx context.Context, since, until *time.Time) (*noun.IncidentSummary, error) {
	if _, err := r.viewer(ctx, runbook.Viewer); err != nil {
		return nil, err
	}
	if err := checkOrder(since, until); err != nil {
		return nil, err
	}
	row, err := r.q.IncidentSummary(ctx, r.DB, queries.IncidentSummaryParams{Since: since, Until: until})
	if err != nil {
		return nil, database(err)
	}
	s := &noun.IncidentSummary{Count: int(row.Total), Open: int(row.Open)}
	if row.Recovered > 0 {
		mean := time.Duration(row.RecoverySeconds / float64(row.Recovered) * float64(time.Second))
		s.MeanTimeToRecover = &mean
	}
	return s, nil
}

// incidents are rows of one page: what belongs to them is loaded for all at once.
func (g *Graph) incidents(rows []queries.Incident) []noun.Incident {
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	page := &noun.IncidentPage{
		Events: noun.NewBatch(ids, func(ctx context.Context, ids []string) ([]queries.IncidentEvent, error) {
			rows, err := g.q.IncidentEventListByIncident(ctx, g.DB, ids)
			return rows, database(err)
		}, func(e queries.IncidentEvent) string { return e.IncidentID }),
		Notifications: noun.NewBatch(ids, func(ctx context.Context, ids []string) ([]queries.Notification, error) {
			rows, err := g.q.NotificationListByIncident(ctx, g.DB, ids)
			return rows, database(err)
		}, func(n queries.Notification) string { return or(n.IncidentID) }),
	}
	out := make([]noun.Incident, len(rows))
	for i, row := range rows {
		out[i] = noun.Incident{Incident: row, Page: page}
	}
	return out
}

func (r subscriptionResolver) IncidentChanged(ctx context.Context) (<-chan *noun.IncidentChange, error) {
	if _, err := r.viewer(ctx, runbook.Viewer); err != nil {
		return nil, err
	}
	return follow(ctx, r.Graph, func(ctx context.Context, send func(*noun.IncidentChange) bool) error {
		changes, err := r.Deps.Incidents.Changes(ctx)
		if err != nil {
			return err
		}
		for c := range changes {
			if c.Lost != nil {
				return c.Lost
			}
			change := &noun.IncidentChange{Incident: r.incidents([]queries.Incident{c.Incident})[0]}
			if c.Event != nil {
				change.Event = &noun.IncidentEvent{IncidentEvent: *c.Event}
			}
			if !send(change) {
				return nil
			}
		}
		return errStopping
	})
}
