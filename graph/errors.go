package graph

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"weir/graph/noun"
	"weir/ops/fault"
)

// present is the only way an error gets out: with its fault code and sentence, or, when it has none,
// as internal with an id that the log has too.
func (g *Graph) present(ctx context.Context, err error) *gqlerror.Error {
	var known *gqlerror.Error
	out := &gqlerror.Error{Path: graphql.GetPath(ctx)}
	if errors.As(err, &known) {
		out.Path, out.Locations = known.Path, known.Locations
		if known.Err == nil { // gqlgen's own: the document is wrong
			out.Message, out.Extensions = known.Message, map[string]any{"code": fault.Invalid}
			return out
		}
		err = known.Err
	}
	code := fault.CodeOf(err)
	if errors.Is(err, context.Canceled) {
		code = fault.Timeout // they went away: nobody reads this
	}
	out.Message, out.Extensions = fault.MessageOf(err), map[string]any{"code": code}
	if field := fault.FieldOf(err); field != "" {
		out.Extensions["field"] = field
	}
	if code == fault.Internal {
		id := rand.Text()[:12]
		out.Message = "Something went wrong here. The log says what, under " + id + "."
		out.Extensions["id"] = id
		g.Log.ErrorContext(ctx, "graphql: internal error", "id", id, "path", out.Path.String(), "error", err)
	}
	return out
}

// caught makes an error of a panic.
func caught(_ context.Context, p any) error {
	return fmt.Errorf("panic: %v\n%s", p, debug.Stack())
}

// tell sorts an error: what the caller can do something about goes into the payload, the rest becomes
// an error of the field.
func tell(err error) ([]noun.UserError, error) {
	switch fault.CodeOf(err) {
	case "":
		return []noun.UserError{}, nil
	case fault.Unauthenticated, fault.Forbidden, fault.Internal:
		return nil, err
	default:
		return []noun.UserError{userError(err)}, nil
	}
}

func userError(err error) noun.UserError {
	e := noun.UserError{Message: fault.MessageOf(err), Code: string(fault.CodeOf(err))}
	if field := fault.FieldOf(err); field != "" {
		e.Field = &field
	}
	return e
}

// database gives an error of PostgreSQL its fault code.
func database(err error) error {
	var known *fault.Error
	var pg *pgconn.PgError
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, pgx.ErrNoRows):
		return fault.Wrap(fault.NotFound, err, "There is no such thing.")
	case !errors.As(err, &pg), slices.ContainsFunc([]string{"08", "53", "57"}, func(class string) bool { return strings.HasPrefix(pg.Code, class) }):
		return fault.Wrap(fault.Unavailable, err, "PostgreSQL does not answer, so this cannot be known now. Try again when it does; the fleet says how it is.")
	}
	return err
}
