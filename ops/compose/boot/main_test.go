package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTheFileWinsOverTheContainersEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "monitor.env")
	if err := os.WriteFile(file, []byte("# Slack\nURL=https://a.test/?b=c&d\n\nHOME=/state\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env, err := environment([]string{"HOME=/", "PATH=/bin"}, file)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(env)
	if want := []string{"HOME=/state", "PATH=/bin", "URL=https://a.test/?b=c&d"}; !slices.Equal(env, want) {
		t.Errorf("%q", env)
	}
}

func TestALineWithoutAValueIsAMistake(t *testing.T) {
	file := filepath.Join(t.TempDir(), "monitor.env")
	if err := os.WriteFile(file, []byte("SLACK_BOT_TOKEN\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := environment(nil, file); err == nil || strings.Contains(err.Error(), "SLACK") {
		t.Errorf("error %v: it must be there, and not show the line, which may be a secret", err)
	}
}

func TestAProbeSaysWhatIsWrong(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			http.Error(w, "stale since 9 s", http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	if err := probe(srv.URL + "/healthz"); err != nil {
		t.Error(err)
	}
	if err := probe(srv.URL + "/stale"); err == nil || !strings.Contains(err.Error(), "stale since 9 s") {
		t.Errorf("error %v", err)
	}
}
