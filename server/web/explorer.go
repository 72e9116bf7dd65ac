package web

import (
	"fmt"
	"io"
	"net/http"

	"github.com/a-h/templ"

	"weir/server/session"
	viewasset "weir/views/asset"
	"weir/views/layout"
)

// explorer is a page to try the API on, for who is signed in. It is built from explorer/ (make
// generate) and loads nothing from elsewhere. Its head is its own: the editor's style sheet and the
// pages' do not go together.
func (w *Web) explorer(rw http.ResponseWriter, r *http.Request) {
	if _, err := session.ViewerOf(r.Context()); err != nil {
		w.Answer(rw, r, err)
		return
	}
	nonce := templ.GetNonce(r.Context())
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Header().Set("Content-Security-Policy", policy(nonce)) // its editor makes HTML of text
	explorerPage(rw, theme(r), nonce)
}

func explorerPage(to io.Writer, theme layout.Theme, nonce string) {
	fmt.Fprintf(to, `<!doctype html>
<html lang="en" data-theme="%[1]s">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>API explorer · Weir</title>
<link rel="icon" type="image/svg+xml" href="%[2]s">
<link rel="stylesheet" href="%[3]s">
<script type="module" src="%[4]s" nonce="%[5]s"></script>
</head>
<body>
<header class="weir-head">
<a href="/"><img src="%[2]s" alt="" width="24" height="24">Weir</a>
<h1>API explorer</h1>
<a class="weir-back" href="/">Back to the console</a>
</header>
<main id="explorer"><noscript><p class="weir-note">The explorer needs JavaScript; the API does not.</p></noscript></main>
</body>
</html>
`, theme, viewasset.Path("icon.svg"), explorerFiles.Path("explorer.css"), explorerFiles.Path("explorer.js"), nonce)
}
