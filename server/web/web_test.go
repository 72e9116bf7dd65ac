package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"

	"weir/graph/gen"
	"weir/ops/fault"
	"weir/ops/fleet"
	"weir/ops/inventory"
	"weir/queries"
	"weir/server/session"
	"weir/views/asset"
)

// site is a Web whose API and database are the test's.
type site struct {
	*httptest.Server
	*Web
	t     *testing.T
	log   *logs
	calls atomic.Int64 // of the API
}

// logs is read while it is written.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// noTables is a database that does not answer.
type noTables struct{ queries.DBTX }

var errAway = errors.New("connect: connection refused")

func (noTables) BeginTx(context.Context, pgx.TxOptions) (pgx.Tx, error) { return nil, errAway }

// requestTime is how long a request of these tests may take that is no stream.
const requestTime = time.Second

func newSite(t *testing.T, api http.HandlerFunc) *site {
	t.Helper()
	s := &site{t: t, log: &logs{}}
	log := slog.New(Logger(slog.NewJSONHandler(s.log, nil)))
	m, err := session.New(session.Deps{DB: noTables{}, Now: time.Now, NewID: func() string { return "" }, OnError: Errors{Log: log}.Answer})
	if err != nil {
		t.Fatal(err)
	}
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		if api != nil {
			api(w, r)
		}
	})
	inv := inventory.Default()
	s.Web, err = New(Deps{API: counted, Fleet: fleet.NewHub(fleet.First(inv)), Inventory: inv, Sessions: m, Ready: func() Readiness { return Readiness{Status: "ready"} },
		Public: &url.URL{Scheme: "https", Host: "weir.example.org"}, Origins: []string{"https://app.example.org"},
		Version: "test", Metrics: prometheus.NewRegistry(), Log: log, Monitor: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewUnstartedServer(s.Web.Handler())
	s.Config.ReadTimeout, s.Config.WriteTimeout = requestTime, requestTime
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// ask sends a request with headers, given as name, value, name, value.
func (s *site) ask(method, path, body string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(said)
}

// The mutations are those of the schema: none that is added later can be forgotten.
func TestNoMutationThatAnotherSitesPageSentReachesTheAPI(t *testing.T) {
	s := newSite(t, nil)
	mutations := gen.NewExecutableSchema(gen.Config{}).Schema().Mutation.Fields
	if len(mutations) < 20 {
		t.Fatalf("the schema has %d mutations only", len(mutations))
	}
	for _, f := range mutations {
		body := `{"query":"mutation { ` + f.Name + ` { __typename } }"}`
		for _, forged := range [][]string{
			{"Origin", "https://evil.example"},
			{"Origin", "null"},
			{"Origin", "http://weir.example.org"}, // the same name without TLS
			{"Sec-Fetch-Site", "cross-site", "Origin", s.URL},
			{"Sec-Fetch-Site", "same-site", "Origin", "https://sibling.example.org"},
		} {
			if resp, said := s.ask("POST", "/graphql", body, append(forged, "Content-Type", "application/json")...); resp.StatusCode != http.StatusForbidden || !strings.Contains(said, `"code":"forbidden"`) {
				t.Errorf("%s from %v: %d %s", f.Name, forged, resp.StatusCode, said)
			}
		}
	}
	if n := s.calls.Load(); n != 0 {
		t.Errorf("the API was reached %d times", n)
	}
}

func TestWhatOurOwnPagesAndProgramsSendReachesTheAPI(t *testing.T) {
	s := newSite(t, nil)
	for _, headers := range [][]string{
		nil, // curl
		{"Origin", s.URL},
		{"Sec-Fetch-Site", "same-origin", "Origin", s.URL},
		{"Origin", "https://weir.example.org"}, // behind a reverse proxy that changes the host's name
		{"Origin", "https://app.example.org", "Sec-Fetch-Site", "cross-site"},
	} {
		if resp, said := s.ask("POST", "/graphql", "{}", headers...); resp.StatusCode != http.StatusOK {
			t.Errorf("%v: %d %s", headers, resp.StatusCode, said)
		}
	}
}

func TestOnlyNamedOriginsMayUseTheAPIFromABrowser(t *testing.T) {
	s := newSite(t, nil)
	resp, _ := s.ask("OPTIONS", "/graphql", "", "Origin", "https://app.example.org", "Access-Control-Request-Method", "POST")
	if h := resp.Header; resp.StatusCode != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != "https://app.example.org" ||
		!strings.Contains(h.Get("Access-Control-Allow-Headers"), "authorization") {
		t.Errorf("the named one: %d %v", resp.StatusCode, h)
	}
	for _, c := range []struct{ method, path, origin string }{
		{"OPTIONS", "/graphql", "https://evil.example"},
		{"GET", "/graphql", "https://evil.example"},
		{"GET", "/graphql", "https://app.example.org.evil.example"},
		{"GET", "/healthz", "https://app.example.org"}, // named, but not for this
	} {
		resp, _ := s.ask(c.method, c.path, "", "Origin", c.origin)
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s %s from %s: allowed %q", c.method, c.path, c.origin, got)
		}
		if c.path == "/graphql" && resp.Header.Get("Vary") != "Origin" {
			t.Errorf("%s from %s: a cache may mix up the answers", c.path, c.origin)
		}
	}
}

func TestOnlyTheScriptsThatAPageNamesItselfMayRun(t *testing.T) {
	s := newSite(t, nil)
	nonce := regexp.MustCompile(`'nonce-([0-9A-Z]{26})'`)
	seen := map[string]bool{}
	for range 3 {
		resp, body := s.ask("GET", "/sign-in", "")
		policy := resp.Header.Get("Content-Security-Policy")
		m := nonce.FindStringSubmatch(policy)
		if m == nil || seen[m[1]] {
			t.Fatalf("the policy is %s, seen %v", policy, seen)
		}
		seen[m[1]] = true
		if !strings.Contains(policy, "require-trusted-types-for 'script'; trusted-types htmx") {
			t.Errorf("text may become HTML: %s", policy)
		}
		if scripts, vouched := strings.Count(body, "<script "), strings.Count(body, `nonce="`+m[1]+`"`); scripts == 0 || scripts != vouched {
			t.Errorf("%d scripts, %d with the nonce of the policy", scripts, vouched)
		}
	}
}

func TestEveryAnswerForbidsWhatIsInlineAndFrames(t *testing.T) {
	s := newSite(t, nil)
	for _, path := range []string{"/healthz", "/graphql", "/graphql/explorer", "/no/such/page", explorerFiles.Path("explorer.js")} {
		resp, _ := s.ask("GET", path, "")
		policy := resp.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'self'", "script-src 'nonce-", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy does not have %s", path, want)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, "data:") {
			t.Errorf("%s: the policy is %s", path, policy)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Strict-Transport-Security": "max-age=31536000"} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if len(resp.Header.Get(requestIDHeader)) != 16 {
			t.Errorf("%s: no id", path)
		}
	}
}

