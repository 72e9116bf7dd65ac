package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// room is a directory with a .env of these lines, in a network that no machine has.
func room(t *testing.T, lines ...string) (env, dir string) {
	t.Helper()
	at := t.TempDir()
	env = filepath.Join(at, ".env")
	body := strings.Join(append([]string{"WEIR_NETWORK=198.51.100.0/24"}, lines...), "\n")
	if err := os.WriteFile(env, []byte(body+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return env, filepath.Join(at, ".compose")
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestEverythingThatComposeNeedsIsMadeAndMadeOnce(t *testing.T) {
	env, dir := room(t, "SLACK_BOT_TOKEN=xoxb-of-the-test", "SLACK_CHANNEL=C0WEIR")
	if err := prepare(io.Discard, env, dir); err != nil {
		t.Fatal(err)
	}
	first, secret := read(t, env), read(t, dir, "secrets", "postgres")
	for _, line := range []string{"WEIR_ADDRESS_PGB2=198.51.100.22", "WEIR_SUBNET=198.51.100.0/24", "WEIR_VIP_ADDRESS=198.51.100.100", "SLACK_CHANNEL=C0WEIR"} {
		if !strings.Contains(first, line+"\n") {
			t.Errorf(".env has no %s:\n%s", line, first)
		}
	}
	if !strings.Contains(read(t, dir, "hosts", "monitor", "etc", "weir", "monitor.env"), "SLACK_BOT_TOKEN=xoxb-of-the-test\n") {
		t.Error("the monitor did not get its Slack token")
	}
	stray := filepath.Join(dir, "hosts", "haproxy1", "etc", "haproxy", "haproxy-9.cfg")
	if err := os.WriteFile(stray, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := prepare(io.Discard, env, dir); err != nil {
		t.Fatal(err)
	}
	if read(t, env) != first || read(t, dir, "secrets", "postgres") != secret {
		t.Error("the second time changed something")
	}
	if _, err := os.Stat(stray); err == nil {
		t.Error("a file that is rendered no more is still there")
	}
}

func TestADefaultSecretIsRefusedByItsName(t *testing.T) {
	for _, value := range []string{"changeme-changeme-changeme", "postgres-password-1234", "short", "0123456789012345678"} {
		env, dir := room(t)
		if err := os.MkdirAll(filepath.Join(dir, "secrets"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "secrets", "admin"), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := prepare(io.Discard, env, dir); err == nil || !strings.Contains(err.Error(), "secret admin") {
			t.Errorf("%q: error %v", value, err)
		}
	}
}

func TestANetworkThatTheMachineHasIsRefused(t *testing.T) {
	env, dir := room(t, "WEIR_NETWORK=127.0.0.0/24") // the last of a name counts
	err := prepare(io.Discard, env, dir)
	if err == nil || !strings.Contains(err.Error(), "is in use") {
		t.Errorf("error %v", err)
	}
}

func TestSettingsThatMakeNoSenseAreNamed(t *testing.T) {
	for _, line := range []string{"WEIR_FILES=many", "WEIR_NETWORK=192.168.1.0", "WEIR_NETWORK=10.0.0.0/8"} {
		env, dir := room(t, line)
		name, _, _ := strings.Cut(line, "=")
		err := prepare(io.Discard, env, dir)
		if err == nil || !(strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "move the cluster")) {
			t.Errorf("%s: error %v", line, err)
		}
	}
}
