package asset

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

func TestEveryFileIsFoundUnderItsHashedPath(t *testing.T) {
	for _, f := range Files() {
		got, ok := Lookup(f.Path)
		if !ok || got.Name != f.Name || Path(f.Name) != f.Path {
			t.Errorf("%s is not at %s", f.Name, f.Path)
		}
		if !regexp.MustCompile(`^/asset/[a-z]+\.[0-9a-f]{8}\.[a-z]+$`).MatchString(f.Path) {
			t.Errorf("%s has no hash in it", f.Path)
		}
	}
	if _, ok := Lookup("/asset/app.css"); ok {
		t.Error("app.css is found without its hash: a browser would keep an old one")
	}
}

func TestAllFilesTogetherStayBelow250KBCompressed(t *testing.T) {
	total := 0
	for _, f := range Files() {
		total += len(f.Gzip)
	}
	if total > 250_000 || total < 10_000 {
		t.Errorf("%d bytes", total)
	}
	t.Logf("%d bytes", total)
}

func TestNoFileNeedsWhatThePolicyForbids(t *testing.T) {
	for _, f := range Files() {
		if strings.HasSuffix(f.Name, ".css") && regexp.MustCompile(`url\(["']?(data|https?):`).Match(f.Body) {
			t.Errorf("%s loads something from elsewhere, or from a data: address", f.Name)
		}
		if bytes.Contains(f.Body, []byte("sourceMappingURL")) {
			t.Errorf("%s points to a source map that is not there", f.Name)
		}
	}
}