func TestAPanicIsAnAnswerWithAnIDThatTheLogHasToo(t *testing.T) {
	s := newSite(t, func(http.ResponseWriter, *http.Request) { panic("hunter2") })
	resp, said := s.ask("POST", "/graphql", "{}")
	id := resp.Header.Get(requestIDHeader)
	if resp.StatusCode != http.StatusInternalServerError || !strings.Contains(said, id) || strings.Contains(said, "hunter2") {
		t.Errorf("%d %s", resp.StatusCode, said)
	}
	if log := s.log.String(); !strings.Contains(log, `panic: hunter2`) || !strings.Contains(log, `"request":"`+id+`"`) || !strings.Contains(log, `"status":500`) {
		t.Errorf("the log has %s", log)
	}
}

func TestAPanicInTheMiddleOfAnAnswerLeavesItVisiblyBroken(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		panic("hunter2")
	})
	resp, err := s.Client().Get(s.URL + "/graphql")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if said, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("it came whole: %q", said)
	}
}

func TestTheLogKeepsNoSecretOfAnAddress(t *testing.T) {
	s := newSite(t, nil)
	s.ask("GET", "/invitation/hunter2", "")
	s.ask("GET", "/graphql?query=hunter2", "")
	s.ask("POST", "/graphql", "hunter2", "Authorization", "Bearer hunter2", "Cookie", "other=hunter2")
	if log := s.log.String(); strings.Contains(log, "hunter2") || strings.Count(log, `"msg":"request"`) != 3 {
		t.Errorf("the log has %s", log)
	}
}

