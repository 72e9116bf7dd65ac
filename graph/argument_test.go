package graph_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2/ast"

	"weir/graph"
	"weir/graph/noun"
)

// awkward are values that a client may send for an argument of a type, none of them kind.
func awkward(typ *ast.Type) []any {
	if typ.Elem != nil {
		long := make([]any, 101)
		for i := range long {
			long[i] = "fleet"
		}
		return []any{[]any{}, []any{nil}, []any{""}, []any{[]any{}}, long, []any{strings.Repeat("x", 101)}, "no list", map[string]any{}}
	}
	id := func(kind noun.Kind, key string) string { return noun.ID(kind, key) }
	cursor := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	words := []any{"", " ", "x", "'; DROP TABLE incident; --", "%", "*", "[", "a\u0000b", "\ufffd", "\u202e\u2028", "line\nline", strings.Repeat("x", 4096), strings.Repeat("x", 4097),
		strings.Repeat("ü", 2048), strings.Repeat("ü", 2049), strings.Repeat("x", 200<<10)}
	numbers := []any{json.Number("-2147483649"), json.Number("-2147483648"), -1, 0, 1, 101, 1_000_000, json.Number("2147483647"), json.Number("2147483648"), json.Number("1e400"),
		json.Number("99999999999999999999999999"), 1.5}
	switch typ.Name() {
	case "ID":
		ids := []any{id(noun.IncidentKind, newID()), id(noun.IncidentKind, "7"), id(noun.UserKind, "0"), id(noun.UserKind, "-1"), id(noun.UserKind, "7"), id(noun.UserKind, "9223372036854775808"),
			id(noun.PoolerKind, "pgb1"), id(noun.PoolerKind, "\xff"), id("", ""), id("Nothing", "1"), cursor("Incident:"), "====", 7, true}
		return append(ids, words...)
	case "String":
		return append(words, cursor("Incident@1:"+newID()), cursor("Incident@9223372036854775807:"+newID()), cursor("User@-1:1"), cursor("Incident@1:x"), cursor("AuditEntry@1:x"), cursor("Notification@1:x"), cursor("Silence@1:x"), cursor("\xff\xfe"), 1, true, []any{"x"}, map[string]any{"x": "y"})
	case "Int":
		return append(numbers, "1", true, "x")
	case "Boolean":
		return []any{"true", 0, 1, []any{}, "x"}
	case "Duration":
		return []any{"", "PT", "P", "PT0S", "-PT1S", "PT0.0000000001S", "P1Y", "P1M", "P400D", "P401D", "P60W", "PT99999999999999999999H", "PT1e400S", "PTNaNS", "PTInfS", strings.Repeat("P1D", 20), 1, true, "1s"}
	case "DateTime":
		return []any{"", "now", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z",
			"2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:60Z", "2026-01-01", "2026-01-01T00:00:00", 0, true, strings.Repeat("2", 5000)}
	}
	return []any{"", "NOTHING", "viewer", "VIEWER ", 0, true, []any{"VIEWER"}} // an enum
}

// The arguments are those of the schema: none that is added later can be forgotten.
func TestWhateverAnArgumentIsTheAnswerIsNeverInternal(t *testing.T) {
	db, _ := tables(t)
	fill(t, db, 2)
	s := newServer(t, func(d *graph.Deps) { d.DB = db })
	s.as(&administrator)
	for _, kind := range []string{"Query", "Mutation"} {
		for _, f := range root(kind) {
			for _, a := range f.Arguments {
				for _, v := range awkward(a.Type) {
					document, variables := withArgument(t, kind, f, a, v)
					got := s.ask(document, variables)
					if got.Status >= 500 || got.code() == "internal" || strings.Contains(got.raw, "INTERNAL") {
						t.Errorf("%s(%s: %.60q): %d %.300s", f.Name, a.Name, fmt.Sprint(v), got.Status, got.raw)
					}
				}
			}
		}
	}
	if strings.Contains(s.log.String(), "internal error") {
		t.Errorf("the log has %.500s", s.log)
	}
}

// withArgument calls a field with one argument as it is given here, and the others as call has them.
func withArgument(t *testing.T, kind string, f *ast.FieldDefinition, a *ast.ArgumentDefinition, v any) (string, map[string]any) {
	t.Helper()
	other := *f
	other.Arguments = nil
	for _, o := range f.Arguments {
		if o.Name != a.Name {
			other.Arguments = append(other.Arguments, o)
		}
	}
	text := call(t, &other)
	if a.Name == "first" || a.Name == "last" { // else both would be given
		text = strings.ReplaceAll(text, "first: 1", "")
	}
	name, within, _ := strings.Cut(text, " { ")
	if within != "" {
		within = " { " + within
	}
	args := a.Name + ": $v"
	if open, rest, ok := strings.Cut(name, "("); ok {
		name, args = open, args+", "+strings.TrimSuffix(rest, ")")
	}
	if f.Arguments.ForName("dryRun") != nil && a.Name != "dryRun" {
		args += ", dryRun: true" // an order to a chain that does not answer is tried for seconds; reasons have a test below
	}
	if within == " { __typename }" && schema.Types[f.Type.Name()].Fields.ForName("userErrors") != nil {
		within = " { userErrors { field message code } }"
	}
	typ := *a.Type
	if a.DefaultValue != nil {
		typ.NonNull = true
	}
	return fmt.Sprintf("%s($v: %s) { %s(%s)%s }", strings.ToLower(kind), typ.String(), name, args, within), map[string]any{"v": v}
}

