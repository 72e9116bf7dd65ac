package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"weir/ops/postgres/postgrestest"
)

func TestTheFirstAdministratorComesInByTheLinkThatTheMachinePrints(t *testing.T) {
	s := newPlace(t).start()
	s.ready()
	s.signUp()
	if said := s.ask(`{ viewer { name role } audit(first: 10) { edges { node { verb actorName } } } }`, nil); !strings.Contains(said, `"sign-up"`) {
		t.Error(said)
	}
	resp := must(s.http.Get(s.url + "/graphql/explorer"))(t)
	defer resp.Body.Close()
	page := string(must(io.ReadAll(resp.Body))(t))
	if resp.StatusCode != http.StatusOK || !strings.Contains(page, `src="/asset/explorer.`) || strings.Contains(page, "style=") {
		t.Errorf("the explorer: %d %s", resp.StatusCode, page)
	}
	if code, said, why := s.command("invite", "--if-first"); code != exitOK || said != "" {
		t.Errorf("once there is an administrator: %d %q %q", code, said, why)
	}
	if code, _, why := s.command("invite"); code != exitFailed || !strings.Contains(why, "already") {
		t.Errorf("asked outright: %d %q", code, why)
	}
	if code, link, why := s.command("invite", "--role", "operator", "bob@example.org"); code != exitOK || !strings.HasPrefix(link, "http://weir.example.org/invitation/") {
		t.Errorf("for somebody else: %d %q %q", code, link, why)
	}
}

func TestATokenThatTheMachineMakesWorksUntilItIsRevoked(t *testing.T) {
	s := newPlace(t).start()
	s.ready()
	code, token, why := s.command("token", "--role", "administrator", "--expires", "1h")
	if code != exitOK || !strings.HasPrefix(token, "weir_") {
		t.Fatalf("%d %s", code, why)
	}
	bearer := []string{"Authorization", "Bearer " + token}
	said := s.ask(`{ viewer { kind role } tokens(first: 1) { edges { node { id } } } }`, nil, bearer...)
	if !strings.Contains(said, `"kind":"TOKEN"`) {
		t.Fatal(said)
	}
	var answer struct {
		Data struct {
			Tokens struct {
				Edges []struct{ Node struct{ ID string } }
			}
		}
	}
	if err := json.Unmarshal([]byte(said), &answer); err != nil {
		t.Fatal(err)
	}
	s.ask(`mutation($t: ID!) { revokeToken(token: $t, reason: "test") { userErrors { message } } }`, map[string]any{"t": answer.Data.Tokens.Edges[0].Node.ID}, bearer...)
	if said := s.ask(`{ viewer { kind } }`, nil, bearer...); !strings.Contains(said, "unauthenticated") {
		t.Error(said)
	}
	if log := s.log.String(); strings.Contains(log, token) || strings.Contains(log, postgrestest.Secrets.Console) {
		t.Error("the log has a secret")
	}
}

func TestDatabaseHealthSaysWhatCarriedItAndWhyNot(t *testing.T) {
	s := newPlace(t).start()
	s.ready()
	s.until("it is well", func() bool { status, _ := s.get("/api/health/db"); return status == http.StatusOK })
	_, is := s.get("/api/health/db")
	server, _ := is["server"].(map[string]any)
	if is["status"] != "ok" || is["user"] != "weir" || is["pooler"] != "pgb1" || is["haproxy"] != nil || is["milliseconds"].(float64) <= 0 ||
		server["address"] != "192.168.1.30:5432" || !strings.HasPrefix(fmt.Sprint(server["version"]), "17.") {
		t.Errorf("have %v", is)
	}
	s.lose()
	s.until("it fails", func() bool { status, _ := s.get("/api/health/db"); return status == http.StatusServiceUnavailable })
	if _, is := s.get("/api/health/db"); is["status"] != "failed" || !strings.Contains(fmt.Sprint(is["reason"]), "no route to host") || is["server"] != nil {
		t.Errorf("have %v", is)
	}
	s.restore()
	s.until("it is well again", func() bool { status, _ := s.get("/api/health/db"); return status == http.StatusOK })
}

