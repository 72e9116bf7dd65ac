package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base32"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	viewasset "weir/views/asset"
)

// assetPath is below which files lie that never change: their names hold a hash of their content.
const assetPath = "/asset/"

//go:embed explorer/dist
var built embed.FS

// assets are files by the name with which they are asked for.
type assets struct {
	names map[string]string // explorer.js -> explorer.3f9a1c2b.js
	files map[string]asset
}

type asset struct {
	body []byte
	kind string
}

func newAssets() (*assets, error) {
	a := &assets{names: map[string]string{}, files: map[string]asset{}}
	return a, a.add(built, "explorer/dist")
}

// add takes every file of a directory.
func (a *assets) add(from fs.FS, dir string) error {
	entries, err := fs.ReadDir(from, dir)
	if err != nil {
		return fmt.Errorf("read assets: %w", err)
	}
	for _, e := range entries {
		body, err := fs.ReadFile(from, path.Join(dir, e.Name()))
		if err != nil {
			return fmt.Errorf("read asset: %w", err)
		}
		ext := path.Ext(e.Name())
		sum := sha256.Sum256(body)
		hash := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:12])
		name := strings.TrimSuffix(e.Name(), ext) + "." + hash + ext
		a.names[e.Name()], a.files[name] = name, asset{body, mime.TypeByExtension(ext)}
	}
	return nil
}

// url is where a file is found now.
func (a *assets) url(name string) string { return assetPath + a.names[name] }

func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f, ok := viewasset.Lookup(r.URL.Path); ok {
		a.view(w, r, f)
		return
	}
	f, ok := a.files[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}

// view sends a file of the pages, squeezed if the browser takes that.
func (a *assets) view(w http.ResponseWriter, r *http.Request, f viewasset.File) {
	h := w.Header()
	h.Set("Content-Type", f.Type)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := f.Body
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = f.Gzip
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}
