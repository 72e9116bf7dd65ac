// Package golden compares what a component draws with a file, for tests.
package golden

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/a-h/templ"
)

var update = flag.Bool("update", false, "write the golden files anew; look at the difference before you commit it")

// HTML compares a component with testdata/NAME.html, in which every element begins a line. Hashes in
// the names of assets are left out: they change with the style.
func HTML(t testing.TB, name string, c templ.Component) {
	t.Helper()
	got := lines(Render(t, c))
	path := filepath.Join("testdata", name+".html")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if got != string(want) {
		t.Errorf("%s differs from what is drawn now; go test -update, and look at it:\n%s", path, difference(string(want), got))
	}
}

// Render draws a component.
func Render(t testing.TB, c templ.Component) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Render(templ.WithNonce(t.Context(), "NONCE"), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var hash = regexp.MustCompile(`(/asset/[a-z]+)\.[0-9a-f]{8}\.`)

func lines(html string) string {
	html = hash.ReplaceAllString(html, "$1.HASH.")
	return strings.ReplaceAll(html, "><", ">\n<") + "\n"
}

// difference is the first line that differs, with its number.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range w {
		if i >= len(g) || w[i] != g[i] {
			line := "(nothing)"
			if i < len(g) {
				line = g[i]
			}
			return "- " + w[i] + "\n+ " + line
		}
	}
	return "+ " + g[len(w)]
}

// forbidden is what the policy does not allow, or what would need eval.
var forbidden = regexp.MustCompile(`(?i)\sstyle=|\son[a-z]+=|\shx-on|<script[^>]*>[^<]|<style|javascript:|\sjs:|src="(data|https?):`)

// loose is a mark that stands apart from what it ends: templ puts a space before it where it stands in its own line.
var loose = regexp.MustCompile(`</(time|a|b|strong|code|span)> [.,;:)]`)

// Plain fails when a component draws something that the policy of the pages forbids, or a space before a full stop.
func Plain(t testing.TB, c templ.Component) {
	t.Helper()
	html := Render(t, c)
	if at := forbidden.FindStringIndex(html); at != nil {
		t.Errorf("the policy forbids %q", html[at[0]:min(at[1]+60, len(html))])
	}
	if at := loose.FindStringIndex(html); at != nil {
		t.Errorf("a space before a mark: %q", html[max(at[0]-60, 0):at[1]])
	}
}
