package graph

import (
	"context"
	"time"

	"weir/graph/noun"
	"weir/ops/fault"
	"weir/ops/fleet"
	"weir/ops/runbook"
	"weir/queries"
)

// either reads a page from its start or from its end; the two queries differ in their order alone.
func either[R, F, B any](ctx context.Context, db queries.DBTX, backward bool,
	forwards func(context.Context, queries.DBTX, F) ([]R, error), backwards func(context.Context, queries.DBTX, B) ([]R, error), f F, b B) ([]R, error) {
	if backward {
		rows, err := backwards(ctx, db, b)
		return rows, database(err)
	}
	rows, err := forwards(ctx, db, f)
	return rows, database(err)
}

// checkOrder refuses a time that ends before it begins. Either end may be left open.
func checkOrder(since, until *time.Time) error {
	if since != nil && until != nil && !since.Before(*until) {
		return fault.Field("until", "The end has to be later than the beginning.")
	}
	return nil
}

// each makes the nouns of rows that need nothing of their page.
func each[R, T any](of func(R) T) func([]R) []T {
	return func(rows []R) []T {
		out := make([]T, len(rows))
		for i, r := range rows {
			out[i] = of(r)
		}
		return out
	}
}

// lookup finds the things of one kind by their key, and says who may see them.
type lookup struct {
	needs runbook.Role
	up    func(ctx context.Context, key, id string) (noun.Node, error)
}

func (g *Graph) nodes() map[noun.Kind]lookup {
	return map[noun.Kind]lookup{
		noun.IncidentKind:     {runbook.Viewer, by(g, noun.IncidentKind, noun.Key, g.q.IncidentGet, func(i queries.Incident) noun.Node { return g.incidents([]queries.Incident{i})[0] })},
		noun.NotificationKind: {runbook.Viewer, by(g, noun.NotificationKind, noun.Key, g.q.NotificationGet, func(n queries.Notification) noun.Node { return noun.Notification{Notification: n} })},
		noun.AuditKind:        {runbook.Operator, by(g, noun.AuditKind, noun.Key, g.q.AuditGet, func(a queries.Audit) noun.Node { return noun.AuditEntry{Audit: a} })},
		noun.SilenceKind:      {runbook.Viewer, by(g, noun.SilenceKind, noun.Number, g.q.SilenceGet, func(s queries.Silence) noun.Node { return noun.Silence{Silence: s} })},
		noun.UserKind:         {runbook.Administrator, by(g, noun.UserKind, noun.Number, g.q.UserGet, func(u queries.User) noun.Node { return noun.User{User: u} })},
		noun.TokenKind:        {runbook.Administrator, by(g, noun.TokenKind, noun.Number, g.q.APITokenGet, func(t queries.APIToken) noun.Node { return g.tokens([]queries.APIToken{t})[0] })},
		noun.HAProxyNodeKind:  {runbook.Viewer, g.live},
		noun.PoolerKind:       {runbook.Viewer, g.live},
		noun.PostgresKind:     {runbook.Viewer, g.live},
	}
}

// by reads the row of a key that key reads from an ID.
func by[K, R any](g *Graph, kind noun.Kind, key func(field string, kind noun.Kind, id string) (K, error),
	get func(context.Context, queries.DBTX, K) (R, error), of func(R) noun.Node) func(context.Context, string, string) (noun.Node, error) {
	return func(ctx context.Context, _, id string) (noun.Node, error) {
		k, err := key("id", kind, id)
		if err != nil {
			return nil, err
		}
		row, err := get(ctx, g.DB, k)
		if err != nil {
			return nil, database(err)
		}
		return of(row), nil
	}
}

// live finds a part of the chain in the newest snapshot; nil when the inventory has none of that name.
func (g *Graph) live(_ context.Context, _, id string) (noun.Node, error) {
	f := g.fleet()
	var parts []interface {
		noun.Node
		ID() string
	}
	for _, n := range f.HAProxies() {
		parts = append(parts, n)
	}
	for _, p := range f.Poolers() {
		parts = append(parts, p)
	}
	for _, part := range append(parts, f.Postgres()) {
		if part.ID() == id {
			return part, nil
		}
	}
	return nil, nil
}

func (g *Graph) fleet() noun.Fleet {
	s, _ := g.Fleet.Now()
	return g.look(s)
}

func (g *Graph) look(s *fleet.Snapshot) noun.Fleet { return noun.Fleet{Snapshot: s, Now: g.Now()} }
