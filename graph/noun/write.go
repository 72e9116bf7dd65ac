package noun

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// A page of incidents with their events is a thousand plain fields. gqlgen gives each of them a
// context, a closure or three and a place in a map, and each row a goroutine, which takes five times as
// long as PostgreSQL does. So a page is written here: what is asked for is looked up once, and then
// written row by row. Nothing of it can fail but loading, and that is done before (Preload).

// object is a type of the schema whose values are written here. fields has all of them.
type object[T any] struct {
	implements []string // itself and its interfaces, for fragments
	fields     map[string]field[T]
}

// field makes the writer of one field for all rows, given what is asked for within it.
type field[T any] func(op *graphql.OperationContext, within ast.SelectionSet) func(w *writing, v *T)

// writing is an answer in the making.
type writing struct {
	bytes.Buffer
	ctx context.Context
	err error // the first one; what was written is worth nothing then
}

// plain is a field that needs nothing but the row.
func plain[T any](of func(v *T) graphql.Marshaler) field[T] {
	return func(*graphql.OperationContext, ast.SelectionSet) func(*writing, *T) {
		return func(w *writing, v *T) { of(v).MarshalGQL(w) }
	}
}

// text is plain for text, which is most of a page: nothing is allocated for it.
func text[T any](of func(v *T) string) field[T] {
	return func(*graphql.OperationContext, ast.SelectionSet) func(*writing, *T) {
		return func(w *writing, v *T) { w.quote(of(v)) }
	}
}

// moment is plain for times.
func moment[T any](of func(v *T) time.Time) field[T] {
	return func(*graphql.OperationContext, ast.SelectionSet) func(*writing, *T) {
		return func(w *writing, v *T) {
			w.WriteByte('"')
			w.Write(of(v).UTC().AppendFormat(w.AvailableBuffer(), time.RFC3339Nano))
			w.WriteByte('"')
		}
	}
}

// quote writes a JSON string.
func (w *writing) quote(s string) {
	if strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == '"' || c == '\\' }) {
		graphql.MarshalString(s).MarshalGQL(w)
		return
	}
	w.WriteByte('"')
	w.WriteString(s)
	w.WriteByte('"')
}

// one is a field that has fields of its own.
func one[T, C any](o *object[C], of func(v *T) *C) field[T] {
	return func(op *graphql.OperationContext, within ast.SelectionSet) func(*writing, *T) {
		write := o.writer(op, within)
		return func(w *writing, v *T) { write(w, of(v)) }
	}
}

// many is a field that is a list of what has fields of its own.
func many[T, C any](o *object[C], of func(ctx context.Context, v *T) ([]C, error)) field[T] {
	return func(op *graphql.OperationContext, within ast.SelectionSet) func(*writing, *T) {
		write := o.writer(op, within)
		return func(w *writing, v *T) {
			list, err := of(w.ctx, v)
			if err != nil && w.err == nil {
				w.err = err
			}
			w.WriteByte('[')
			for i := range list {
				if i > 0 {
					w.WriteByte(',')
				}
				write(w, &list[i])
			}
			w.WriteByte(']')
		}
	}
}

// writer writes values with the fields that are asked for.
func (o *object[T]) writer(op *graphql.OperationContext, asked ast.SelectionSet) func(w *writing, v *T) {
	type column struct {
		name  []byte // quoted, with its colon, after a comma unless it is the first
		write func(*writing, *T)
	}
	var columns []column
	for _, f := range graphql.CollectFields(op, asked, o.implements) {
		var name bytes.Buffer
		if len(columns) > 0 {
			name.WriteByte(',')
		}
		graphql.MarshalString(f.Alias).MarshalGQL(&name)
		name.WriteByte(':')
		columns = append(columns, column{name.Bytes(), o.field(f.Name)(op, f.Selections)})
	}
	return func(w *writing, v *T) {
		w.WriteByte('{')
		for i := range columns {
			w.Write(columns[i].name)
			columns[i].write(w, v)
		}
		w.WriteByte('}')
	}
}

func (o *object[T]) field(name string) field[T] {
	if name == "__typename" {
		itself := graphql.MarshalString(o.implements[0])
		return plain(func(*T) graphql.Marshaler { return itself })
	}
	return o.fields[name] // validation has seen that there is one, a test that it is here
}

var pages = sync.Pool{New: func() any { return new(writing) }}

// marshal writes what is asked for of v, the value of the field that ctx is of.
func (o *object[T]) marshal(ctx context.Context, out io.Writer, v *T) error {
	w := pages.Get().(*writing)
	defer func() { w.Reset(); w.ctx, w.err = nil, nil; pages.Put(w) }()
	w.ctx = ctx
	o.writer(graphql.GetOperationContext(ctx), graphql.GetFieldContext(ctx).Field.Selections)(w, v)
	if w.err != nil {
		return w.err
	}
	_, err := out.Write(w.Bytes())
	return err
}

// connection is the page of a list of such nodes.
func connection[T any](name string, node *object[T]) *object[Connection[T]] {
	edge := &object[Edge[T]]{[]string{name + "Edge"}, map[string]field[Edge[T]]{
		"cursor": text(func(e *Edge[T]) string { return e.Cursor }),
		"node":   one(node, func(e *Edge[T]) *T { return &e.Node }),
	}}
	return &object[Connection[T]]{[]string{name + "Connection"}, map[string]field[Connection[T]]{
		"edges":    many(edge, func(_ context.Context, c *Connection[T]) ([]Edge[T], error) { return c.Edges, nil }),
		"pageInfo": one(pageInfoObject, func(c *Connection[T]) *PageInfo { return &c.PageInfo }),
	}}
}

var pageInfoObject = &object[PageInfo]{[]string{"PageInfo"}, map[string]field[PageInfo]{
	"hasNextPage":     plain(func(p *PageInfo) graphql.Marshaler { return graphql.MarshalBoolean(p.HasNextPage) }),
	"hasPreviousPage": plain(func(p *PageInfo) graphql.Marshaler { return graphql.MarshalBoolean(p.HasPreviousPage) }),
	"startCursor":     plain(func(p *PageInfo) graphql.Marshaler { return orNull(p.StartCursor, graphql.MarshalString) }),
	"endCursor":       plain(func(p *PageInfo) graphql.Marshaler { return orNull(p.EndCursor, graphql.MarshalString) }),
}}

// orNull writes what is there.
func orNull[T any](v *T, marshal func(T) graphql.Marshaler) graphql.Marshaler {
	if v == nil {
		return graphql.Null
	}
	return marshal(*v)
}

func texts(list []string) graphql.Marshaler {
	out := make(graphql.Array, len(list))
	for i, text := range list {
		out[i] = graphql.MarshalString(text)
	}
	return out
}

// asks reports whether a path of fields is asked for below the field that ctx is of.
func asks(ctx context.Context, path ...string) bool {
	op := graphql.GetOperationContext(ctx)
	var look func(ast.SelectionSet, []string) bool
	look = func(set ast.SelectionSet, path []string) bool {
		for _, f := range graphql.CollectFields(op, set, nil) { // no condition: fragments on every type
			if f.Name == path[0] && (len(path) == 1 || look(f.Selections, path[1:])) {
				return true
			}
		}
		return false
	}
	return look(graphql.GetFieldContext(ctx).Field.Selections, path)
}