func TestEveryCodeHasAStatusAndAShape(t *testing.T) {
	e := Errors{Log: slog.New(slog.DiscardHandler)}
	for _, code := range fault.Codes {
		status, ok := statuses[code]
		if !ok || status < 400 {
			t.Errorf("%s: status %d", code, status)
		}
		for path, at := range map[string]string{"/api/x": "error", "/graphql": "errors"} {
			out := httptest.NewRecorder()
			e.Answer(out, httptest.NewRequest("GET", path, nil), fault.Wrap(code, errors.New("hunter2"), "A sentence."))
			var body map[string]any
			if err := json.Unmarshal(out.Body.Bytes(), &body); err != nil || body[at] == nil || out.Code != status || strings.Contains(out.Body.String(), "hunter2") {
				t.Errorf("%s at %s: %d %s", code, path, out.Code, out.Body)
			}
		}
	}
}

func TestATokenThatIsUnknownIsRefusedAndNotTakenForNobody(t *testing.T) {
	s := newSite(t, nil)
	resp, said := s.ask("POST", "/graphql", "{}", "Authorization", "Bearer weir_x")
	if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") == "" || !strings.Contains(said, `"unauthenticated"`) || s.calls.Load() != 0 {
		t.Errorf("%d %s", resp.StatusCode, said)
	}
}

func TestAnAssetNeverChangesUnderItsName(t *testing.T) {
	s := newSite(t, nil)
	at := explorerFiles.Path("explorer.css")
	resp, said := s.ask("GET", at, "")
	if resp.StatusCode != http.StatusOK || len(said) < 1000 || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") ||
		!strings.HasPrefix(resp.Header.Get("Content-Type"), "text/css") {
		t.Errorf("%s: %d %v", at, resp.StatusCode, resp.Header)
	}
	for _, other := range []string{"/asset/explorer.css", "/asset/", "/asset/../web.go", strings.Replace(at, ".css", "x.css", 1)} {
		if resp, _ := s.ask("GET", other, ""); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", other, resp.StatusCode)
		}
	}
	if strings.Contains(said, "data:") || strings.Contains(said, "url(http") {
		t.Error("the style sheet loads what the policy refuses")
	}
}

func TestAssetsGoCompressedToThoseWhoTakeThat(t *testing.T) {
	s := newSite(t, nil)
	for _, at := range []string{asset.Path("app.js"), explorerFiles.Path("explorer.js")} {
		plain, whole := s.ask("GET", at, "", "Accept-Encoding", "identity")
		packed, said := s.ask("GET", at, "", "Accept-Encoding", "gzip")
		if plain.Header.Get("Content-Encoding") != "" || packed.Header.Get("Content-Encoding") != "gzip" || len(said) > len(whole)/2 || packed.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: %d bytes, %d compressed, %v", at, len(whole), len(said), packed.Header)
		}
		r, err := gzip.NewReader(strings.NewReader(said))
		if err != nil {
			t.Fatal(err)
		}
		if again, err := io.ReadAll(r); err != nil || string(again) != whole {
			t.Errorf("%s: unpacked it is something else: %v", at, err)
		}
	}
}

func TestTheExplorerIsForPeopleWhoAreSignedIn(t *testing.T) {
	s := newSite(t, nil)
	resp, said := s.ask("GET", "/graphql/explorer", "")
	if at := resp.Request.URL; at.Path != "/sign-in" || at.Query().Get("next") != "/graphql/explorer" || strings.Contains(said, "explorer.js") {
		t.Errorf("nobody gets %s", at)
	}
}

// tells are streams that say one word and then wait for their end.
func tells(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	io.WriteString(w, "data: hello\n\n")
	http.NewResponseController(w).Flush()
	<-r.Context().Done()
	io.WriteString(w, "event: complete\n\n")
}

func TestStreamsEndWhenTheServerStopsAndLaterOnesAtOnce(t *testing.T) {
	s := newSite(t, tells)
	limited, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(limited, "POST", s.URL+"/graphql", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	s.EndStreams()
	if said, err := io.ReadAll(resp.Body); err != nil || !strings.HasSuffix(string(said), "event: complete\n\n") {
		t.Errorf("it ended with %q, %v", said, err)
	}
	if _, said := s.ask("POST", "/graphql", "", "Accept", "text/event-stream"); !strings.HasSuffix(said, "event: complete\n\n") {
		t.Errorf("a later one: %q", said)
	}
	if err := s.Wait(limited); err != nil {
		t.Error(err)
	}
}

func TestAStreamOutlivesTheTimeOfARequest(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		late := time.NewTimer(requestTime * 3 / 2)
		defer late.Stop()
		select {
		case <-late.C:
			io.WriteString(w, "data: late\n\n")
		case <-r.Context().Done():
		}
	})
	if _, said := s.ask("POST", "/graphql", `{"query":"subscription"}`, "Accept", "text/event-stream"); said != "data: late\n\n" {
		t.Errorf("it told %q", said)
	}
}

