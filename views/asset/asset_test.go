package asset

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

func TestEveryFileIsFoundUnderItsHashedPath(t *testing.T) {
	for at, f := range Pages {
		if at != f.Path || Path(f.Name) != at {
			t.Errorf("%s is not at %s", f.Name, f.Path)
		}
		if !regexp.MustCompile(`^/asset/[a-z]+\.[0-9a-f]{8}\.[a-z]+$`).MatchString(f.Path) {
			t.Errorf("%s has no hash in it", f.Path)
		}
	}
	if _, ok := Pages["/asset/app.css"]; ok {
		t.Error("app.css is found without its hash: a browser would keep an old one")
	}
}

func TestAllFilesTogetherStayBelow250KBCompressed(t *testing.T) {
	total := 0
	for _, f := range Pages {
		total += len(f.Gzip)
	}
	if total > 250_000 || total < 10_000 {
		t.Errorf("%d bytes", total)
	}
	t.Logf("%d bytes", total)
}

func TestNoFileNeedsWhatThePolicyForbids(t *testing.T) {
	for _, f := range Pages {
		if strings.HasSuffix(f.Name, ".css") && regexp.MustCompile(`url\(["']?(data|https?):`).Match(f.Body) {
			t.Errorf("%s loads something from elsewhere, or from a data: address", f.Name)
		}
		if bytes.Contains(f.Body, []byte("sourceMappingURL")) {
			t.Errorf("%s points to a source map that is not there", f.Name)
		}
	}
}