func TestWhilePostgreSQLIsAwayTheServerStartsAndSaysWhatItKnows(t *testing.T) {
	p := newPlace(t)
	p.lose()
	s := p.start()
	s.until("it has asked every part", func() bool { status, _ := s.get("/readyz"); return status == http.StatusOK })
	if _, is := s.get("/readyz"); is["tables"] != false {
		t.Errorf("have %v", is)
	}
	if said := s.ask(`mutation { signIn(email: "ada@example.org", password: "plum tractor weighs a lot") { userErrors { code } } }`, nil); !strings.Contains(said, "UNAVAILABLE") {
		t.Errorf("a sign-in: %s", said)
	}
	s.restore()
	s.ready()
	s.signUp()
	s.ask(`{ viewer { role } }`, nil) // seen signed in
	s.lose()
	said := s.ask(`{ viewer { role } fleet { postgres { probe { error } } } incidents(first: 1) { edges { cursor } } }`, nil)
	if !strings.Contains(said, `"unavailable"`) || strings.Contains(said, "unauthenticated") {
		t.Errorf("somebody who was signed in: %s", said)
	}
	s.until("the fleet says why", func() bool {
		return strings.Contains(s.ask(`{ fleet { postgres { probe { error } } } }`, nil), "no route to host")
	})
	s.restore()
	s.until("everything answers again", func() bool {
		return !strings.Contains(s.ask(`{ incidents(first: 1) { edges { cursor } } }`, nil), "errors")
	})
}

// subscribe opens a WebSocket on which changes of the fleet arrive.
func (s *running) subscribe(token string) *websocket.Conn {
	s.t.Helper()
	conn, _, err := websocket.Dial(s.t.Context(), strings.Replace(s.url, "http", "ws", 1)+"/graphql",
		&websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.CloseNow() })
	for _, message := range []string{`{"type":"connection_init"}`, `{"id":"1","type":"subscribe","payload":{"query":"subscription { fleetChanged { version } }"}}`} {
		if err := conn.Write(s.t.Context(), websocket.MessageText, []byte(message)); err != nil {
			s.t.Fatal(err)
		}
		if _, said, err := conn.Read(s.t.Context()); err != nil || bytes.Contains(said, []byte("error")) {
			s.t.Fatalf("%s, %v", said, err)
		}
	}
	return conn
}

func TestStoppingEndsWebSocketsAndEventStreamsAndLeavesNothingBehind(t *testing.T) {
	p := newPlace(t)
	p.database().Close()
	before := runtime.NumGoroutine()
	s := p.start()
	s.ready()
	_, token, _ := s.command("token", "--role", "viewer", "--expires", "1h")
	socket, closed := s.subscribe(token), make(chan error, 1)
	go func() { // as a client does: it answers the server's goodbye
		for {
			if _, _, err := socket.Read(t.Context()); err != nil {
				closed <- err
				return
			}
		}
	}()
	r := must(http.NewRequestWithContext(t.Context(), "POST", s.url+"/graphql", strings.NewReader(`{"query":"subscription { incidentChanged { incident { id } } }"}`)))(t)
	for name, value := range map[string]string{"Content-Type": "application/json", "Accept": "text/event-stream", "Authorization": "Bearer " + token} {
		r.Header.Set(name, value)
	}
	events := must(s.http.Do(r))(t)
	defer events.Body.Close()

	began := time.Now()
	if code := s.stop(); code != exitOK || time.Since(began) > stopLimit {
		t.Errorf("exit %d after %s\n%s", code, time.Since(began), s.log)
	}
	last := ""
	for lines := bufio.NewScanner(events.Body); lines.Scan(); {
		last += lines.Text() + "\n"
	}
	if !strings.Contains(last, "event: complete") {
		t.Errorf("the event stream ended with %q", last)
	}
	if err := <-closed; websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("the WebSocket ended with %v", err)
	}
	s.http.CloseIdleConnections()
	s.until("every goroutine has ended", func() bool { return runtime.NumGoroutine() <= before })
}

