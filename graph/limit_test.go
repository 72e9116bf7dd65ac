package graph_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"weir/graph"
)

// repeat writes a list of things that are told apart by their number.
func repeat(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// deep is a document of so many fields within each other.
func deep(n int) string {
	return `{ __type(name: "Query") ` + strings.Repeat("{ ofType ", n-2) + "{ name }" + strings.Repeat(" }", n-1)
}

func TestADocumentHasLimits(t *testing.T) {
	s := newServer(t, nil)
	for _, row := range []struct{ why, document, want string }{
		{"as many aliases as allowed", "{ " + repeat(graph.MaxAliases, "a%d: __typename ") + "}", ""},
		{"one alias more", "{ " + repeat(graph.MaxAliases+1, "a%d: __typename ") + "}", "aliases"},
		{"as deep as allowed", deep(graph.MaxDepth), ""},
		{"deeper", deep(graph.MaxDepth + 1), "deep"},
		{"too many tokens", "{ " + strings.Repeat("__typename ", graph.MaxTokens) + "}", "limit"},
		{"too dear", `{ incidents(first: 100) { edges { node { ` + strings.Repeat("title ", 50) + `events { seq at kind text evidence fromState toState } notifications { channel reason state attempts createdAt sentAt error } } } } samples(metric: VIP_SERVING, from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z", points: 1000) { points { at min avg max last } } }`, "costs"},
		{"a million points", `{ samples(metric: VIP_SERVING, from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z", points: 1000000) { subject } }`, "points"},
	} {
		a := s.ask(row.document)
		have := ""
		if len(a.Errors) > 0 {
			have = a.Errors[0].Message
		}
		if (row.want == "") != (have == "") || !strings.Contains(have, row.want) || a.code() == "internal" {
			t.Errorf("%s: %.300s", row.why, a.raw)
		}
	}
}

// Each fragment spreads the next one twice: thirty of them stand for a thousand million fields.
func TestFragmentsThatMultiplyAreRefusedAtOnce(t *testing.T) {
	s := newServer(t, nil)
	document := "{ ...f0 } " + repeat(30, "fragment f%d on Query { ...g%[1]d ...g%[1]d } ")
	for i := range 30 {
		document = strings.ReplaceAll(document, fmt.Sprintf("...g%d ", i), fmt.Sprintf("...f%d ", i+1))
	}
	document += "fragment f30 on Query { __typename }"
	began := time.Now()
	a := s.ask(document)
	if a.code() != "invalid" || time.Since(began) > 3*time.Second {
		t.Errorf("after %s: %.300s", time.Since(began), a.raw)
	}
}

func TestTheAnswerSaysWhatItCost(t *testing.T) {
	s := newServer(t, nil)
	for document, cost := range map[string]float64{`{ __typename }`: 1, `{ fleet { version poolers { name } } }`: 5} {
		a := s.ask(document)
		told, _ := a.Extensions["cost"].(map[string]any)
		if told["is"] != cost || told["limit"] != float64(graph.MaxCost) {
			t.Errorf("%s: %v", document, a.Extensions)
		}
	}
}

func TestARequestThatIsNoneGetsASentence(t *testing.T) {
	s := newServer(t, nil)
	for _, row := range []struct {
		why, method, kind, body string
		status                  int
	}{
		{"a body of more than 256 KiB", "POST", "application/json", `{"query": "{ __typename }", "variables": {"x": "` + strings.Repeat("x", 1<<20) + `"}}`, 413},
		{"files", "POST", "multipart/form-data; boundary=x", "--x--", 415},
		{"a form", "POST", "application/x-www-form-urlencoded", "query={__typename}", 415},
		{"text", "POST", "text/plain", `{"query": "{ __typename }"}`, 415},
		{"another alphabet", "POST", "application/json; charset=latin1", `{"query": "{ __typename }"}`, 415},
		{"no UTF-8", "POST", "application/json", "{\"query\": \"{ __typename }\xff\"}", 400},
		{"no JSON", "POST", "application/json", `{"query`, 400},
		{"two values", "POST", "application/json", `{"query": "{ __typename }"} {}`, 400},
		{"a list", "POST", "application/json", `[{"query": "{ __typename }"}]`, 400},
		{"null", "POST", "application/json", `null`, 400},
		{"no query", "POST", "application/json", `{"query": " "}`, 400},
		{"another method", "PUT", "application/json", `{"query": "{ __typename }"}`, 405},
	} {
		r := must(http.NewRequestWithContext(t.Context(), row.method, s.URL, strings.NewReader(row.body)))(t)
		r.Header.Set("Content-Type", row.kind)
		if a := s.do(r); a.Status != row.status || len(a.Errors) == 0 || a.Errors[0].Message == "" {
			t.Errorf("%s: %d %s", row.why, a.Status, a.raw)
		}
	}
}

func TestAGETChangesNothing(t *testing.T) {
	s := newServer(t, nil)
	s.as(&operator)
	get := func(document string) answer {
		return s.do(must(http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"?query="+url.QueryEscape(document), nil))(t))
	}
	if a := get(`{ fleet { version } }`); a.Status != 200 || a.at("fleet", "version") != 0.0 {
		t.Errorf("a query: %d %s", a.Status, a.raw)
	}
	if a := get(`mutation { ready(pooler: "pgb1") { userErrors { message } } }`); a.Status != 405 || s.acts.all() != "" {
		t.Errorf("a mutation: %d %s, done: %s", a.Status, a.raw, s.acts.all())
	}
	if a := get(`subscription { fleetChanged { version } }`); len(a.Errors) != 1 || a.Data != nil {
		t.Errorf("a subscription: %d %s", a.Status, a.raw)
	}
}

func TestAnOfferOfAnotherProtocolIsIgnored(t *testing.T) {
	s := newServer(t, nil)
	r := must(http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"?query={__typename}", nil))(t)
	r.Header.Set("Upgrade", "h2c")
	r.Header.Set("Connection", "Upgrade")
	if a := s.do(r); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.raw)
	}
}

func TestTheClientChoosesTheMediaType(t *testing.T) {
	s := newServer(t, nil)
	for accept, want := range map[string]string{
		"": "application/json", "*/*": "application/json", "text/html, */*;q=0.1": "application/json",
		"application/graphql-response+json":                                        "application/graphql-response+json",
		"application/json;q=0.9, application/graphql-response+json":                "application/graphql-response+json",
		"application/graphql-response+json;q=0.5, application/json":                "application/json",
		"application/graphql-response+json; charset=utf-8, application/json;q=0.9": "application/graphql-response+json",
	} {
		r := must(http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"?query={__typename}", nil))(t)
		r.Header.Set("Accept", accept)
		if a := s.do(r); a.Type != want+"; charset=utf-8" || a.Status != 200 {
			t.Errorf("%q: %d %s", accept, a.Status, a.Type)
		}
	}
	r := must(http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"?query={__typename}", nil))(t)
	r.Header.Set("Accept", "text/html")
	if a := s.do(r); a.Status != 406 {
		t.Errorf("what we do not have: %d %s", a.Status, a.raw)
	}
}
