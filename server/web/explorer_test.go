package web

import (
	"strings"
	"testing"

	"weir/views/layout"
)

func TestTheExplorerLeadsBackToTheConsoleAlsoWithoutAScriptAndHasItsTheme(t *testing.T) {
	var page strings.Builder
	explorerPage(&page, layout.Dark, "n0nce")
	for _, part := range []string{`data-theme="dark"`, `href="/">Back to the console</a>`, `<main id="explorer"><noscript>`, `nonce="n0nce"`} {
		if !strings.Contains(page.String(), part) {
			t.Errorf("no %s in %s", part, page.String())
		}
	}
	if strings.Contains(page.String(), "%!") || strings.Contains(page.String(), "style=") {
		t.Error(page.String())
	}
}
