// Package asset is what the pages load: one style sheet, one script, and a second pair for pages
// with charts. generate.sh builds them into dist, which is embedded, so that the console needs no
// other host. Every file has its content's hash in its name and may be cached for ever.
package asset

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"path"
	"strings"
)

//go:embed dist
var dist embed.FS

// Prefix is the path below which all files are.
const Prefix = "/asset/"

// File is one file as a browser gets it.
type File struct {
	Name string // app.css
	Path string // /asset/app.3f2a9c41.css
	Type string // for Content-Type
	Body []byte
	Gzip []byte // Body for those who accept gzip
}

var (
	byName = load()
	byPath = index(byName)
)

// Path is where a file is: app.css -> /asset/app.3f2a9c41.css. A name that was not built panics:
// the page would be without it.
func Path(name string) string {
	f, ok := byName[name]
	if !ok {
		panic("asset: no file " + name + ": run make generate")
	}
	return f.Path
}

// Lookup finds the file that a browser asks for by its path. What it returns is not to be changed.
func Lookup(path string) (File, bool) {
	f, ok := byPath[path]
	return f, ok
}

// Files lists every file, in no order.
func Files() []File {
	out := make([]File, 0, len(byName))
	for _, f := range byName {
		out = append(out, f)
	}
	return out
}

func load() map[string]File {
	entries, err := dist.ReadDir("dist")
	if err != nil {
		panic(err) // it is embedded
	}
	files := make(map[string]File, len(entries))
	for _, e := range entries {
		body, err := dist.ReadFile("dist/" + e.Name())
		if err != nil {
			panic(err)
		}
		files[e.Name()] = File{Name: e.Name(), Path: Prefix + hashed(e.Name(), body), Type: contentType(e.Name()), Body: body, Gzip: squeeze(body)}
	}
	return files
}

func index(files map[string]File) map[string]File {
	out := make(map[string]File, len(files))
	for _, f := range files {
		out[f.Path] = f
	}
	return out
}

func hashed(name string, body []byte) string {
	sum := sha256.Sum256(body)
	ext := path.Ext(name)
	return fmt.Sprintf("%s.%s%s", strings.TrimSuffix(name, ext), hex.EncodeToString(sum[:4]), ext)
}

func contentType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "text/plain; charset=utf-8"
}

func squeeze(body []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level exists
	w.Write(body)                                         // into memory: cannot fail
	w.Close()
	return b.Bytes()
}
