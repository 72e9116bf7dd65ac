package graph_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// socket opens a WebSocket as a browser on a page of origin does, up to the server's acknowledgement.
func (s *server) socket(origin string) (*websocket.Conn, *http.Response, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, strings.Replace(s.URL, "http", "ws", 1),
		&websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: http.Header{"Origin": {origin}}})
	if err == nil {
		s.t.Cleanup(func() { conn.CloseNow() })
		s.say(conn, `{"type":"connection_init"}`)
		s.hear(conn, "connection_ack")
	}
	return conn, resp, err
}

func (s *server) say(conn *websocket.Conn, message string) {
	s.t.Helper()
	try(s.t, conn.Write(s.t.Context(), websocket.MessageText, []byte(message)))
}

// hear waits for a message of that type, and answers its payload.
func (s *server) hear(conn *websocket.Conn, kind string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	for {
		_, body, err := conn.Read(ctx)
		if err != nil {
			s.t.Fatalf("until %s: %v", kind, err)
		}
		var m struct {
			Type    string
			Payload json.RawMessage
		}
		try(s.t, json.Unmarshal(body, &m))
		if m.Type == kind {
			return string(m.Payload)
		}
	}
}

func TestABrowserOnAPageOfSomebodyElseOpensNoWebSocket(t *testing.T) {
	s := newServer(t, nil)
	if _, resp, err := s.socket("https://evil.example.org"); err == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a forged origin: %v", err)
	}
	if _, _, err := s.socket(s.URL); err != nil {
		t.Errorf("our own: %v", err)
	}
}

func TestOverAWebSocketNothingIsAnsweredOnceTheSessionIsOver(t *testing.T) {
	s := newServer(t, nil)
	conn, _, err := s.socket(s.URL)
	try(t, err)
	s.say(conn, `{"id":"1","type":"subscribe","payload":{"query":"subscription { fleetChanged { version } }"}}`)
	s.say(conn, `{"id":"2","type":"subscribe","payload":{"query":"mutation { signOut { userErrors { code } } }"}}`)
	if refused := s.hear(conn, "next") + s.hear(conn, "next"); !strings.Contains(refused, "REFUSED") || !strings.Contains(refused, `"version":0`) {
		t.Errorf("got %s", refused)
	}
	s.end()
	if last := s.hear(conn, "error"); !strings.Contains(last, "unauthenticated") {
		t.Errorf("the stream ended with %s", last)
	}
	s.say(conn, `{"id":"3","type":"subscribe","payload":{"query":"{ fleet { version } }"}}`)
	if a := s.hear(conn, "next"); !strings.Contains(a, "unauthenticated") || strings.Contains(a, "version") {
		t.Errorf("a query after it: %s", a)
	}
}

// A role that was lowered elsewhere is no secret to a WebSocket that was open before.
func TestOverAWebSocketNobodyMayMoreThanTheirRoleOfNow(t *testing.T) {
	s := newServer(t, nil)
	s.as(&operator)
	conn, _, err := s.socket(s.URL)
	try(t, err)
	const drain = `"payload":{"query":"mutation { drain(pooler: \"pgb1\", reason: \"disks\", dryRun: true) { userErrors { code } } }"}}`
	s.say(conn, `{"id":"1","type":"subscribe",`+drain)
	if a := s.hear(conn, "next"); strings.Contains(a, "forbidden") {
		t.Fatalf("as an operator: %s", a)
	}
	s.demote(&looker)
	s.say(conn, `{"id":"2","type":"subscribe",`+drain)
	if a := s.hear(conn, "next"); !strings.Contains(a, "forbidden") {
		t.Errorf("as a viewer: %s", a)
	}
	s.say(conn, `{"id":"3","type":"subscribe","payload":{"query":"{ fleet { version } }"}}`)
	if a := s.hear(conn, "next"); !strings.Contains(a, `"version":0`) {
		t.Errorf("what a viewer may: %s", a)
	}
}
