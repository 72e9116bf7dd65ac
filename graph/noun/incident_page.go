package noun

import (
	"context"
	"io"
	"time"

	"github.com/99designs/gqlgen/graphql"
)

// IncidentConnection is a page of incidents. It writes itself; events and notifications that are asked
// for have been loaded.
type IncidentConnection struct{ Connection[Incident] }

// MarshalGQLContext implements graphql.ContextMarshaler.
func (c *IncidentConnection) MarshalGQLContext(ctx context.Context, out io.Writer) error {
	return incidentPage.marshal(ctx, out, &c.Connection)
}

// UnmarshalGQLContext is what gqlgen looks for beside it; pages are only ever written.
func (*IncidentConnection) UnmarshalGQLContext(context.Context, any) error { return errNoWord }

// Preload loads what is asked for besides the incidents themselves. Without a query of GraphQL's
// nothing is: then each page loads what it needs.
func (p *IncidentPage) Preload(ctx context.Context) error {
	if graphql.GetFieldContext(ctx) == nil {
		return nil
	}
	if asks(ctx, "edges", "node", "events") {
		if _, err := p.Events.Of(ctx, ""); err != nil {
			return err
		}
	}
	if asks(ctx, "edges", "node", "notifications") {
		if _, err := p.Notifications.Of(ctx, ""); err != nil {
			return err
		}
	}
	return nil
}

var incidentPage = connection("Incident", &object[Incident]{[]string{"Incident", "Node"}, map[string]field[Incident]{
	"id":                 text(func(i *Incident) string { return i.ID() }),
	"cause":              text(func(i *Incident) string { return i.Cause }),
	"subject":            text(func(i *Incident) string { return i.Subject }),
	"severity":           text(func(i *Incident) string { return wordOf(i.Severity) }),
	"state":              text(func(i *Incident) string { return wordOf(i.State) }),
	"planned":            plain(func(i *Incident) graphql.Marshaler { return graphql.MarshalBoolean(i.Planned) }),
	"title":              text(func(i *Incident) string { return i.Title }),
	"impact":             text(func(i *Incident) string { return i.Impact }),
	"action":             text(func(i *Incident) string { return i.Action }),
	"flaps":              plain(func(i *Incident) graphql.Marshaler { return graphql.MarshalInt32(i.Flaps) }),
	"symptoms":           plain(func(i *Incident) graphql.Marshaler { return texts(i.Symptoms()) }),
	"evidence":           plain(func(i *Incident) graphql.Marshaler { return texts(i.Evidence()) }),
	"openedAt":           moment(func(i *Incident) time.Time { return i.OpenedAt }),
	"updatedAt":          moment(func(i *Incident) time.Time { return i.UpdatedAt }),
	"resolvedAt":         plain(func(i *Incident) graphql.Marshaler { return orNull(i.ResolvedAt, MarshalDateTime) }),
	"acknowledgedAt":     plain(func(i *Incident) graphql.Marshaler { return orNull(i.AcknowledgedAt, MarshalDateTime) }),
	"acknowledgedBy":     plain(func(i *Incident) graphql.Marshaler { return orNull(i.AcknowledgedBy, MarshalText) }),
	"acknowledgedReason": plain(func(i *Incident) graphql.Marshaler { return orNull(i.AcknowledgedReason, MarshalText) }),
	"events":             many(eventObject, func(ctx context.Context, i *Incident) ([]IncidentEvent, error) { return i.Events(ctx) }),
	"notifications":      many(notificationObject, func(ctx context.Context, i *Incident) ([]Notification, error) { return i.Notifications(ctx) }),
}})

var eventObject = &object[IncidentEvent]{[]string{"IncidentEvent"}, map[string]field[IncidentEvent]{
	"seq":       plain(func(e *IncidentEvent) graphql.Marshaler { return MarshalLong(e.Seq) }),
	"at":        moment(func(e *IncidentEvent) time.Time { return e.At }),
	"kind":      text(func(e *IncidentEvent) string { return e.Kind }),
	"fromState": plain(func(e *IncidentEvent) graphql.Marshaler { return orNull(e.FromState(), MarshalWord) }),
	"toState":   plain(func(e *IncidentEvent) graphql.Marshaler { return orNull(e.ToState(), MarshalWord) }),
	"text":      text(func(e *IncidentEvent) string { return e.Text }),
	"evidence":  plain(func(e *IncidentEvent) graphql.Marshaler { return texts(e.Evidence()) }),
}}

var notificationObject = &object[Notification]{[]string{"Notification", "Node"}, map[string]field[Notification]{
	"id":        text(func(n *Notification) string { return n.ID() }),
	"incident":  plain(func(n *Notification) graphql.Marshaler { return orNull(n.Incident(), graphql.MarshalString) }),
	"channel":   text(func(n *Notification) string { return n.Channel }),
	"reason":    text(func(n *Notification) string { return n.Reason }),
	"state":     text(func(n *Notification) string { return wordOf(n.State) }),
	"attempts":  plain(func(n *Notification) graphql.Marshaler { return graphql.MarshalInt32(n.Attempts) }),
	"createdAt": moment(func(n *Notification) time.Time { return n.CreatedAt }),
	"sentAt":    plain(func(n *Notification) graphql.Marshaler { return orNull(n.SentAt, MarshalDateTime) }),
	"error":     text(func(n *Notification) string { return n.Error }),
}}
