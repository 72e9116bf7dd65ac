package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// stallLimit is how long a listener may take to read what was written: one who stands still holds a
// connection and memory.
const stallLimit = 10 * time.Second

// isStream reports whether a request asks for what does not end by itself. The server's own time
// limits are not for those.
func isStream(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// streams are the requests that live for as long as somebody listens.
type streams struct {
	over chan struct{}
	once sync.Once
	open sync.WaitGroup
}

func newStreams() *streams { return &streams{over: make(chan struct{})} }

func (s *streams) end() { s.once.Do(func() { close(s.over) }) }

func (s *streams) wait(ctx context.Context) error {
	all := make(chan struct{})
	go func() { s.open.Wait(); close(all) }()
	select {
	case <-all:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for streams: %w", ctx.Err())
	}
}

// carry lets streams live as long as the server serves, and no longer. What is no stream is left to
// end by itself.
func (s *streams) carry(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isStream(r) {
			next.ServeHTTP(w, r)
			return
		}
		s.open.Add(1)
		defer s.open.Done()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		go func() {
			select {
			case <-s.over:
				cancel()
			case <-ctx.Done():
			}
		}()
		next.ServeHTTP(patient{w, http.NewResponseController(w)}, r.WithContext(ctx))
	})
}

// patient gives every write of a stream its own time, in place of the whole answer's.
type patient struct {
	http.ResponseWriter
	out *http.ResponseController
}

func (p patient) Write(b []byte) (int, error) {
	_ = p.out.SetWriteDeadline(time.Now().Add(stallLimit))
	return p.ResponseWriter.Write(b)
}

func (p patient) FlushError() error {
	_ = p.out.SetWriteDeadline(time.Now().Add(stallLimit))
	return p.out.Flush()
}

func (p patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }
