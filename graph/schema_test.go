package graph_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"weir/graph/gen"
	"weir/ops/fault"
	"weir/ops/haproxy"
	"weir/ops/incident"
	"weir/ops/runbook"
)

var schema = gen.NewExecutableSchema(gen.Config{}).Schema()

func TestEverythingInTheSchemaIsDescribed(t *testing.T) {
	missing := func(description, what string) {
		if strings.TrimSpace(description) == "" {
			t.Errorf("%s has no description", what)
		}
	}
	for _, d := range schema.Types {
		if d.BuiltIn {
			continue
		}
		missing(d.Description, d.Name)
		for _, v := range d.EnumValues {
			missing(v.Description, d.Name+"."+v.Name)
		}
		for _, f := range d.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			missing(f.Description, d.Name+"."+f.Name)
			for _, a := range f.Arguments {
				missing(a.Description, d.Name+"."+f.Name+"("+a.Name+")")
			}
		}
	}
}

// What the domain says and the schema has no word for would be an answer that no client can read.
func TestEveryWordOfTheDomainIsInTheSchema(t *testing.T) {
	words := map[string][]string{
		"Role":              {string(runbook.Viewer), string(runbook.Operator), string(runbook.Administrator)},
		"ActorKind":         {string(runbook.User), string(runbook.Token), string(runbook.System)},
		"Result":            {string(runbook.OK), string(runbook.RefusedResult), string(runbook.Failed)},
		"Severity":          {string(incident.Info), string(incident.Warning), string(incident.Critical)},
		"LinkKind":          {"invite", "first-admin", "password-reset"},
		"NotificationState": {"pending", "sent", "failed", "collapsed"},
		"BackendState":      {"active", "idle", "idle in transaction", "idle in transaction (aborted)"},
		"VRRPState":         {"MASTER", "BACKUP", "FAULT", "STOP", "UNKNOWN"},
		"HAProxyAdmin":      {haproxy.Ready.String(), haproxy.Drain.String(), haproxy.Maint.String(), haproxy.Admin(0).String()},
	}
	for _, s := range incident.States {
		words["IncidentState"] = append(words["IncidentState"], string(s))
	}
	for _, c := range fault.Codes {
		words["ErrorCode"] = append(words["ErrorCode"], string(c))
	}
	for s := haproxy.State(0); s <= haproxy.Stopped; s++ {
		words["HAProxyRowState"] = append(words["HAProxyRowState"], s.String())
	}
	for enum, list := range words {
		for _, word := range list {
			if schema.Types[enum].EnumValues.ForName(strings.ToUpper(strings.NewReplacer("-", "_", " ", "_", "(", "", ")", "").Replace(word))) == nil {
				t.Errorf("%s has no word for %q", enum, word)
			}
		}
	}
}

// The list in the monitor's room is the truth: a metric it writes can be asked for.
func TestEveryMetricIsInTheSchema(t *testing.T) {
	body := string(must(os.ReadFile("../ops/monitor/sample.go"))(t))
	seen := 0
	for line := range strings.Lines(body) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "//"))
		if !strings.HasPrefix(line, "//\t") || len(fields) < 2 || fields[0] == "metric" {
			continue
		}
		seen++
		if schema.Types["Metric"].EnumValues.ForName(strings.ToUpper(fields[0])) == nil {
			t.Errorf("Metric has no word for %s", fields[0])
		}
	}
	if seen != len(schema.Types["Metric"].EnumValues) {
		t.Errorf("the monitor writes %d metrics, the schema has %d", seen, len(schema.Types["Metric"].EnumValues))
	}
}

func TestEveryListThatGrowsIsAConnection(t *testing.T) {
	for _, d := range schema.Types {
		if !strings.HasSuffix(d.Name, "Connection") {
			continue
		}
		used := 0
		for _, on := range schema.Types {
			for _, f := range on.Fields {
				if f.Type.Name() == d.Name {
					used++
					for _, arg := range []string{"first", "after", "last", "before"} {
						if f.Arguments.ForName(arg) == nil {
							t.Errorf("%s.%s has no argument %s", on.Name, f.Name, arg)
						}
					}
				}
			}
		}
		if used == 0 {
			t.Errorf("%s is nobody's", d.Name)
		}
	}
}

// Nothing but what is listed here is generated as a type: the schema's types are the domain's.
func TestNoModelsAreGenerated(t *testing.T) {
	body := string(must(os.ReadFile("gen/model.generated.go"))(t))
	for line := range strings.Lines(body) {
		if name, ok := strings.CutPrefix(line, "type "); ok {
			if name = strings.Fields(name)[0]; !slices.Contains([]string{"Query", "Mutation", "Subscription"}, name) {
				t.Errorf("%s is generated: give it a type of ours", name)
			}
		}
	}
}

// Runs gqlgen on a copy and compares.
func TestTheGeneratedCodeIsWhatGqlgenMakesOfTheSchema(t *testing.T) {
	copyDir := t.TempDir()
	for _, part := range []string{"go.mod", "go.sum", "gqlgen.yml", "graph", "ops", "queries", "sql"} {
		copyTree(t, filepath.Join("..", part), filepath.Join(copyDir, part))
	}
	cmd := exec.Command("go", "tool", "gqlgen", "generate")
	cmd.Dir = copyDir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath") // what is compiled is then the same wherever it lies
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go tool gqlgen generate: %v\n%s", err, out)
	}
	want, have := readDir(t, filepath.Join(copyDir, "graph/gen")), readDir(t, "gen")
	for name := range want {
		if have[name] != want[name] {
			t.Errorf("graph/gen/%s is not current: run go tool gqlgen generate", name)
		}
	}
	if len(have) != len(want) {
		t.Errorf("graph/gen has %d files, gqlgen makes %d", len(have), len(want))
	}
}

func readDir(t *testing.T, dir string) map[string]string {
	files := map[string]string{}
	for _, e := range must(os.ReadDir(dir))(t) {
		files[e.Name()] = string(must(os.ReadFile(filepath.Join(dir, e.Name())))(t))
	}
	return files
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() == "node_modules" {
			return skipUnless(err)
		}
		rel, _ := filepath.Rel(from, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), body, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func skipUnless(err error) error {
	if err != nil {
		return err
	}
	return fs.SkipDir
}

// root lists the fields of a root type.
func root(name string) (fields ast.FieldList) {
	for _, f := range schema.Types[name].Fields {
		if !strings.HasPrefix(f.Name, "__") {
			fields = append(fields, f)
		}
	}
	return fields
}
