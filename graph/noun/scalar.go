// Package noun is what the nouns of the schema are in Go where no type of the domain fits as it is:
// rows with what belongs to them, live state with its age, pages, payloads. It asks nobody and decides
// nothing; the methods are for the generated code and for pages alike.
package noun

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/sosodev/duration"

	"weir/ops/fault"
	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/pgbouncer"
)

// Words of the domain have dashes or spaces where the schema has underscores: DRAIN is drain,
// FIRST_ADMIN is first-admin. Which words there are is checked against the schema by a test.

var errNoWord = errors.New("not a word of the schema")

var underscores = strings.NewReplacer("-", "_", " ", "_", "(", "", ")", "")

func wordOf(text string) string { return strings.ToUpper(underscores.Replace(text)) }

// MarshalWord writes a word of the domain as one of the schema.
func MarshalWord(text string) graphql.Marshaler { return graphql.MarshalString(wordOf(text)) }

// UnmarshalWord reads a word of the schema; validation has seen that it is one.
func UnmarshalWord(v any) (string, error) {
	text, ok := v.(string)
	if !ok {
		return "", errNoWord
	}
	return strings.ToLower(strings.ReplaceAll(text, "_", "-")), nil
}

// MarshalSnake is MarshalWord for words that have underscores themselves.
func MarshalSnake(text string) graphql.Marshaler {
	return graphql.MarshalString(strings.ToUpper(text))
}

// UnmarshalSnake reads not_found from NOT_FOUND.
func UnmarshalSnake(v any) (string, error) {
	text, ok := v.(string)
	if !ok {
		return "", errNoWord
	}
	return strings.ToLower(text), nil
}

// States of HAProxy and PgBouncer are only ever written.

func MarshalHAProxyRowState(s haproxy.State) graphql.Marshaler { return MarshalWord(s.String()) }
func UnmarshalHAProxyRowState(any) (haproxy.State, error)      { return 0, errNoWord }
func MarshalHAProxyAdmin(a haproxy.Admin) graphql.Marshaler    { return MarshalWord(a.String()) }
func UnmarshalHAProxyAdmin(any) (haproxy.Admin, error)         { return 0, errNoWord }
func UnmarshalHAProxyRowKind(any) (haproxy.Kind, error)        { return 0, errNoWord }
func UnmarshalPoolerState(any) (pgbouncer.State, error)        { return pgbouncer.State{}, errNoWord }

func MarshalHAProxyRowKind(k haproxy.Kind) graphql.Marshaler {
	return graphql.MarshalString(map[haproxy.Kind]string{haproxy.Frontend: "FRONTEND", haproxy.Backend: "BACKEND", haproxy.Server: "SERVER"}[k])
}

func MarshalPoolerState(s pgbouncer.State) graphql.Marshaler {
	word := "UNKNOWN"
	switch {
	case s.Suspended:
		word = "SUSPENDED"
	case s.Paused:
		word = "PAUSED"
	case s.Active:
		word = "ACTIVE"
	}
	return graphql.MarshalString(word)
}

// MarshalDateTime writes RFC 3339 in UTC; the zero time is null.
func MarshalDateTime(t time.Time) graphql.Marshaler { return graphql.MarshalTime(t.UTC()) }

// UnmarshalDateTime reads RFC 3339 and nothing like it. Years that PostgreSQL or JSON cannot hold are
// refused as well.
func UnmarshalDateTime(v any) (time.Time, error) {
	text, _ := v.(string)
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() < 1 || t.UTC().Year() > 9999 {
		return time.Time{}, fault.Errorf(fault.Invalid, "A DateTime is written as 2026-11-23T12:00:00Z.")
	}
	return t, nil
}

// MarshalDuration writes ISO 8601 in days and less: PT0.25S, P400DT1H.
func MarshalDuration(d time.Duration) graphql.Marshaler {
	iso := duration.Duration{Negative: d < 0}
	d = d.Abs()
	iso.Days, d = math.Floor(d.Hours()/24), d%(24*time.Hour)
	iso.Hours, d = math.Floor(d.Hours()), d%time.Hour
	iso.Minutes, iso.Seconds = math.Floor(d.Minutes()), (d % time.Minute).Seconds()
	return graphql.MarshalString(iso.String())
}

// UnmarshalDuration reads ISO 8601 without years and months, which are no lengths of time. A year is
// longer than anything here.
func UnmarshalDuration(v any) (time.Duration, error) {
	text, _ := v.(string)
	wrong := fault.Errorf(fault.Invalid, "A Duration is written as PT30S, PT1H30M or P7D.")
	if len(text) > 40 {
		return 0, wrong
	}
	d, err := duration.Parse(text)
	if err != nil || d.Years != 0 || d.Months != 0 || d.Weeks > 60 || d.Days > 400 || d.Hours > 10_000 || d.Minutes > 600_000 || d.Seconds > 36_000_000 {
		return 0, wrong
	}
	return d.ToTimeDuration(), nil
}

// MarshalLong writes a JSON number.
func MarshalLong(n int64) graphql.Marshaler { return graphql.MarshalInt64(n) }

// UnmarshalLong reads one.
func UnmarshalLong(v any) (int64, error) { return graphql.UnmarshalInt64(v) }

// MarshalText is String.
func MarshalText(text string) graphql.Marshaler { return graphql.MarshalString(text) }

// longest is far above any sentence, and far below what hurts.
const longest = 4096

// UnmarshalText reads text that may go into a row: PostgreSQL takes neither invalid UTF-8 nor a NUL.
func UnmarshalText(v any) (string, error) {
	text, ok := v.(string)
	switch {
	case !ok:
		return "", fault.Errorf(fault.Invalid, "This has to be text.")
	case len(text) > longest:
		return "", fault.Errorf(fault.Invalid, "A text has at most %d bytes; this one has %d.", longest, len(text))
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return "", fault.Errorf(fault.Invalid, "A text is UTF-8 without NUL.")
	}
	return text, nil
}

// lines are a column that holds a JSON list of strings; anything else is none.
func lines(column json.RawMessage) []string {
	out := []string{}
	if json.Unmarshal(column, &out) != nil || out == nil {
		return []string{}
	}
	return out
}

func listed(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// some is what is there, or null.
func some[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func someTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Reading is the last word of one source, and how old it is.
type Reading[T any] struct {
	Value    *T // null when it has never answered
	At       *time.Time
	Age      *time.Duration
	TriedAt  *time.Time
	Took     *time.Duration
	Error    *string
	Failures int
	Since    *time.Time
}

// IsReading makes it one of the interface's.
func (Reading[T]) IsReading() {}

func read[T any](o fleet.Observation[T], now time.Time) Reading[T] {
	r := Reading[T]{TriedAt: someTime(o.Tried), Failures: o.Failures, Since: someTime(o.Since)}
	if o.Known() {
		age := o.Age(now)
		r.Value, r.At, r.Age = &o.Value, &o.Seen, &age
	}
	if o.Asked() {
		r.Took = &o.Took
	}
	if o.Err != nil {
		r.Error = some(strings.ToValidUTF8(o.Err.Error(), "?"))
	}
	return r
}

func number(id int64) string { return strconv.FormatInt(id, 10) }
