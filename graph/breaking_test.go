package graph_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
)

var update = flag.Bool("update", false, "write the lock of the schema anew; what breaks clients has to be in CHANGELOG.md before")

const lockFile = "testdata/schema.lock.graphqls"

// The lock is the schema that clients know. What they lose has to be named in CHANGELOG.md under
// Unreleased, as `Type.field` or whatever the test calls it: somebody upgrades and reads it there.
func TestWhatBreaksClientsIsNamedInTheChangelog(t *testing.T) {
	body, err := os.ReadFile(lockFile)
	if err != nil && !*update {
		t.Fatal(err)
	}
	locked := gqlparser.MustLoadSchema(&ast.Source{Name: lockFile, Input: string(body)})
	changelog := unreleased(string(must(os.ReadFile("../CHANGELOG.md"))(t)))
	for _, b := range breaking(locked, schema) {
		if !strings.Contains(changelog, "`"+b.what+"`") {
			t.Errorf("%s %s: a client that uses it breaks. Name `%s` in CHANGELOG.md, or leave it", b.what, b.how, b.what)
		}
	}
	if t.Failed() {
		return
	}
	if *update {
		if err := os.WriteFile(lockFile, written(schema), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(written(schema), body) {
		t.Errorf("the schema has changed, and breaks nobody: go test ./graph -run %s -update", t.Name())
	}
}

func TestEveryKindOfBreakingChangeIsFound(t *testing.T) {
	const before = `
		type Query { a(x: Int, y: Int = 1): String b: String! c: [E!]! d: U e: I s(i: In): Int }
		enum E { ONE TWO } union U = A | B interface I { id: ID } type A implements I { id: ID } type B { n: Int } scalar S
		input In { p: Int q: Int! }`
	for _, c := range []struct{ sentence, old, new, want string }{
		{"nothing", "", "", ""},
		{"a new field", "type B {", "type B { more: Int", ""},
		{"a new argument that may be left out", "a(x: Int,", "a(x: Int, z: Int", ""},
		{"a field that is never null any more", "s(i: In): Int", "s(i: In): Int!", ""},
		{"an argument that may be left out now", "q: Int!", "q: Int", ""},
		{"a type is gone", "scalar S", "", "S"},
		{"a field is gone", "b: String!", "", "Query.b"},
		{"a field may be null now", "b: String!", "b: String", "Query.b"},
		{"a list may hold null now", "c: [E!]!", "c: [E]!", "Query.c"},
		{"a field has another type", "b: String!", "b: Int!", "Query.b"},
		{"an argument is gone", "x: Int,", "", "Query.a.x"},
		{"an argument has to be given now", "x: Int,", "x: Int!,", "Query.a.x"},
		{"a new argument has to be given", "x: Int,", "x: Int, z: Int!", "Query.a.z"},
		{"an argument means something else when it is left out", "y: Int = 1", "y: Int = 2", "Query.a.y"},
		{"a value is gone", "ONE TWO", "ONE", "E.TWO"},
		{"a value is new: a client may not know it", "ONE TWO", "ONE TWO THREE", ""},
		{"a member of a union is gone", "A | B", "A", "U.B"},
		{"a type has an interface no more", "type A implements I", "type A", "A.I"},
		{"a type is another kind of type", "scalar S", "enum S { X }", "S"},
		{"a new field of an input has to be given", "input In {", "input In { r: Int!", "In.r"},
		{"a field of an input is gone", "p: Int", "", "In.p"},
	} {
		after := strings.Replace(before, c.old, c.new, 1)
		var found []string
		for _, b := range breaking(load(before), load(after)) {
			found = append(found, b.what)
		}
		if got := strings.Join(found, " "); got != c.want {
			t.Errorf("%s: found %q, want %q", c.sentence, got, c.want)
		}
	}
}

func load(text string) *ast.Schema {
	return gqlparser.MustLoadSchema(&ast.Source{Name: "test", Input: text})
}

// written is the schema in one order, without its descriptions.
func written(s *ast.Schema) []byte {
	var out bytes.Buffer
	formatter.NewFormatter(&out, formatter.WithoutDescription(), formatter.WithIndent("  ")).FormatSchema(s)
	return out.Bytes()
}

// unreleased is the newest chapter.
func unreleased(changelog string) string {
	_, chapter, _ := strings.Cut(changelog, "\n## Unreleased")
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	return chapter
}

type loss struct{ what, how string }

// breaking lists what a client of was may find missing or different in is.
func breaking(was, is *ast.Schema) (found []loss) {
	note := func(what, how string, args ...any) { found = append(found, loss{what, fmt.Sprintf(how, args...)}) }
	names := make([]string, 0, len(was.Types))
	for name, d := range was.Types {
		if !d.BuiltIn {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		before, now := was.Types[name], is.Types[name]
		switch {
		case now == nil:
			note(name, "is gone")
			continue
		case now.Kind != before.Kind:
			note(name, "was %s and is %s", before.Kind, now.Kind)
			continue
		}
		for _, v := range before.EnumValues {
			if now.EnumValues.ForName(v.Name) == nil {
				note(name+"."+v.Name, "is gone")
			}
		}
		for _, member := range append(slices.Clone(before.Types), before.Interfaces...) {
			if !slices.Contains(now.Types, member) && !slices.Contains(now.Interfaces, member) {
				note(name+"."+member, "is gone")
			}
		}
		fields(before, now, note)
	}
	return found
}

func fields(before, now *ast.Definition, note func(what, how string, args ...any)) {
	input := before.Kind == ast.InputObject
	for _, f := range before.Fields {
		what, is := before.Name+"."+f.Name, now.Fields.ForName(f.Name)
		switch {
		case strings.HasPrefix(f.Name, "__"):
		case is == nil:
			note(what, "is gone")
		case input && !fits(is.Type, f.Type), !input && !fits(f.Type, is.Type):
			note(what, "was %s and is %s", f.Type, is.Type)
		default:
			arguments(what, f, is, note)
		}
	}
	for _, f := range now.Fields {
		if input && before.Fields.ForName(f.Name) == nil && f.Type.NonNull && f.DefaultValue == nil {
			note(before.Name+"."+f.Name, "has to be given")
		}
	}
}

func arguments(field string, before, now *ast.FieldDefinition, note func(what, how string, args ...any)) {
	for _, a := range before.Arguments {
		what, is := field+"."+a.Name, now.Arguments.ForName(a.Name)
		switch {
		case is == nil:
			note(what, "is gone")
		case !fits(is.Type, a.Type):
			note(what, "was %s and is %s", a.Type, is.Type)
		case value(a.DefaultValue) != value(is.DefaultValue):
			note(what, "was %s when left out, and is %s", value(a.DefaultValue), value(is.DefaultValue))
		}
	}
	for _, a := range now.Arguments {
		if before.Arguments.ForName(a.Name) == nil && a.Type.NonNull && a.DefaultValue == nil {
			note(field+"."+a.Name, "has to be given")
		}
	}
}

func value(v *ast.Value) string {
	if v == nil {
		return "nothing"
	}
	return v.String()
}

// fits says whether whoever reckons with the loose type can take the strict one: the same, or less
// often null.
func fits(loose, strict *ast.Type) bool {
	if loose.NonNull && !strict.NonNull || (loose.Elem == nil) != (strict.Elem == nil) {
		return false
	}
	if loose.Elem != nil {
		return fits(loose.Elem, strict.Elem)
	}
	return loose.NamedType == strict.NamedType
}
