package session

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"weir/ops/fault"
	"weir/ops/runbook"
)

// Viewer is who asks.
type Viewer struct {
	runbook.Actor
	Email      string   // of a person, "" for a token
	Person     string   // their name, as they gave it; "" for a token
	Session    int64    // the session's number, 0 for a token
	Operations []string // those a token is pinned to; nil: all that the role allows
}

// May says whether the role is enough.
func (v Viewer) May(needed runbook.Role) bool { return may(v.Role, needed) }

// MayRun says whether a token may be used for this named operation.
func (v Viewer) MayRun(operation string) bool {
	return v.Operations == nil || slices.Contains(v.Operations, operation)
}

var roles = []runbook.Role{runbook.Viewer, runbook.Operator, runbook.Administrator}

// may: a role that nobody knows may nothing.
func may(has, needed runbook.Role) bool {
	h, n := slices.Index(roles, has), slices.Index(roles, needed)
	return n >= 0 && h >= n
}

// lesser is what remains when one of them is not enough.
func lesser(a, b runbook.Role) runbook.Role {
	if may(a, b) {
		return b
	}
	return a
}

// ViewerOf is who asks, or Unauthenticated. It follows a sign-in or sign-out within the request.
func ViewerOf(ctx context.Context) (Viewer, error) {
	if v := visitOf(ctx); v != nil {
		if who := v.viewer.Load(); who != nil {
			return *who, nil
		}
	}
	return Viewer{}, fault.Errorf(fault.Unauthenticated, "Sign in first.")
}

// visit is one request.
type visit struct {
	w         http.ResponseWriter // until the answer begins, for the device's cookie
	address   netip.Addr
	userAgent string
	device    string // the cookie of a browser that signed in before
	session   string // hash of the session that is signed in
	token     string // hash of the API token
	viewer    atomic.Pointer[Viewer]
}

type visitKey struct{}

func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// Handler finds out who asks, by cookie or by "Authorization: Bearer weir_...", before next runs.
// Without either next runs for nobody; a token that is unknown or over ends in OnError. Protection
// against forged requests is not its business: http.CrossOriginProtection goes before it.
func (m *Manager) Handler(next http.Handler) http.Handler {
	browser := m.scs.LoadAndSave(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{w: w, address: m.Address(r), userAgent: cut(r.UserAgent(), 300)}
		if c, err := r.Cookie(m.cookieName("weir-device")); err == nil {
			v.device = c.Value
		}
		r = r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
		header := r.Header.Get("Authorization")
		if header == "" {
			browser.ServeHTTP(w, r)
			return
		}
		if err := m.bearer(r.Context(), v, header); err != nil {
			m.OnError(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Check says whether who asked when this request began may still ask, and sees to it that ViewerOf
// answers with what they may do now: for streams, every second or so, and before each operation of a
// WebSocket. It does not count as use: a stream nobody looks at does not keep a session from its timeout.
func (m *Manager) Check(ctx context.Context) error {
	v := visitOf(ctx)
	if _, err := ViewerOf(ctx); err != nil {
		return err
	}
	was := v.viewer.Load()
	unseen := context.WithValue(ctx, visitKey{}, (*visit)(nil))
	is, err := m.current(unseen, v)
	switch {
	case err != nil:
		return explain(err)
	case is == nil:
		return fault.Errorf(fault.Unauthenticated, "Your session is over. Sign in again.")
	}
	v.viewer.CompareAndSwap(was, is) // not when they signed out meanwhile
	return nil
}

// current is who a visit is of, as is known now; nil when it is over.
func (m *Manager) current(ctx context.Context, v *visit) (*Viewer, error) {
	if v.token != "" {
		g, found, err := m.tokens.get(ctx, v.token)
		if err != nil || !found {
			return nil, err
		}
		return g.viewer(v.address), nil
	}
	r, found, err := m.findSession(ctx, v.session)
	if err != nil || !found || r.state.User == 0 {
		return nil, err
	}
	return r.viewer(v.address), nil
}

// browser is the visit of a request that may have a session; one with a token has none.
func browser(ctx context.Context) (*visit, error) {
	v := visitOf(ctx)
	if v == nil || v.token != "" {
		return nil, fault.Errorf(fault.Refused, "This is for people in a browser, not for tokens.")
	}
	return v, nil
}

func remoteAddress(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddrPort(r.RemoteAddr)
	return a.Addr().Unmap().WithZone("")
}

// address as the tables take it: null when there is none.
func address(a netip.Addr) *netip.Addr {
	if !a.IsValid() {
		return nil
	}
	return &a
}

// cut makes text from outside fit to be stored.
func cut(s string, most int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?")
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
