package web

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strconv"

	"github.com/a-h/templ"

	"weir/ops/fault"
)

// policy lets a page load what this server sends, nothing inline, and of scripts only those that it names
// itself: the nonce is new with every answer.
func policy(nonce string) string {
	return "default-src 'self'; script-src 'nonce-" + nonce + "'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; " +
		"object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
}

// trustedTypes lets no script but htmx, whose elements the nonce vouches for, make HTML of text.
const trustedTypes = "; require-trusted-types-for 'script'; trusted-types htmx"

// maxBody is of any request; the API has a smaller limit of its own.
const maxBody = 1 << 20

// guarded sets what a browser is to hold itself to, and what nobody may keep.
func (w *Web) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h, nonce := rw.Header(), rand.Text()
		h.Set("Content-Security-Policy", policy(nonce)+trustedTypes)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		// Not no-referrer: forms would be sent with "Origin: null", which is nobody's. One-time links stay here.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store") // assets say otherwise
		if w.Public.Scheme == "https" {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		r.Body = http.MaxBytesReader(rw, r.Body, maxBody)
		next.ServeHTTP(rw, r.WithContext(templ.WithNonce(r.Context(), nonce)))
	})
}

// crossOrigin refuses what the page of another site sent and what would change something.
func (w *Web) crossOrigin(next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	for _, origin := range w.trusted() {
		if err := p.AddTrustedOrigin(origin); err != nil {
			w.Deps.Log.Error("an origin cannot be trusted", "origin", origin, "error", err)
		}
	}
	p.SetDenyHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.Answer(rw, r, fault.Errorf(fault.Forbidden, "The page of another site sent this."))
	}))
	return p.Handler(next)
}

// trusted are the origins that may. The server's own name is one of them where it is known by another
// behind a reverse proxy.
func (w *Web) trusted() []string {
	return append([]string{w.Public.Scheme + "://" + w.Public.Host}, w.Origins...)
}

// preflightFor is how long a browser may remember that it was let in.
const preflightFor = 600 // s

// cors lets the pages of other origins use the API: of those that were named, and no others.
func (w *Web) cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		origin, h := r.Header.Get("Origin"), rw.Header()
		h.Add("Vary", "Origin")
		allowed := slices.Contains(w.Origins, origin)
		if allowed {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Credentials", "true")
			h.Set("Access-Control-Expose-Headers", requestIDHeader)
			h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		}
		if r.Method != http.MethodOptions {
			next.ServeHTTP(rw, r)
			return
		}
		if !allowed {
			w.Answer(rw, r, fault.Errorf(fault.Forbidden, "Pages of that origin may not use the API: CORS_ORIGIN names those that may."))
			return
		}
		h.Set("Access-Control-Allow-Methods", "GET, POST")
		h.Set("Access-Control-Allow-Headers", "authorization, content-type")
		h.Set("Access-Control-Max-Age", strconv.Itoa(preflightFor))
		rw.WriteHeader(http.StatusNoContent)
	})
}
