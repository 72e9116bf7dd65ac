package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"weir/ops/inventory"
	"weir/ops/lab"
)

func TestWhatTheConsoleIsAskedForIsCompleteBeforeItIsAsked(t *testing.T) {
	for arguments, want := range map[string]string{
		"invite --role operator":                   "give the address",
		"invite a@example.org b@example.org":       "at most 1 arg",
		"token create --role viewer":               "expires",
		"token create --expires 1h":                "role",
		"token create --role viewer --expires -1h": "--expires",
		"migrate now":                              "unknown command",
		"invite":                                   "neither does a lab run",
	} {
		root := newRoot()
		root.SetArgs(append(strings.Fields(arguments), "--home", t.TempDir()))
		root.SetOut(&bytes.Buffer{})
		if err := root.Execute(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("weir %s: %v, want %q", arguments, err, want)
		}
	}
}

func TestTheConsoleIsReadyOnceItHasItsTables(t *testing.T) {
	var is map[string]any
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(is) }))
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
	}}}
	defer client.CloseIdleConnections()
	for _, c := range []struct {
		status string
		tables bool
		ready  bool
	}{{"ready", true, true}, {"ready", false, false}, {"starting", true, false}, {"", false, false}} {
		is = map[string]any{"status": c.status, "tables": c.tables}
		if err := askConsole(t.Context(), client, inventory.Default()); (err == nil) != c.ready {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestPeopleFindTheLabsConsoleAtItsPortOfTheLoopback(t *testing.T) {
	t.Setenv("PUBLIC_URL", "")
	t.Setenv("HAPROXY_STATS_URL", "")
	ways := []lab.Forward{{Name: consoleForward, Listen: "127.0.0.1:13000"}, {Name: statsForward, Listen: "127.0.0.1:18404"}}
	if have := consoleSettings(ways); have["PUBLIC_URL"] != "http://127.0.0.1:13000" || have["HAPROXY_STATS_URL"] != "http://127.0.0.1:18404/stats" {
		t.Errorf("have %v", have)
	}
	t.Setenv("PUBLIC_URL", "https://weir.example.org")
	if have := consoleSettings(ways); have["PUBLIC_URL"] != "https://weir.example.org" {
		t.Errorf("have %v", have)
	}
}
