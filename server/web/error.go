package web

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

	"weir/ops/fault"
)

// statuses is the one table of what an error is over HTTP.
var statuses = map[fault.Code]int{
	fault.Invalid:         http.StatusBadRequest,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Forbidden:       http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.Refused:         http.StatusConflict,
	fault.RateLimited:     http.StatusTooManyRequests,
	fault.Unavailable:     http.StatusServiceUnavailable,
	fault.Timeout:         http.StatusGatewayTimeout,
	fault.Internal:        http.StatusInternalServerError,
}

var errNoPage = fault.Errorf(fault.NotFound, "There is no such page.")

// statusClientLeft is for the log alone, in the number that nginx made usual: nobody reads the answer.
const statusClientLeft = 499

// Errors answers requests that cannot be answered otherwise.
type Errors struct {
	Log *slog.Logger
	// Page draws what a person sees of an error; nil is a sentence.
	Page func(w http.ResponseWriter, r *http.Request, status int, f failure)
}

// failure is an error as JSON, as /api and the tools that read it have it.
type failure struct {
	Code    fault.Code `json:"code"`
	Message string     `json:"message"`
	Field   string     `json:"field,omitempty"`
	ID      string     `json:"id"` // of the request: the log has it too
}

// Answer tells an error: its code as a status, its sentence for people. What has no code is a mistake
// of ours: the log says what, under the request's id.
func (e Errors) Answer(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		w.WriteHeader(statusClientLeft)
		return
	}
	f := failure{Code: fault.CodeOf(err), Message: fault.MessageOf(err), Field: fault.FieldOf(err), ID: requestID(r.Context())}
	if f.Code == fault.Internal {
		e.Log.ErrorContext(r.Context(), "request failed", "error", err)
		f.Message = "Something went wrong here. The log says what, under " + f.ID + "."
	}
	if f.Code == fault.Unauthenticated {
		w.Header().Set("WWW-Authenticate", `Bearer realm="weir"`)
	}
	switch status := statuses[f.Code]; {
	case r.URL.Path == "/graphql":
		answerJSON(w, status, map[string]any{"errors": []any{map[string]any{"message": f.Message, "extensions": map[string]any{"code": f.Code, "id": f.ID}}}})
	case strings.HasPrefix(r.URL.Path, "/api/"):
		answerJSON(w, status, map[string]failure{"error": f})
	case e.Page != nil:
		e.Page(w, r, status, f)
	default:
		e.page(w, status, f)
	}
}

// page is what a person sees of it.
func (e Errors) page(w http.ResponseWriter, status int, f failure) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	w.Write([]byte(f.Message + "\n"))
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","message":"Something went wrong here."}}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}
