// Package asset is what the pages load: one style sheet, one script, and a second pair for pages
// with charts. generate.sh builds them into dist, which is embedded, so that the console needs no
// other host. Every file has its content's hash in its name and may be cached for ever. The explorer's
// files are served in the same way.
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

// Files are those of one directory, by Path. What is in them is not to be changed.
type Files map[string]File

// Pages are the files of the console's pages.
var Pages = Load(dist, "dist")

// Load takes every file of a directory that is embedded.
func Load(from embed.FS, dir string) Files {
	entries, err := from.ReadDir(dir)
	if err != nil {
		panic(err) // it is embedded
	}
	files := make(Files, len(entries))
	for _, e := range entries {
		body, err := from.ReadFile(path.Join(dir, e.Name()))
		if err != nil {
			panic(err)
		}
		f := File{Name: e.Name(), Path: Prefix + hashed(e.Name(), body), Type: contentType(e.Name()), Body: body, Gzip: squeeze(body)}
		files[f.Path] = f
	}
	return files
}

// Path is where a file is: app.css -> /asset/app.3f2a9c41.css. A name that was not built panics: the
// page would be without it.
func (f Files) Path(name string) string {
	for _, one := range f {
		if one.Name == name {
			return one.Path
		}
	}
	panic("asset: no file " + name + ": run make generate")
}

// Path is where a file of the pages is.
func Path(name string) string { return Pages.Path(name) }

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