func TestAPageOfAnotherSiteOpensNoWebSocket(t *testing.T) {
	s := newPlace(t).start()
	for origin, want := range map[string]int{"https://evil.example": http.StatusForbidden, "https://app.example.org": http.StatusSwitchingProtocols,
		"http://weir.example.org": http.StatusSwitchingProtocols} {
		conn, resp, _ := websocket.Dial(t.Context(), strings.Replace(s.url, "http", "ws", 1)+"/graphql",
			&websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: http.Header{"Origin": {origin}}})
		if resp == nil || resp.StatusCode != want {
			t.Errorf("%s: %v, want %d", origin, resp, want)
		}
		if conn != nil {
			conn.CloseNow()
		}
	}
}

func TestWhatIsTooLargeOrNoTextIsTheClientsMistake(t *testing.T) {
	s := newPlace(t).start()
	s.ready()
	s.signUp()
	long := strings.Repeat("x", 1<<20)
	for name, body := range map[string]string{
		"a name of 1 MiB":       `{"query":"mutation($n: String!) { setName(name: $n) { userErrors { code } } }","variables":{"n":"` + long + `"}}`,
		"a document of 1 MiB":   `{"query":"` + long + `"}`,
		"invalid UTF-8":         "{\"query\":\"{ viewer { name } }\xff\"}",
		"half a JSON object":    `{"query":`,
		"no object":             `[]`,
		"2 MiB of opening list": strings.Repeat("[", 2<<20),
	} {
		if status, said := s.post([]byte(body)); status < 400 || status > 499 || !strings.Contains(said, "message") {
			t.Errorf("%s: %d %.200s", name, status, said)
		}
	}
	for name, path := range map[string]string{"a URL of 1 MiB": "/graphql?query=" + long, "a broken URL": "/graphql?query=%zz", "a URL that is not UTF-8": "/graphql?query=%ff"} {
		resp, err := s.http.Get(s.url + path)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode < 400 || resp.StatusCode > 499 {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	name := strings.Repeat("x", 200<<10)
	if said := s.ask(`mutation($n: String!) { setName(name: $n) { userErrors { code field } } }`, map[string]any{"n": name}); !strings.Contains(strings.ToLower(said), `"invalid"`) {
		t.Errorf("a name of 200 KiB: %.200s", said)
	}
	// PostgreSQL keeps no NUL in a text.
	if said := s.ask(`mutation { setName(name: "a\u0000b") { userErrors { code field } } }`, nil); strings.Contains(said, "internal") {
		t.Errorf("a name with NUL: %s", said)
	}
}

func TestOfServersThatStartAtOnceOneMigratesAndAllAreReady(t *testing.T) {
	p := newPlace(t)
	var all []*running
	for range 3 {
		all = append(all, p.start())
	}
	var wg sync.WaitGroup
	for _, s := range all {
		wg.Go(s.ready)
	}
	wg.Wait()
	migrated := 0
	for _, s := range all {
		migrated += strings.Count(s.log.String(), `"msg":"database migrated"`)
	}
	if migrated != 1 {
		t.Errorf("%d migrated", migrated)
	}
	if code, said, why := p.command("migrate"); code != exitOK || !strings.Contains(said, "up to date") {
		t.Errorf("after them: %d %q %q", code, said, why)
	}
}

func TestAnOrderIsCarriedOutAndWhatCannotBeIsRefused(t *testing.T) {
	s := newPlace(t).start()
	s.ready()
	s.signUp()
	if said := s.ask(`mutation { silence(cause: "*", reason: "work", for: "PT1H") { userErrors { code message } } }`, nil); !strings.Contains(said, `"userErrors":[]`) {
		t.Errorf("a silence: %s", said)
	}
	// HAProxy does not run here: the order must say so, and the audit must have it.
	if said := s.ask(`mutation { drain(pooler: "pgb1", reason: "work") { userErrors { code message } } }`, nil); strings.Contains(said, `"userErrors":[]`) || strings.Contains(said, "internal") {
		t.Errorf("a drain: %s", said)
	}
	if said := s.ask(`{ audit(first: 20) { edges { node { verb outcome } } } }`, nil); !strings.Contains(said, `"drain"`) || !strings.Contains(said, `"silence"`) {
		t.Errorf("the audit: %s", said)
	}
}