// Each row is just within, or just outside.
func TestArgumentsHaveTheLimitsThatTheySay(t *testing.T) {
	db, _ := tables(t)
	s := newServer(t, func(d *graph.Deps) { d.DB = db })
	s.as(&administrator)
	text := func(n int) string { return `"` + strings.Repeat("x", n) + `"` }
	begin := moment.Add(-24 * time.Hour)
	span := func(d time.Duration) string {
		return fmt.Sprintf(`from: %q, to: %q`, begin.Format(time.RFC3339), begin.Add(d).Format(time.RFC3339))
	}
	const day = 24 * time.Hour
	for _, row := range []struct {
		field, wrong string // what the answer names, "" for nothing
		args         []string
	}{
		{`samples(metric: VIP_SERVING, %s) { subject }`, "points", []string{span(day) + ", points: -1", span(day) + ", points: 0", span(day) + ", points: 1001", span(day) + ", points: 1000000"}},
		{`samples(metric: VIP_SERVING, %s) { subject }`, "", []string{span(day) + ", points: 1", span(day) + ", points: 1000", span(36 * day), span(time.Second)}},
		{`samples(metric: VIP_SERVING, %s) { subject }`, "from", []string{span(36*day + time.Second)}},
		{`samples(metric: VIP_SERVING, %s) { subject }`, "to", []string{span(0), span(-time.Second)}},
		{`topQueries(first: %s) { queryId }`, "first", []string{"-1", "0", "101"}},
		{`topQueries(first: %s) { queryId }`, "", []string{"1", "100"}},
		{`incidents(first: 1, subject: %s) { edges { cursor } }`, "", []string{`""`, text(4096)}},
		{`incidents(first: 1, subject: %s) { edges { cursor } }`, "4096", []string{text(4097)}},
		{`audit(first: 1, since: %s) { edges { cursor } }`, "", []string{`"0001-01-01T00:00:00Z"`, `"9999-12-31T23:59:59.999999Z"`}},
		{`audit(first: 1, since: %s) { edges { cursor } }`, "DateTime", []string{`"0000-12-31T23:59:59Z"`, `"10000-01-01T00:00:00Z"`, `"9999-12-31T23:59:59-00:01"`}},
	} {
		for _, args := range row.args {
			a := s.ask("{ " + fmt.Sprintf(row.field, args) + " }")
			if row.wrong == "" && a.code() != "" || row.wrong != "" && (len(a.Errors) == 0 || a.Errors[0].Extensions["field"] != row.wrong && !strings.Contains(a.Errors[0].Message, row.wrong)) {
				t.Errorf(row.field+": %.200s", args, a.raw)
			}
		}
	}
	for _, row := range []struct {
		order, wrong string
		args         []string
	}{
		{`drain(pooler: "pgb1", reason: %s)`, "reason", []string{`""`, text(2), `"   x   "`, text(501), `"a\u0007b"`}},
		{`drain(pooler: "pgb1", reason: %s)`, "", []string{text(3), text(500)}},
		{`silence(reason: "disks", for: %s)`, "for", []string{`"PT0S"`, `"-PT1M"`, `"PT59.999S"`, `"P7DT1S"`}},
		{`silence(reason: "disks", for: %s)`, "", []string{`"PT1M"`, `"P7D"`}},
		{`pause(reason: "disks", for: %s)`, "for", []string{`"PT0S"`, `"PT0.999S"`, `"PT1M40.001S"`}},
		{`pause(reason: "disks", for: %s)`, "", []string{`"PT1S"`, `"PT1M40S"`}},
	} {
		for _, args := range row.args {
			a := s.ask("mutation { o: " + fmt.Sprintf(row.order, args) + " { userErrors { field code } } }")
			field, code := a.at("o", "userErrors", 0, "field"), a.at("o", "userErrors", 0, "code")
			if row.wrong == "" && code == "INVALID" || row.wrong != "" && (code != "INVALID" || field != row.wrong) || a.code() != "" {
				t.Errorf(row.order+": %.200s", args, a.raw)
			}
		}
	}
}
