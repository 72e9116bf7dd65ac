package inventory

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestSecretsAreMadeOnceAndOnlyTheirOwnerReadsThem(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab", "secret")
	first, err := LoadSecrets(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := LoadSecrets(dir)
	if err != nil || first != second {
		t.Errorf("the second reading differs, or failed: %v", err)
	}
	seen := map[string]bool{}
	for name, value := range first.fields() {
		if seen[*value] || len(*value) < 32 {
			t.Errorf("secret %s is short, or another's: %q", name, *value)
		}
		seen[*value] = true
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != len(seen) {
		t.Errorf("%d files for %d secrets, %v", len(files), len(seen), err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s has mode %s, %v", f.Name(), info.Mode(), err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %s, %v", info.Mode(), err)
	}
}

func TestTwoStartsAtOnceGetTheSameSecrets(t *testing.T) {
	dir := t.TempDir()
	const starts = 16
	var got [starts]Secrets
	var errs [starts]error
	var wg sync.WaitGroup
	for i := range starts {
		wg.Go(func() { got[i], errs[i] = LoadSecrets(dir) })
	}
	wg.Wait()
	for i := range starts {
		if errs[i] != nil || got[i] != got[0] {
			t.Errorf("start %d has other secrets than start 0, or failed: %v", i, errs[i])
		}
	}
}

func TestASecretThatCannotServeIsRefused(t *testing.T) {
	for _, test := range []struct {
		sentence, body string
		mode           os.FileMode
		want           string
	}{
		{"the group may not read it", "abcdefghijklmnopqrst", 0o640, "can be read by others (mode 0640): chmod 600 it"},
		{"nobody else may write it", "abcdefghijklmnopqrst", 0o602, "can be read by others (mode 0602): chmod 600 it"},
		{"it may not be empty", "", 0o600, "is shorter than 16 characters: delete it and a new one is made"},
		{"white space is empty", "                    \n", 0o600, "is shorter than 16 characters: delete it and a new one is made"},
		{"it may not need quoting", "abcdefgh'ijklmnopqrst", 0o600, "may hold letters, digits, - and _ only"},
		{"it is one line", "abcdefghijkl\nmnopqrst", 0o600, "may hold letters, digits, - and _ only"},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "admin")
			if err := os.WriteFile(path, []byte(test.body), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, test.mode); err != nil { // past the umask
				t.Fatal(err)
			}
			got, err := LoadSecrets(dir)
			if err == nil || err.Error() != "secret admin: "+path+" "+test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if got != (Secrets{}) {
				t.Error("secrets came with the error")
			}
			if body, _ := os.ReadFile(path); string(body) != test.body {
				t.Error("the file was changed")
			}
		})
	}
}

func TestASecretOfOnesOwnIsKept(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "haproxy-stats"), []byte("  my-own-password_1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := LoadSecrets(dir)
	if err != nil || got.HAProxyStats != "my-own-password_1" {
		t.Errorf("got %q, %v", got.HAProxyStats, err)
	}
}

func TestAFolderThatCannotBeMadeIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadSecrets(filepath.Join(file, "secret")); err == nil || !strings.HasPrefix(err.Error(), "make secrets: ") {
		t.Errorf("got %v", err)
	}
}
