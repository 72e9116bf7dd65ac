package graph

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/99designs/gqlgen/complexity"
	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"weir/graph/gen"
	"weir/graph/noun"
	"weir/ops/fault"
)

// Limits of a request.
const (
	MaxBody    = 256 << 10 // bytes of a POST, of a URL's query, and of a message over a WebSocket
	MaxTokens  = 2000      // of a document
	MaxDepth   = 15        // fields within fields
	MaxFields  = 2000      // with every fragment spread out
	MaxAliases = 30
	MaxCost    = 10_000

	queryLimit    = 10 * time.Second
	mutationLimit = time.Minute // an order waits for its turn, acts and is undone: 15 s, 15 s and 5 s (ops/runbook)
)

// limits looks at a document before anything of it runs. It is an extension of gqlgen's executor.
type limits struct {
	g      *Graph
	schema graphql.ExecutableSchema
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
	graphql.OperationInterceptor
	graphql.ResponseInterceptor
} = &limits{}

func (*limits) ExtensionName() string { return "Limits" }

func (l *limits) Validate(schema graphql.ExecutableSchema) error {
	l.schema = schema
	return nil
}

// MutateOperationContext refuses what is too much, and what a token is not for. The shape is measured
// first: computing the cost of fragments that spread each other doubles with each of them.
func (l *limits) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	op.DisableIntrospection = false
	var s shape
	if much := s.measure(op.Operation.SelectionSet, 1); much != "" {
		return refused(fault.Invalid, much)
	}
	cost := complexity.Calculate(ctx, l.schema, op.Operation, op.Variables)
	op.Stats.SetExtension(costKey, cost)
	if cost > MaxCost {
		return refused(fault.Invalid, fmt.Sprintf("This costs %d; a request may cost %d. Ask for smaller pages or fewer fields.", cost, MaxCost))
	}
	return l.pinned(ctx, op.Operation.SelectionSet)
}

const costKey = "cost"

// refused is an error of the request, which gqlgen's transports answer as one that is not valid.
func refused(code fault.Code, text string) *gqlerror.Error {
	return &gqlerror.Error{Message: text, Err: fault.Errorf(code, "%s", text), Extensions: map[string]any{"code": "GRAPHQL_VALIDATION_FAILED"}}
}

// shape is how large a document is.
type shape struct{ fields, aliases int }

// measure walks until something is too much, and says what.
func (s *shape) measure(set ast.SelectionSet, depth int) (much string) {
	for _, selection := range set {
		s.fields++
		if s.fields > MaxFields {
			return fmt.Sprintf("This asks for more than %d fields.", MaxFields)
		}
		switch f := selection.(type) {
		case *ast.Field:
			if depth > MaxDepth {
				return fmt.Sprintf("This is more than %d fields deep.", MaxDepth)
			}
			if f.Alias != f.Name {
				s.aliases++
			}
			if s.aliases > MaxAliases {
				return fmt.Sprintf("This has more than %d aliases.", MaxAliases)
			}
			much = s.measure(f.SelectionSet, depth+1)
		case *ast.InlineFragment:
			much = s.measure(f.SelectionSet, depth)
		case *ast.FragmentSpread:
			much = s.measure(f.Definition.SelectionSet, depth)
		}
		if much != "" {
			return much
		}
	}
	return ""
}

// pinned refuses a token that is pinned to other fields. What it calls its operation proves nothing:
// a client writes there what it likes.
func (l *limits) pinned(ctx context.Context, set ast.SelectionSet) *gqlerror.Error {
	v, err := l.g.Deps.Viewer(ctx)
	if err != nil || v.Operations == nil {
		return nil
	}
	for _, field := range roots(set) {
		if field != "__typename" && !slices.Contains(v.Operations, field) {
			return refused(fault.Forbidden, fmt.Sprintf("This token is not for %s.", field))
		}
	}
	return nil
}

func roots(set ast.SelectionSet) (fields []string) {
	for _, selection := range set {
		switch f := selection.(type) {
		case *ast.Field:
			fields = append(fields, f.Name)
		case *ast.InlineFragment:
			fields = append(fields, roots(f.SelectionSet)...)
		case *ast.FragmentSpread:
			fields = append(fields, roots(f.Definition.SelectionSet)...)
		}
	}
	return fields
}

// InterceptOperation gives an operation its time. Over a stream it makes sure first that who opened
// it may still ask.
func (l *limits) InterceptOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	if _, err := l.g.Deps.Viewer(ctx); err == nil && streaming(ctx) {
		if err := l.g.Check(ctx); err != nil {
			return graphql.OneShot(&graphql.Response{Errors: gqlerror.List{l.g.present(ctx, err)}})
		}
	}
	limit := queryLimit
	switch graphql.GetOperationContext(ctx).Operation.Operation {
	case ast.Subscription:
		return next(ctx)
	case ast.Mutation:
		limit = mutationLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	answer := next(ctx)
	return func(ctx context.Context) *graphql.Response {
		defer cancel()
		return answer(ctx)
	}
}

// InterceptResponse says what the request cost.
func (l *limits) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	if graphql.HasOperationContext(ctx) {
		if cost, ok := graphql.GetOperationContext(ctx).Stats.GetExtension(costKey).(int); ok {
			graphql.RegisterExtension(ctx, "cost", map[string]int{"is": cost, "limit": MaxCost})
		}
	}
	return next(ctx)
}

// costs is what fields cost beside 1 each: pages by their rows, questions to the chain by their trouble.
func costs() (c gen.ComplexityRoot) {
	page := func(rows *int, from *string, last *int, before *string, child int) int {
		return 2 + noun.Window{First: rows, After: from, Last: last, Before: before}.Cost()*child
	}
	c.Query.Incidents = func(child int, _ *bool, _, _, _ *string, _, _ *time.Time, first *int, after *string, last *int, before *string) int {
		return page(first, after, last, before, child)
	}
	c.Query.Notifications = func(child int, _ *string, first *int, after *string, last *int, before *string) int {
		return page(first, after, last, before, child)
	}
	c.Query.Audit = func(child int, _, _, _ *string, _, _ *time.Time, first *int, after *string, last *int, before *string) int {
		return page(first, after, last, before, child)
	}
	c.Query.Tokens = func(child int, _ *string, first *int, after *string, last *int, before *string) int {
		return page(first, after, last, before, child)
	}
	c.Query.Sessions = c.Query.Tokens
	c.Query.Silences = func(child int, first *int, after *string, last *int, before *string) int {
		return page(first, after, last, before, child)
	}
	c.Query.Users, c.Viewer.Sessions = c.Query.Silences, c.Query.Silences
	c.Query.Links = func(child int) int { return 2 + 10*child }
	c.Incident.Events = func(child int) int { return 5 * child }
	c.Incident.Notifications = func(child int) int { return 3 * child }
	c.Query.Samples = func(child int, _ string, _ *string, _, _ time.Time, points int) int {
		return 10 + child*min(max(points, 1), maxPoints)
	}
	c.Query.TopQueries = func(child int, _ string, first int) int { return 10 + child*min(max(first, 1), noun.MaxPage) }
	c.Query.PoolerConnections = func(child int, _ string, first int) int { return 50 + child*min(max(first, 1), noun.MaxPage) }
	c.Query.Activity = func(child int) int { return 200 + 20*child }
	c.Query.Config = func(child int, _ string) int { return 100 + child }
	c.Fleet.HAProxies = func(child int) int { return 2 * child }
	c.Fleet.Poolers = func(child int) int { return 3 * child }
	c.HAProxyStats.Rows = func(child int) int { return 10 * child }
	return c
}
