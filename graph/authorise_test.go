package graph_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"weir/graph/noun"
	"weir/ops/fault"
	"weir/ops/runbook"
)

var needs = regexp.MustCompile(`Needs the role (viewer|operator|administrator)`)

// roleOf is what the description of a field says that it needs; "" is nobody signed in.
func roleOf(t *testing.T, f *ast.FieldDefinition) runbook.Role {
	t.Helper()
	if m := needs.FindStringSubmatch(f.Description); m != nil {
		return runbook.Role(m[1])
	}
	if !strings.Contains(f.Description, "For anybody.") && f.Name != "viewer" {
		t.Errorf("%s does not say who may: %q", f.Name, f.Description)
	}
	return ""
}

// call writes a field with something for each of its arguments that has to be given.
func call(t *testing.T, f *ast.FieldDefinition) string {
	t.Helper()
	var args []string
	for _, a := range f.Arguments {
		if a.Type.NonNull && a.DefaultValue == nil {
			args = append(args, a.Name+": "+literal(t, f, a))
		}
		if a.Name == "first" && !a.Type.NonNull {
			args = append(args, "first: 1")
		}
	}
	text := f.Name
	if len(args) > 0 {
		text += "(" + strings.Join(args, ", ") + ")"
	}
	if d := schema.Types[f.Type.Name()]; d.IsCompositeType() {
		text += " { __typename }"
	}
	return text
}

func literal(t *testing.T, f *ast.FieldDefinition, a *ast.ArgumentDefinition) string {
	t.Helper()
	ids := map[string]noun.Kind{"incident": noun.IncidentKind, "silence": noun.SilenceKind, "user": noun.UserKind,
		"link": noun.LinkKind, "session": noun.SessionKind, "token": noun.TokenKind, "id": noun.PoolerKind}
	switch a.Type.Name() {
	case "ID":
		key := "7"
		if a.Name == "incident" {
			key = newID()
		}
		return fmt.Sprintf("%q", noun.ID(ids[a.Name], key))
	case "String":
		return map[string]string{"pooler": `"pgb1"`, "node": `"haproxy1"`, "host": `"pgb1"`}[a.Name] + map[bool]string{true: "", false: `"x"`}[a.Name == "pooler" || a.Name == "node" || a.Name == "host"]
	case "Int":
		return "1"
	case "Duration":
		return `"PT1H"`
	case "DateTime":
		return map[string]string{"from": `"2026-01-01T00:00:00Z"`, "to": `"2026-01-02T00:00:00Z"`}[a.Name]
	case "Role":
		return "VIEWER"
	case "Metric":
		return "VIP_HOLDER"
	}
	t.Fatalf("%s(%s): nothing to give for a %s", f.Name, a.Name, a.Type)
	return ""
}

// below are the viewers whose role is not enough.
func below(role runbook.Role) []noun.Viewer {
	return map[runbook.Role][]noun.Viewer{runbook.Operator: {looker}, runbook.Administrator: {looker, operator}}[role]
}

var viewers = map[runbook.Role]noun.Viewer{runbook.Viewer: looker, runbook.Operator: operator, runbook.Administrator: administrator}

// The fields are those of the schema: none that is added later can be forgotten.
func TestNobodyDoesOrSeesWhatTheirRoleDoesNotAllow(t *testing.T) {
	s := newServer(t, nil)
	for _, kind := range []string{"Query", "Mutation"} {
		for _, f := range root(kind) {
			t.Run(f.Name, func(t *testing.T) {
				role, document := roleOf(t, f), strings.ToLower(kind)+" { "+call(t, f)+" }"
				if role == "" {
					return
				}
				s.as(nil)
				if a := s.ask(document); a.code() != string(fault.Unauthenticated) || a.at(f.Name) != nil {
					t.Errorf("nobody: %s", a.raw)
				}
				for _, v := range below(role) {
					s.as(&v)
					if a := s.ask(document); a.code() != string(fault.Forbidden) || a.at(f.Name) != nil {
						t.Errorf("%s: %s", v.Role, a.raw)
					}
				}
				enough := viewers[role]
				s.as(&enough)
				if a := s.ask(document); a.code() == string(fault.Forbidden) || a.code() == string(fault.Unauthenticated) || a.code() == string(fault.Internal) {
					t.Errorf("%s: %s", role, a.raw)
				}
			})
		}
	}
}

func TestEverySubscriptionNeedsSomebodySignedIn(t *testing.T) {
	s := newServer(t, nil)
	s.as(nil)
	for _, f := range root("Subscription") {
		if roleOf(t, f) == "" {
			t.Errorf("%s is for anybody", f.Name)
		}
		if a := s.events("subscription { " + call(t, f) + " }"); !strings.Contains(a[0], string(fault.Unauthenticated)) || !strings.Contains(a[len(a)-1], "complete") {
			t.Errorf("%s: %q", f.Name, a)
		}
	}
}

// Who is refused is written down: by whoever refuses it, so the resolvers must not do it before them.
func TestAnOrderThatIsForbiddenIsAudited(t *testing.T) {
	s := newServer(t, nil)
	if a := s.ask(`mutation { drain(pooler: "pgb1", reason: "because") { userErrors { message } } }`); a.code() != "forbidden" {
		t.Fatal(a.raw)
	}
	if have := s.acts.all(); have != "drain by looker@example.org: refused" {
		t.Errorf("the audit has %q", have)
	}
}

func TestATokenThatIsPinnedDoesNothingElseWhateverItCallsItsOperation(t *testing.T) {
	s := newServer(t, nil)
	pinned := noun.Viewer{Actor: runbook.Actor{Kind: runbook.Token, ID: 9, Name: "graphs", Role: runbook.Administrator}, Operations: []string{"fleet"}}
	s.as(&pinned)
	if a := s.ask(`{ fleet { version } __typename }`); a.code() != "" {
		t.Errorf("its own field: %s", a.raw)
	}
	for _, document := range []string{
		`query fleet { users(first: 1) { edges { cursor } } }`,
		`query fleet { fleet { version } users(first: 1) { edges { cursor } } }`,
		`query fleet { ...all } fragment all on Query { fleet: users(first: 1) { edges { cursor } } }`,
		`query fleet { ... on Query { viewer { name } } }`,
		`mutation fleet { drain(pooler: "pgb1") { userErrors { message } } }`,
	} {
		if a := s.ask(document); a.code() != "forbidden" || a.Data != nil {
			t.Errorf("%s: %s", document, a.raw)
		}
	}
}

func TestASignInIsRefusedWhereNoCookieCanBeSet(t *testing.T) {
	s := newServer(t, nil)
	last := s.events(`mutation { signIn(email: "a@example.org", password: "x") { userErrors { code message } } }`)
	if !strings.Contains(last[0], "REFUSED") {
		t.Errorf("over a stream: %q", last)
	}
}

func TestAWrongPasswordIsTheUsersErrorAndNotTheRequests(t *testing.T) {
	s := newServer(t, nil)
	s.as(nil)
	s.acts.err = fault.Errorf(fault.Unauthenticated, "The address or the password is wrong.")
	a := s.ask(`mutation { signIn(email: "a@example.org", password: "x") { viewer { name } codeOwed userErrors { code message } } }`)
	if a.code() != "" || a.at("signIn", "userErrors", 0, "code") != "UNAUTHENTICATED" {
		t.Error(a.raw)
	}
}
