package render

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"weir/ops/inventory"
)

var secrets = inventory.Secrets{
	Postgres: "postgres-secret-of-the-test", Auth: "auth-secret-of-the-test-aaaa", Admin: "admin-secret-of-the-test-aaa",
	Monitor: "monitor-secret-of-the-test-a", Console: "console-secret-of-the-test-a", HAProxyStats: "haproxy-secret-of-the-test-a",
	Check: "check-secret-of-the-test-aaa",
}

func hosts(t *testing.T) []Host {
	t.Helper()
	out, err := Hosts(inventory.Default(), secrets, Place{Monitor: map[string]string{"SLACK_BOT_TOKEN": "slack-secret-of-the-test"},
		Console: map[string]string{"DATABASE_URL": "database-secret-of-the-test"}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryHostOfTheInventoryIsRendered(t *testing.T) {
	var have, want []string
	for _, h := range hosts(t) {
		have = append(have, h.Name)
	}
	for _, n := range inventory.Default().Hosts() {
		want = append(want, n.Name)
	}
	if !slices.Equal(have, want) {
		t.Errorf("rendered %v of %v", have, want)
	}
}

func TestNoHostGetsTheSameFileTwice(t *testing.T) {
	for _, h := range hosts(t) {
		seen := map[string]bool{}
		for _, f := range h.Files {
			if seen[f.Path] {
				t.Errorf("%s: %s twice", h.Name, f.Path)
			}
			seen[f.Path] = true
			if !filepath.IsAbs(f.Path) {
				t.Errorf("%s: %s is not absolute", h.Name, f.Path)
			}
		}
	}
}

func TestAFileWithASecretIsNotForEverybodyToRead(t *testing.T) {
	values := []string{"slack-secret-of-the-test", "database-secret-of-the-test"}
	for field := range reflect.ValueOf(secrets).NumField() {
		values = append(values, reflect.ValueOf(secrets).Field(field).String())
	}
	found := map[string]bool{}
	for _, h := range hosts(t) {
		for _, f := range h.Files {
			for _, value := range values {
				if !bytes.Contains(f.Body, []byte(value)) {
					continue
				}
				found[value] = true
				if f.Mode&0o007 != 0 {
					t.Errorf("%s: %s holds a secret and has mode %04o", h.Name, f.Path, f.Mode)
				}
			}
		}
	}
	// The superuser's password is on no host: PostgreSQL gets a verifier.
	if found[secrets.Postgres] {
		t.Error("the superuser's password is on a host")
	}
	if len(found) < 5 {
		t.Errorf("only %d secrets were found in the files: the test looks at the wrong thing", len(found))
	}
}

func TestRenderingTwiceGivesTheSame(t *testing.T) {
	if !reflect.DeepEqual(hosts(t), hosts(t)) {
		t.Error("two renderings differ: every reload would find something new")
	}
}

func TestWriteGivesFilesTheirModesAlsoOverOldOnes(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "pgb1", "etc", "pgbouncer", "userlist.txt")
	if err := os.MkdirAll(filepath.Dir(old), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, hosts(t)); err != nil {
		t.Fatal(err)
	}
	for _, h := range hosts(t) {
		for _, f := range h.Files {
			info, err := os.Stat(filepath.Join(dir, h.Name, f.Path))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != f.Mode {
				t.Errorf("%s %s has mode %04o, not %04o", h.Name, f.Path, info.Mode().Perm(), f.Mode)
			}
		}
	}
}
