package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"weir/ops/fault"
)

// GraphQL over HTTP (https://graphql.github.io/graphql-over-http/draft): what gqlgen's own transports
// leave out. A request that is none gets 4xx. A document that is wrong gets 400 as
// application/graphql-response+json and 200 as application/json, and no data beside its errors.

const (
	plainJSON    = "application/json"
	responseJSON = "application/graphql-response+json"
	eventStream  = "text/event-stream"
)

// streamKey marks the context of a request whose answer has begun, or is none: it can set no cookie.
type streamKey struct{}

func streaming(ctx context.Context) bool { return ctx.Value(streamKey{}) != nil }

// lastWord is why a stream of server-sent events ended.
type lastWord struct {
	mu  sync.Mutex
	err *gqlerror.Error
}

type lastWordKey struct{}

func (l *lastWord) set(err *gqlerror.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *lastWord) get() *gqlerror.Error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// badRequest is a request that is none.
type badRequest struct {
	status int
	text   string
}

func (b badRequest) Error() string { return b.text }

func bad(status int, format string, args ...any) error {
	return badRequest{status, fmt.Sprintf(format, args...)}
}

// plain answers GET and POST at once, and POSTs that accept text/event-stream as a stream.
type plain struct{ *Graph }

// Supports implements graphql.Transport.
func (plain) Supports(r *http.Request) bool { return r.Header.Get("Upgrade") == "" }

// Do implements graphql.Transport.
func (p plain) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	as, err := answerAs(r.Header.Values("Accept"))
	var params *graphql.RawParams
	if err == nil {
		params, err = paramsOf(w, r)
	}
	if err != nil {
		reject(w, as, err)
		return
	}
	params.Headers = r.Header
	params.ReadTime.Start, params.ReadTime.End = graphql.Now(), graphql.Now()
	if as == eventStream && r.Method == http.MethodPost {
		p.stream(w, r, exec, params)
		return
	}
	if as == eventStream {
		reject(w, plainJSON, bad(http.StatusMethodNotAllowed, "Streams are asked for by POST."))
		return
	}
	op, wrong := exec.CreateOperationContext(r.Context(), params)
	ctx := graphql.WithOperationContext(r.Context(), op)
	if wrong != nil {
		writeRequestError(w, as, exec.DispatchError(ctx, wrong))
		return
	}
	switch kind := op.Operation.Operation; {
	case kind == ast.Subscription:
		writeRequestError(w, as, exec.DispatchError(ctx, gqlerror.List{refused(fault.Invalid, "Subscribe over a WebSocket, or by a POST that accepts text/event-stream.")}))
		return
	case kind != ast.Query && r.Method == http.MethodGet:
		w.Header().Set("Allow", http.MethodPost)
		reject(w, as, bad(http.StatusMethodNotAllowed, "A GET changes nothing: send this as a POST."))
		return
	}
	answer, ctx := exec.DispatchOperation(ctx, op)
	write(w, as, http.StatusOK, answer(ctx))
}

// stream sends server-sent events as graphql-sse has them ("distinct connections").
func (p plain) stream(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor, params *graphql.RawParams) {
	out := http.NewResponseController(w)
	last := &lastWord{}
	ctx := context.WithValue(context.WithValue(r.Context(), streamKey{}, true), lastWordKey{}, last)
	w.Header().Set("Content-Type", eventStream)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	io.WriteString(w, ":\n\n") // the client knows that it is heard
	out.Flush()
	next := func(response *graphql.Response) bool {
		_, err := fmt.Fprintf(w, "event: next\ndata: %s\n\n", encode(response))
		return err == nil && out.Flush() == nil
	}
	op, wrong := exec.CreateOperationContext(ctx, params)
	ctx = graphql.WithOperationContext(ctx, op)
	if wrong != nil {
		next(exec.DispatchError(ctx, wrong))
	} else {
		answer, ctx := exec.DispatchOperation(ctx, op)
		for response := answer(ctx); response != nil && next(response); response = answer(ctx) {
		}
	}
	if err := last.get(); err != nil {
		next(&graphql.Response{Errors: gqlerror.List{err}})
	}
	io.WriteString(w, "event: complete\ndata:\n\n")
	out.Flush()
}

// answerAs is the media type that the client prefers. Clients that say nothing are old: they get
// application/json.
func answerAs(accept []string) (string, error) {
	best, quality := "", 0.0
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil {
			continue
		}
		q, err := strconv.ParseFloat(params["q"], 64)
		if err != nil {
			q = 1
		}
		switch kind {
		case "*/*", "application/*":
			kind = plainJSON
		case plainJSON, responseJSON, eventStream:
		default:
			continue
		}
		if q > quality {
			best, quality = kind, q
		}
	}
	if best == "" && strings.TrimSpace(strings.Join(accept, "")) != "" {
		return plainJSON, bad(http.StatusNotAcceptable, "Accept %s, %s or %s.", responseJSON, plainJSON, eventStream)
	}
	if best == "" {
		return plainJSON, nil
	}
	return best, nil
}

