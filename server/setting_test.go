package main

import (
	"bytes"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/ops/inventory"
	"weir/ops/postgres/postgrestest"
)

func TestEveryMistakeIsNamedAtOnceAndNoSecretWithIt(t *testing.T) {
	inventoryFile := filepath.Join(t.TempDir(), "inventory.yaml")
	if err := os.WriteFile(inventoryFile, []byte("cluster: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secrets := postgrestest.SecretsDir(t)
	if err := os.Remove(filepath.Join(secrets, "admin")); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	code := run(t.Context(), environment{Stderr: &stderr, Environ: []string{"PATH=/bin", inventory.Env + "=" + inventoryFile,
		"WEIR_SECRETS=" + secrets, "WEIR_SECRET=hush-1", "WEIR_MAX_FILES=many", "WEIR_LISTEN=3000", "PUBLIC_URL=https://u:hush-2@weir.example.org",
		"CORS_ORIGIN=https://app.example.org, hush-3", "HAPROXY_STATS_URL=hush-4", "WEIR_TRUSTED_PROXIES=10.0.0.0/8,proxy"}})
	if code != exitSettings {
		t.Errorf("exit %d, want %d", code, exitSettings)
	}
	said := stderr.String()
	for _, want := range []string{"WEIR_SECRET:", "secret admin", "WEIR_STATE is not set", "WEIR_MAX_FILES", "WEIR_LISTEN", "PUBLIC_URL", "CORS_ORIGIN",
		"HAPROXY_STATS_URL", "WEIR_TRUSTED_PROXIES", "network: is missing", "vip.address"} {
		if !strings.Contains(said, want) {
			t.Errorf("nothing is said of %q in:\n%s", want, said)
		}
	}
	for line := range strings.Lines(said) {
		if !strings.HasPrefix(line, "server: ") || strings.Contains(line, "hush") {
			t.Errorf("line %q", line)
		}
	}
}

func TestByDefaultTheTablesAreBehindTheVIP(t *testing.T) {
	s := must(readSettings([]string{"WEIR_SECRETS=" + postgrestest.SecretsDir(t), "WEIR_STATE=" + t.TempDir(), "POSTGRES_PASSWORD=of-another"}))(t)
	c := s.database.ConnConfig
	if c.Host != "192.168.1.100" || c.Port != 5432 || c.User != "weir" || c.Database != "weir" || c.Password != postgrestest.Secrets.Console {
		t.Errorf("%s@%s:%d/%s", c.User, c.Host, c.Port, c.Database)
	}
	if s.listen != ":3000" || s.public.String() != "http://192.168.1.41:3000" {
		t.Errorf("listens on %s, found at %s", s.listen, s.public)
	}
}

func TestMistakesInArgumentsAreNamed(t *testing.T) {
	for _, arguments := range []string{"start", "migrate now", "invite a@example.org b@example.org", "invite --if-first a@example.org",
		"token", "token --role viewer", "token --expires 1h", "--settings /no/such/file", "invite --rank admin"} {
		if _, err := readArguments(strings.Fields(arguments)); err == nil {
			t.Errorf("server %s: no error", arguments)
		}
	}
}

func TestAClientIsWhoConnectedOrWhomATrustedProxyNames(t *testing.T) {
	address := clientAddress(must(readProxies("10.0.0.0/8, 192.0.2.1"))(t))
	for _, c := range []struct{ sentence, connected, forwarded, want string }{
		{"nobody is believed who is not trusted", "203.0.113.5:1", "198.51.100.1", "203.0.113.5"},
		{"a proxy names its client", "10.0.0.1:1", "198.51.100.1", "198.51.100.1"},
		{"of several proxies the outermost names it", "10.0.0.1:1", "198.51.100.1, 192.0.2.1, 10.9.9.9", "198.51.100.1"},
		{"what the client wrote itself does not count", "10.0.0.1:1", "6.6.6.6, 198.51.100.1", "198.51.100.1"},
		{"a proxy that names nobody is the client", "10.0.0.1:1", "", "10.0.0.1"},
		{"what is no address is not believed", "10.0.0.1:1", "198.51.100.1, unknown", "10.0.0.1"},
		{"an IPv4 address is one however it is written", "[::ffff:203.0.113.5]:1", "", "203.0.113.5"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.connected
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := address(r).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.sentence, got, c.want)
		}
	}
}
