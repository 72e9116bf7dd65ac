package sql_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestTheQueriesAreWhatSqlcMakesOfTheSQL(t *testing.T) {
	sqlc(t, "diff")
}

func TestEveryListHasAnOrder(t *testing.T) {
	sqlc(t, "vet")
}

func sqlc(t *testing.T, command string) {
	t.Helper()
	cmd := exec.Command("go", "tool", "sqlc", command)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // with cgo it compiles PostgreSQL's parser, for minutes
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("go tool sqlc %s: %v; after a change of sql/, run go tool sqlc generate\n%s", command, err, out)
	}
}

// What is generated imports pgx and the standard library, and of pgx not pgtype: its types stay
// below. Where sqlc does not know a type it writes interface{}.
func TestNoTypeOfTheDriverLeaksThroughTheQueries(t *testing.T) {
	allowed := []string{"context", "encoding/json", "net/netip", "time", "github.com/jackc/pgx/v5", "github.com/jackc/pgx/v5/pgconn"}
	files, err := filepath.Glob("../queries/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no queries", err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			if path, _ := strconv.Unquote(i.Path.Value); !slices.Contains(allowed, path) {
				t.Errorf("%s imports %s", name, path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					if _, ok := f.Type.(*ast.InterfaceType); ok {
						t.Errorf("%s: field %s has no type", name, f.Names)
					}
				}
			}
			return true
		})
	}
}

func TestEveryTableHasAFileOfQueries(t *testing.T) {
	migrations, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var tables, files []string
	for _, name := range migrations {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(body)) {
			if table, ok := strings.CutPrefix(line, "CREATE TABLE "); ok {
				tables = append(tables, strings.Fields(table)[0]+".sql")
			}
		}
	}
	entries, err := os.ReadDir("queries")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		files = append(files, e.Name())
	}
	if slices.Sort(tables); !slices.Equal(tables, files) {
		t.Errorf("tables %q, files %q", tables, files)
	}
}