// request is the body of a POST, or the query of a URL.
type request struct {
	Query         *string        `json:"query"`
	OperationName *string        `json:"operationName"`
	Variables     map[string]any `json:"variables"`
	Extensions    map[string]any `json:"extensions"`
}

func paramsOf(w http.ResponseWriter, r *http.Request) (*graphql.RawParams, error) {
	read := fromURL
	switch r.Method {
	case http.MethodPost:
		read = func(r *http.Request) (request, error) { return fromBody(w, r) }
	case http.MethodGet:
	default:
		w.Header().Set("Allow", "GET, POST")
		return nil, bad(http.StatusMethodNotAllowed, "Send a GET or a POST.")
	}
	q, err := read(r)
	if err != nil {
		return nil, err
	}
	if q.Query == nil || strings.TrimSpace(*q.Query) == "" {
		return nil, bad(http.StatusBadRequest, "The request has no query.")
	}
	return &graphql.RawParams{Query: *q.Query, OperationName: or(q.OperationName), Variables: q.Variables, Extensions: q.Extensions}, nil
}

func fromBody(w http.ResponseWriter, r *http.Request) (q request, err error) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != plainJSON || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return q, bad(http.StatusUnsupportedMediaType, "Send application/json in UTF-8.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return q, bad(http.StatusRequestEntityTooLarge, "A request has at most %d KiB.", MaxBody>>10)
	case err != nil:
		return q, bad(http.StatusBadRequest, "The request could not be read to its end.")
	case !utf8.Valid(body):
		return q, bad(http.StatusBadRequest, "The request is not UTF-8.")
	}
	return q, decode(body, &q)
}

// decode reads one JSON value. Numbers keep their digits.
func decode(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	err := d.Decode(into)
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) && kind.Field != "" {
		return bad(http.StatusBadRequest, "The request's %.40s cannot be a JSON %s.", kind.Field, kind.Value)
	}
	if err != nil || d.More() {
		return bad(http.StatusBadRequest, "The request is not a JSON object with a query.")
	}
	return nil
}

func fromURL(r *http.Request) (q request, err error) {
	if len(r.URL.RawQuery) > MaxBody {
		return q, bad(http.StatusRequestURITooLong, "A request has at most %d KiB.", MaxBody>>10)
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return q, bad(http.StatusBadRequest, "The query of this URL cannot be read.")
	}
	for _, list := range values {
		for _, v := range list {
			if !utf8.ValidString(v) {
				return q, bad(http.StatusBadRequest, "The request is not UTF-8.")
			}
		}
	}
	query, name := values.Get("query"), values.Get("operationName")
	q.Query, q.OperationName = &query, &name
	for field, into := range map[string]*map[string]any{"variables": &q.Variables, "extensions": &q.Extensions} {
		if text := values.Get(field); text != "" && decode([]byte(text), into) != nil {
			return q, bad(http.StatusBadRequest, "The request's %s have to be a JSON object.", field)
		}
	}
	return q, nil
}

func reject(w http.ResponseWriter, as string, err error) {
	status := http.StatusBadRequest
	var b badRequest
	if errors.As(err, &b) {
		status = b.status
	}
	if as == eventStream {
		as = plainJSON
	}
	write(w, as, status, &graphql.Response{Errors: gqlerror.List{{Message: err.Error(), Extensions: map[string]any{"code": fault.Invalid}}}})
}

func writeRequestError(w http.ResponseWriter, as string, response *graphql.Response) {
	status := http.StatusOK
	if as == responseJSON {
		status = http.StatusBadRequest
	}
	write(w, as, status, response)
}

func write(w http.ResponseWriter, as string, status int, response *graphql.Response) {
	w.Header().Set("Content-Type", as+"; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Vary", "Accept")
	w.WriteHeader(status)
	w.Write(encode(response))
}

// encode leaves data out where nothing was executed; gqlgen's own encoding writes it as null. The data
// is JSON already: to have it checked and copied again would take longer than many answers do.
func encode(response *graphql.Response) []byte {
	if response == nil {
		return []byte(`{"data":null}`)
	}
	rest, err := json.Marshal(struct {
		Errors     gqlerror.List  `json:"errors,omitempty"`
		Extensions map[string]any `json:"extensions,omitempty"`
	}{response.Errors, response.Extensions})
	switch {
	case err != nil:
		return []byte(`{"errors":[{"message":"Something went wrong here.","extensions":{"code":"internal"}}]}`)
	case len(response.Data) == 0:
		return rest
	}
	out := make([]byte, 0, len(rest)+len(response.Data)+len(`"data":,`))
	out = append(append(out, `{"data":`...), response.Data...)
	if rest = rest[1:]; len(rest) > 1 { // more than its end
		out = append(out, ',')
	}
	return append(out, rest...)
}
