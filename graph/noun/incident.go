package noun

import (
	"context"
	"time"

	"weir/queries"
)

// Incident is a row with what belongs to it, which is loaded for all rows of its page at once.
type Incident struct {
	queries.Incident
	Page *IncidentPage
}

// IncidentPage is what belongs to the incidents of one page.
type IncidentPage struct {
	Events        *Batch[string, queries.IncidentEvent]
	Notifications *Batch[string, queries.Notification]
}

func (Incident) IsNode()              {}
func (i Incident) ID() string         { return ID(IncidentKind, i.Incident.ID) }
func (i Incident) Symptoms() []string { return lines(i.Incident.Symptoms) }
func (i Incident) Evidence() []string { return lines(i.Incident.Evidence) }

// Events are its transitions, oldest first.
func (i Incident) Events(ctx context.Context) ([]IncidentEvent, error) {
	rows, err := i.Page.Events.Of(ctx, i.Incident.ID)
	return wrap(rows, func(e queries.IncidentEvent) IncidentEvent { return IncidentEvent{e} }), err
}

// Notifications are what was said about it, oldest first.
func (i Incident) Notifications(ctx context.Context) ([]Notification, error) {
	rows, err := i.Page.Notifications.Of(ctx, i.Incident.ID)
	return wrap(rows, func(n queries.Notification) Notification { return Notification{n} }), err
}

func wrap[R, T any](rows []R, of func(R) T) []T {
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = of(r)
	}
	return out
}

// IncidentEvent is one transition.
type IncidentEvent struct{ queries.IncidentEvent }

func (e IncidentEvent) FromState() *string { return some(e.IncidentEvent.FromState) }
func (e IncidentEvent) ToState() *string   { return some(e.IncidentEvent.ToState) }
func (e IncidentEvent) Evidence() []string { return lines(e.IncidentEvent.Evidence) }

// IncidentSummary is the incidents of a time in a few numbers.
type IncidentSummary struct {
	Count, Open       int
	MeanTimeToRecover *time.Duration // nil: none of them is over, or all that are were planned
}

// IncidentChange is one transition and what the incident is after it.
type IncidentChange struct {
	Incident Incident
	Event    *IncidentEvent // nil when somebody acknowledged it
}

// Notification is what was said.
type Notification struct{ queries.Notification }

func (Notification) IsNode()      {}
func (n Notification) ID() string { return ID(NotificationKind, n.Notification.ID) }

func (n Notification) Incident() *string {
	if n.IncidentID == nil {
		return nil
	}
	return some(ID(IncidentKind, *n.IncidentID))
}

// Silence is who wanted to hear nothing.
type Silence struct{ queries.Silence }

func (Silence) IsNode()      {}
func (s Silence) ID() string { return ID(SilenceKind, number(s.Silence.ID)) }

// AuditEntry is who did what.
type AuditEntry struct{ queries.Audit }

func (AuditEntry) IsNode()               {}
func (a AuditEntry) ID() string          { return ID(AuditKind, a.Audit.ID) }
func (a AuditEntry) Detail() []string    { return lines(a.Audit.Detail) }
func (a AuditEntry) Took() time.Duration { return time.Duration(a.TookMs) * time.Millisecond }

func (a AuditEntry) Address() *string {
	if a.Audit.Address == nil {
		return nil
	}
	return some(a.Audit.Address.String())
}

// The pages by the names that the schema has for them.
type (
	IncidentEdge           = Edge[Incident]
	NotificationConnection = Connection[Notification]
	NotificationEdge       = Edge[Notification]
	SilenceConnection      = Connection[Silence]
	SilenceEdge            = Edge[Silence]
	AuditConnection        = Connection[AuditEntry]
	AuditEdge              = Edge[AuditEntry]
)