func TestAStreamThatDoesNotEndIsNotWaitedForForEver(t *testing.T) {
	hold := make(chan struct{})
	s := newSite(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "data: hello\n\n")
		http.NewResponseController(w).Flush()
		<-hold
	})
	defer close(hold)
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/graphql", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Wait(ctx); err == nil {
		t.Error("nothing is said of it")
	}
}

func TestTheStoryIsOnlyInProgramsThatWereBuiltByHand(t *testing.T) {
	s := newSite(t, nil)
	byHand := s.Web.Deps
	byHand.Version, byHand.Metrics = development, prometheus.NewRegistry()
	drawn, err := New(byHand)
	if err != nil {
		t.Fatal(err)
	}
	for w, want := range map[*Web]int{s.Web: http.StatusNotFound, drawn: http.StatusSeeOther} { // to the sign-in
		r := httptest.NewRecorder()
		w.Handler().ServeHTTP(r, httptest.NewRequest("GET", "/story", nil))
		if r.Code != want {
			t.Errorf("version %s: %d, want %d", w.Version, r.Code, want)
		}
	}
}

func TestWhoLeavesBeforeThePageIsDrawnHarmsNobody(t *testing.T) {
	s := newSite(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, path := range []string{"/sign-in", "/no/such/page", "/"} {
		w := httptest.NewRecorder()
		s.Web.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
		if w.Code != statusClientLeft {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if strings.Contains(s.log.String(), `"ERROR"`) {
		t.Errorf("it counts as our mistake:\n%s", s.log)
	}
}

// pinnedRow is an administrator's token that is pinned to one field.
type pinnedRow struct{}

func (pinnedRow) Scan(to ...any) error {
	for i, v := range []any{int64(9), nil, "graphs", nil, nil, "administrator", []string{"fleet"}} {
		switch p := to[i].(type) {
		case *int64:
			*p = v.(int64)
		case *string:
			if v != nil {
				*p = v.(string)
			}
		case *[]string:
			*p = v.([]string)
		}
	}
	*(to[9].(*time.Time)) = time.Now().Add(time.Hour)
	return nil
}

type pinnedTables struct{ noTables }

func (pinnedTables) QueryRow(context.Context, string, ...any) pgx.Row { return pinnedRow{} }
func (pinnedTables) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) {
	return pgconn.CommandTag{}, nil
}

func TestATokenThatIsPinnedToFieldsIsForNoPage(t *testing.T) {
	s := newSite(t, nil)
	var err error
	s.Web.Metrics = prometheus.NewRegistry()
	s.Web.Deps.Sessions, err = session.New(session.Deps{DB: pinnedTables{}, Now: time.Now, NewID: newID, OnError: s.Web.Answer})
	if err != nil {
		t.Fatal(err)
	}
	w, err := New(s.Web.Deps)
	if err != nil {
		t.Fatal(err)
	}
	site := httptest.NewServer(w.Handler())
	defer site.Close()
	bearer := "Bearer weir_" + strings.Repeat("a", 52)
	for _, c := range []struct{ method, path string }{{"GET", "/"}, {"GET", "/events?page=%2F"}, {"GET", "/history/csv"}, {"GET", "/admin/audit/csv"}, {"GET", "/graphql/explorer"},
		{"POST", "/account/tokens/new"}, {"POST", "/poolers/pgb1/drain"}, {"POST", "/admin/invite"}} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, site.URL+c.path, strings.NewReader("name=mine&role=administrator&for=P366D&reason=because"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", bearer)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "This token is for fleet") {
			t.Errorf("%s %s: %d %.300s", c.method, c.path, answer.StatusCode, body)
		}
	}
	r, _ := http.NewRequestWithContext(t.Context(), "POST", site.URL+"/graphql", strings.NewReader("{}"))
	r.Header.Set("Authorization", bearer)
	if answer, err := http.DefaultTransport.RoundTrip(r); err != nil || answer.StatusCode != http.StatusOK || s.calls.Load() != 1 {
		t.Errorf("/graphql: %v, %v, %d calls", answer, err, s.calls.Load())
	}
}
