package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/ops/inventory"
	"weir/ops/postgres/postgrestest"
)

func TestEveryMistakeIsNamedAtOnceAndNoSecretWithIt(t *testing.T) {
	inventoryFile := filepath.Join(t.TempDir(), "inventory.yaml")
	try(t, os.WriteFile(inventoryFile, []byte("cluster: x\n"), 0o600))
	secrets := postgrestest.SecretsDir(t)
	try(t, os.Remove(filepath.Join(secrets, "admin")))
	var stderr bytes.Buffer
	code := run(t.Context(), environment{Stderr: &stderr, Environ: []string{
		"PATH=/bin", "WEIR_SECRETS=" + secrets, "WEIR_SECRET=" + secrets, "SLACK_HOOK=hush-1", "WEIR_HAPROXY_PROCESSES=two",
		"WEIR_LISTEN=9187", "SLACK_BOT_TOKEN=hush-2", "SLACK_WEBHOOK_URL=hush-3", "ALERT_WEBHOOK_URL=hush-4", "HEARTBEAT_URL=hush-5",
		inventory.Env + "=" + inventoryFile}})
	if code != exitSettings {
		t.Errorf("exit %d, want %d", code, exitSettings)
	}
	said := stderr.String()
	for _, want := range []string{"WEIR_SECRET:", "SLACK_HOOK", "secret admin", "WEIR_STATE is not set", "WEIR_HAPROXY_PROCESSES", "WEIR_LISTEN",
		"SLACK_CHANNEL", "SLACK_WEBHOOK_URL", "ALERT_WEBHOOK_URL", "HEARTBEAT_URL", "network: is missing", "vip.address"} {
		if !strings.Contains(said, want) {
			t.Errorf("nothing is said of %q in:\n%s", want, said)
		}
	}
	for line := range strings.Lines(said) {
		if !strings.HasPrefix(line, "monitor: ") || strings.Contains(line, "hush") {
			t.Errorf("line %q", line)
		}
	}
}

func TestByDefaultTheRecordGoesStraightToPostgreSQL(t *testing.T) {
	s, err := readSettings([]string{"WEIR_SECRETS=" + postgrestest.SecretsDir(t), "WEIR_STATE=" + t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	c := s.database.ConnConfig
	if c.Host != "192.168.1.30" || c.Port != 5432 || c.User != "weir" || c.Database != "weir" || c.Password != postgrestest.Secrets.Console {
		t.Errorf("%s@%s:%d/%s", c.User, c.Host, c.Port, c.Database)
	}
	if s.listen != ":9187" || s.processes != 1 {
		t.Errorf("listens on %s, %d processes", s.listen, s.processes)
	}
}
