package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// forbidden edges of the import graph, by path prefix. The reason is what a person who wants to
// add the import should read first.
var forbidden = []struct{ from, to, reason string }{
	{"weir/", "weir/server", "the server is the outermost room: what it needs lies further in"},
	{"weir/ops/haproxy", "weir/ops/", "a component knows the inventory only; what joins components is fleet and runbook"},
	{"weir/ops/keepalived", "weir/ops/", "a component knows the inventory only; what joins components is fleet and runbook"},
	{"weir/ops/pgbouncer", "weir/ops/", "a component knows the inventory only; what joins components is fleet and runbook"},
	{"weir/ops/postgres", "weir/ops/", "a component knows the inventory only; what joins components is fleet and runbook"},
	{"weir/ops/inventory", "weir/", "everything reads the inventory; it reads nothing"},
	{"weir/ops/fleet", "weir/ops/incident", "live state does not judge itself"},
	{"weir/ops/fleet", "weir/queries", "live state survives the database"},
	{"weir/ops/incident", "context", "incident is pure: it never waits"},
	{"weir/ops/incident", "log", "incident is pure: it returns what it has to say"},
	{"weir/ops/incident", "log/slog", "incident is pure: it returns what it has to say"},
	{"weir/ops/incident", "os", "incident is pure: it reads nothing"},
	{"weir/views", "weir/queries", "a view gets a view model; rows stay on the server's side"},
	{"weir/views", "weir/graph", "a view gets a view model; resolvers stay on the server's side"},
	{"weir/views", "net/http", "a view draws; answering is the server's"},
	{"weir/graph", "weir/views", "the API does not know the pages"},
	{"weir/queries", "weir/", "generated code over pgx, nothing else"},
}

func TestNobodyImportsWhatTheDesignForbids(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "weir/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for dec := json.NewDecoder(bytes.NewReader(out)); ; seen++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, to := range p.Imports {
			if reason := whyNot(p.ImportPath, to); reason != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, to, reason)
			}
		}
	}
	if seen < 5 {
		t.Fatalf("go list named %d packages only: the rules checked nothing", seen)
	}
}

func TestAForbiddenImportIsFound(t *testing.T) {
	for _, edge := range [][2]string{
		{"weir/ops/haproxy", "weir/ops/pgbouncer"}, {"weir/graph", "weir/server/web"}, {"weir/ops/incident", "os"},
	} {
		if whyNot(edge[0], edge[1]) == "" {
			t.Errorf("%s -> %s is allowed", edge[0], edge[1])
		}
	}
}

func whyNot(from, to string) string {
	if within(to, from) || to == "weir/ops/inventory" && from != "weir/queries" {
		return "" // its own rooms, and what everybody reads
	}
	i := slices.IndexFunc(forbidden, func(rule struct{ from, to, reason string }) bool {
		if within(from, "weir/server") && within(to, "weir/server") {
			return false // rooms of the server use each other
		}
		return within(from, rule.from) && within(to, rule.to)
	})
	if i < 0 {
		return ""
	}
	return forbidden[i].reason
}

// within reports whether path is prefix or lies below it; a prefix that ends in / takes all below.
func within(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
}
