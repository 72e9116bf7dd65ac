package web

import (
	"bytes"
	"embed"
	"net/http"
	"strings"
	"time"

	"weir/views/asset"
)

//go:embed explorer/dist
var built embed.FS

var explorerFiles = asset.Load(built, "explorer/dist")

// assets sends the file that is asked for by its path, compressed to those who take that.
func (w *Web) assets(rw http.ResponseWriter, r *http.Request) {
	f, ok := asset.Pages[r.URL.Path]
	if !ok {
		if f, ok = explorerFiles[r.URL.Path]; !ok {
			http.NotFound(rw, r)
			return
		}
	}
	h, body := rw.Header(), f.Body
	h.Set("Content-Type", f.Type)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = f.Gzip
	}
	http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(body))
}
