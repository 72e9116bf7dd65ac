package web

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"weir/views/asset"
)

const requestIDHeader = "X-Request-Id"

type requestIDKey struct{}

// requestID is that of the request ctx belongs to, "" of none.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// Logger adds the request's id to every record that is written while it is answered.
func Logger(h slog.Handler) slog.Handler { return identified{h} }

type identified struct{ slog.Handler }

func (i identified) Handle(ctx context.Context, r slog.Record) error {
	if id := requestID(ctx); id != "" {
		r.AddAttrs(slog.String("request", id))
	}
	return i.Handler.Handle(ctx, r)
}

func (i identified) WithAttrs(a []slog.Attr) slog.Handler { return identified{i.Handler.WithAttrs(a)} }
func (i identified) WithGroup(name string) slog.Handler   { return identified{i.Handler.WithGroup(name)} }

// logged gives a request its id, which the answer and the log have too, writes a line when it is
// answered, and makes an answer of a panic.
func (w *Web) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		began, id := time.Now(), rand.Text()[:16]
		r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
		rw.Header().Set(requestIDHeader, id)
		_, route := w.mux.Handler(r)
		out := &recorder{ResponseWriter: rw}
		leave := w.seen.enter(route)
		defer func() {
			w.caught(out, r, recover())
			took := time.Since(began)
			leave(r.Method, out.status, took)
			w.line(r, route, out, took)
		}()
		next.ServeHTTP(out, r)
	})
}

// caught answers a panic, unless the answer has begun.
func (w *Web) caught(out *recorder, r *http.Request, p any) {
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p) // net/http's own way to give a connection up
	}
	err := fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	if out.status != 0 {
		w.Deps.Log.ErrorContext(r.Context(), "request failed after its answer had begun", "error", err)
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
	w.Answer(out, r, err)
}

// line is one request in the log. Of the path it says what holds no secret: a one-time link's is one.
func (w *Web) line(r *http.Request, route string, out *recorder, took time.Duration) {
	path := r.URL.Path
	if route == "/" || strings.Contains(route, "{token") {
		path = ""
	}
	level := slog.LevelInfo
	if quiet[route] && out.status < 400 {
		level = slog.LevelDebug
	}
	w.Deps.Log.Log(r.Context(), level, "request", "method", r.Method, "route", route, "path", path, "status", out.status,
		"bytes", out.bytes, "took_ms", float64(took.Microseconds())/1000, "from", r.RemoteAddr)
}

// quiet are the routes that machines ask every few seconds.
var quiet = map[string]bool{"GET /healthz": true, "GET /readyz": true, "GET /metrics": true, "GET /api/health/db": true,
	"GET " + asset.Prefix: true}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (o *recorder) WriteHeader(status int) {
	if o.status == 0 && status >= 200 {
		o.status = status
	}
	o.ResponseWriter.WriteHeader(status)
}

func (o *recorder) Write(b []byte) (int, error) {
	if o.status == 0 {
		o.status = http.StatusOK
	}
	n, err := o.ResponseWriter.Write(b)
	o.bytes += int64(n)
	return n, err
}

// Hijack gives the connection to a WebSocket.
func (o *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	o.status = http.StatusSwitchingProtocols
	return http.NewResponseController(o.ResponseWriter).Hijack()
}

func (o *recorder) Unwrap() http.ResponseWriter { return o.ResponseWriter }
