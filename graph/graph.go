// Package graph is the API: everything Weir knows and can do, at /graphql. Resolvers are typed Go
// methods of a few lines, which pages call as well (gen.QueryResolver and the like). Each asks who is
// there (viewer) before it answers; what changes the chain or an account is authorised and audited
// again by whoever does it (runbook, Accounts), so that neither can be gone round.
package graph

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"weir/graph/gen"
	"weir/graph/noun"
	"weir/ops/fault"
	"weir/ops/fleet"
	"weir/ops/inventory"
	"weir/ops/runbook"
	"weir/queries"
)

// Fleet is the live state; fleet.Hub is one.
type Fleet interface {
	Now() (*fleet.Snapshot, <-chan struct{})
	Next(ctx context.Context, version uint64) (*fleet.Snapshot, error)
}

// Runbook carries orders out; runbook.Runbook is one.
type Runbook interface {
	Do(ctx context.Context, actor runbook.Actor, o runbook.Order) (runbook.Outcome, error)
	DryRun(ctx context.Context, actor runbook.Actor, o runbook.Order) (runbook.Preflight, error)
	Paused(ctx context.Context) ([]runbook.Paused, error)
}

// Accounts are people, their sessions and tokens; server/session.Manager is one. Every method
// authorises and audits; errors have a fault code.
type Accounts interface {
	SignIn(ctx context.Context, email, password string) (codeOwed bool, err error)
	SignInCode(ctx context.Context, code string) error
	SignOut(ctx context.Context) error
	SignUp(ctx context.Context, token, email, name, password string) error
	ResetPassword(ctx context.Context, token, password string) (codeOwed bool, err error)
	ChangePassword(ctx context.Context, old, password string) error
	SetName(ctx context.Context, name string) error
	BeginTOTP(ctx context.Context, password string) (secret, url string, err error)
	ConfirmTOTP(ctx context.Context, code string) (recovery []string, err error)
	RemoveTOTP(ctx context.Context, password string) error
	NewRecoveryCodes(ctx context.Context, password string) ([]string, error)

	Invite(ctx context.Context, by runbook.Actor, email string, role runbook.Role) (token string, expires time.Time, err error)
	ResetLink(ctx context.Context, by runbook.Actor, user int64, reason string) (token string, expires time.Time, err error)
	WithdrawLink(ctx context.Context, by runbook.Actor, id int64, reason string) error
	SetRole(ctx context.Context, by runbook.Actor, user int64, role runbook.Role, reason string) error
	Disable(ctx context.Context, by runbook.Actor, user int64, reason string) error
	Enable(ctx context.Context, by runbook.Actor, user int64, reason string) error
	ClearTOTP(ctx context.Context, by runbook.Actor, user int64, reason string) error
	EndSession(ctx context.Context, by runbook.Actor, id int64, reason string) error
	EndSessions(ctx context.Context, by runbook.Actor, user int64, reason string) error
	CreateToken(ctx context.Context, by runbook.Actor, name string, role runbook.Role, good time.Duration, operations []string) (secret string, row queries.APIToken, err error)
	RevokeToken(ctx context.Context, by runbook.Actor, id int64, reason string) error
}

// Deps is what the API works with.
type Deps struct {
	Inventory *inventory.Inventory
	Files     int // open files a process may have on the hosts, as render.Place has it
	Fleet     Fleet
	DB        queries.DBTX // Weir's own tables, through the VIP
	Runbook   Runbook
	Accounts  Accounts
	// Viewer is who made the request that ctx came with, or Unauthenticated. Check says whether they
	// still may ask: a stream outlives the moment it began at.
	Viewer func(ctx context.Context) (noun.Viewer, error)
	Check  func(ctx context.Context) error
	// Statistics is what PostgreSQL says of itself, Pools what each pooler lists.
	Statistics Statistics
	Pools      map[string]Pools
	// Reports are what the programs of other hosts say they run with, by host: the checksums of their files.
	Reports   map[string]func(ctx context.Context) ([]noun.Setting, error)
	Edge      Edge // nil: HAProxy's session tables cannot be read
	Incidents Incidents
	Origins   []string // hosts from which browsers may open a WebSocket, besides the server's own
	Now       func() time.Time
	Log       *slog.Logger
}

// Graph is every resolver. It may be used by several goroutines.
type Graph struct {
	Deps
	q        *queries.Queries
	files    func() (map[string][]noun.ConfigFile, error)
	activity glance[*noun.Activity]
	streams  atomic.Int64
}

var _ gen.ResolverRoot = (*Graph)(nil)

// New makes the resolvers; nothing is asked yet.
func New(d Deps) *Graph {
	g := &Graph{Deps: d, q: queries.New()}
	g.files = renderOnce(d.Inventory, d.Files)
	return g
}

type (
	queryResolver        struct{ *Graph }
	mutationResolver     struct{ *Graph }
	subscriptionResolver struct{ *Graph }
	viewerResolver       struct{ *Graph }
	passageResolver      struct{ *Graph }
)

func (g *Graph) Query() gen.QueryResolver               { return queryResolver{g} }
func (g *Graph) Mutation() gen.MutationResolver         { return mutationResolver{g} }
func (g *Graph) Subscription() gen.SubscriptionResolver { return subscriptionResolver{g} }
func (g *Graph) Viewer() gen.ViewerResolver             { return viewerResolver{g} }
func (g *Graph) Passage() gen.PassageResolver           { return passageResolver{g} }

var roles = []runbook.Role{runbook.Viewer, runbook.Operator, runbook.Administrator}

// viewer is who asks, if the role is enough: Unauthenticated or Forbidden. A role that nobody knows
// may nothing.
func (g *Graph) viewer(ctx context.Context, needed runbook.Role) (noun.Viewer, error) {
	v, err := g.Deps.Viewer(ctx)
	if err != nil {
		return noun.Viewer{}, err
	}
	if slices.Index(roles, v.Role) < slices.Index(roles, needed) {
		return noun.Viewer{}, fault.Errorf(fault.Forbidden, "This needs the role %s; yours is %s.", needed, v.Role)
	}
	return v, nil
}

// anybody is who asks, nil when nobody is signed in.
func (g *Graph) anybody(ctx context.Context) (*noun.Viewer, error) {
	v, err := g.Deps.Viewer(ctx)
	if fault.CodeOf(err) == fault.Unauthenticated {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// Node implements gen.QueryResolver.
func (r queryResolver) Node(ctx context.Context, id string) (noun.Node, error) {
	if _, err := r.viewer(ctx, runbook.Viewer); err != nil {
		return nil, err
	}
	kind, key, err := noun.ParseID(id)
	if err != nil {
		return nil, err
	}
	look, ok := r.nodes()[kind]
	if !ok {
		return nil, fault.Field("id", "That is no id of a node.")
	}
	if _, err := r.viewer(ctx, look.needs); err != nil {
		return nil, err
	}
	n, err := look.up(ctx, key, id)
	if fault.CodeOf(err) == fault.NotFound || n == nil {
		return nil, only(err)
	}
	return n, nil
}

// only keeps an error that is more than that there is no such thing.
func only(err error) error {
	if fault.CodeOf(err) == fault.NotFound {
		return nil
	}
	return err
}
