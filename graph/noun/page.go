package noun

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/ops/fault"
	"weir/ops/runbook"
)

// Connection is one page of a list.
type Connection[T any] struct {
	Edges    []Edge[T]
	PageInfo PageInfo
}

// Edge is one row of it, and where it lies.
type Edge[T any] struct {
	Cursor string
	Node   T
}

// PageInfo is where the page lies in its list.
type PageInfo struct {
	HasNextPage, HasPreviousPage bool
	StartCursor, EndCursor       *string
}

// MaxPage is the most rows of a page.
const MaxPage = 100

// Window is the part of a list that is asked for.
type Window struct {
	First  *int
	After  *string
	Last   *int
	Before *string
}

// size is how many rows, and whether from the end.
func (w Window) size() (n int, backward bool, err error) {
	field := "first"
	switch {
	case (w.First == nil) == (w.Last == nil):
		return 0, false, fault.Field(field, "Give either first or last.")
	case w.First != nil:
		n = *w.First
	default:
		n, backward, field = *w.Last, true, "last"
	}
	if n < 1 || n > MaxPage {
		return 0, false, fault.Field(field, "A page has 1 to %d rows.", MaxPage)
	}
	return n, backward, nil
}

// Cost is how many rows a page costs; one that will be refused costs a full one.
func (w Window) Cost() int {
	if n, _, err := w.size(); err == nil {
		return n
	}
	return MaxPage
}

// Place is where a row lies in its list: lists are in the order of time, and among the same time of key.
type Place[K int64 | string] struct {
	At  time.Time
	Key K
}

// Bounds is the part of a list as its query takes it. Rows lie after After and before Before in the
// list's own order; either may be nil.
type Bounds[K int64 | string] struct {
	AfterAt, BeforeAt   *time.Time
	AfterKey, BeforeKey *K
	Size                int32
	Backward            bool
}

// Page reads one page of the lists of a kind. query gets one row more than asked for, which tells
// whether there is more; going backward it answers from the end.
func Page[R any, T any, K int64 | string](w Window, kind Kind, query func(Bounds[K]) ([]R, error), place func(R) Place[K], nodes func([]R) []T) (*Connection[T], error) {
	n, backward, err := w.size()
	if err != nil {
		return nil, err
	}
	b := Bounds[K]{Size: int32(n + 1), Backward: backward}
	if b.AfterAt, b.AfterKey, err = cursor[K]("after", kind, w.After); err != nil {
		return nil, err
	}
	if b.BeforeAt, b.BeforeKey, err = cursor[K]("before", kind, w.Before); err != nil {
		return nil, err
	}
	rows, err := query(b)
	if err != nil {
		return nil, err
	}
	more := len(rows) > n
	rows = rows[:min(n, len(rows))]
	c := &Connection[T]{Edges: make([]Edge[T], len(rows)), PageInfo: PageInfo{HasNextPage: more, HasPreviousPage: w.After != nil}}
	if backward {
		slices.Reverse(rows)
		c.PageInfo.HasNextPage, c.PageInfo.HasPreviousPage = w.Before != nil, more
	}
	for i, node := range nodes(rows) {
		c.Edges[i] = Edge[T]{Cursor: cursorOf(kind, place(rows[i])), Node: node}
	}
	if len(rows) > 0 {
		c.PageInfo.StartCursor, c.PageInfo.EndCursor = &c.Edges[0].Cursor, &c.Edges[len(rows)-1].Cursor
	}
	return c, nil
}

func cursorOf[K int64 | string](kind Kind, p Place[K]) string {
	key := any(p.Key)
	if n, ok := key.(int64); ok {
		key = number(n)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(string(kind) + "@" + strconv.FormatInt(p.At.UnixMicro(), 10) + ":" + key.(string)))
}

// cursor reads one back, and refuses one of another list.
func cursor[K int64 | string](field string, kind Kind, text *string) (*time.Time, *K, error) {
	if text == nil {
		return nil, nil, nil
	}
	wrong := fault.Field(field, "That is no cursor of this list.")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(*text)
	if err != nil || len(raw) > 200 {
		return nil, nil, wrong
	}
	rest, ours := strings.CutPrefix(string(raw), string(kind)+"@")
	micros, name, cut := strings.Cut(rest, ":")
	us, err := strconv.ParseInt(micros, 10, 64)
	if !ours || !cut || err != nil || us < 0 || us > maxMicros {
		return nil, nil, wrong
	}
	at := time.UnixMicro(us).UTC()
	var key any
	switch any(*new(K)).(type) {
	case int64:
		n, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			return nil, nil, wrong
		}
		key = n
	case string:
		if !runbook.IsUUID(name) {
			return nil, nil, wrong
		}
		key = name
	}
	k := key.(K)
	return &at, &k, nil
}

// maxMicros is the end of the year 9999, beyond which PostgreSQL's and Go's calendars differ in patience.
const maxMicros = 253_402_300_799_000_000
