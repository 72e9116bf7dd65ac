package web

import (
	"fmt"
	"html"
	"net/http"

	"github.com/a-h/templ"

	"weir/server/session"
	viewasset "weir/views/asset"
)

// explorer is a page to try the API on, for who is signed in. It is built from explorer/ (make
// generate) and loads nothing from elsewhere.
func (w *Web) explorer(rw http.ResponseWriter, r *http.Request) {
	if _, err := session.ViewerOf(r.Context()); err != nil {
		w.Answer(rw, r, err)
		return
	}
	nonce := templ.GetNonce(r.Context())
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Header().Set("Content-Security-Policy", policy(nonce)) // its editor makes HTML of text
	fmt.Fprintf(rw, `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API explorer · Weir</title>
<link rel="icon" type="image/svg+xml" href="%s">
<link rel="stylesheet" href="%s">
<script type="module" src="%s" nonce="%s"></script>
</head>
<body><div id="explorer"></div><noscript>The explorer needs JavaScript; the API does not.</noscript></body>
</html>
`, viewasset.Path("icon.svg"), html.EscapeString(w.assets.url("explorer.css")), html.EscapeString(w.assets.url("explorer.js")), nonce)
}
