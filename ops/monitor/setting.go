package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"weir/ops/inventory"
	"weir/ops/slack"
)

// settings are what the monitor was told to be. The secrets in them are never logged.
type settings struct {
	inventory *inventory.Inventory
	secrets   inventory.Secrets
	state     string // directory
	processes int    // HAProxy processes of a node
	listen    string // host:port of /healthz and /metrics
	database  *pgxpool.Config
	slack     slack.Settings
	heartbeat string // URL; "" is none
}

// known are the variables that are read. Any other that begins with WEIR_ or SLACK_ is a mistake:
// most likely one of these, misspelt, which would otherwise be ignored in silence.
var known = []string{inventory.Env, "WEIR_SECRETS", "WEIR_STATE", "WEIR_HAPROXY_PROCESSES", "WEIR_LISTEN",
	"SLACK_WEBHOOK_URL", "SLACK_BOT_TOKEN", "SLACK_CHANNEL", "SLACK_API_URL"}

// readSettings reads them from NAME=VALUE pairs. The error names every mistake, one a line, and no
// value that may be a secret.
func readSettings(environ []string) (settings, error) {
	get := func(name string) string {
		for _, pair := range slices.Backward(environ) {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				return value
			}
		}
		return ""
	}
	s := settings{
		state: get("WEIR_STATE"), listen: get("WEIR_LISTEN"), heartbeat: get("HEARTBEAT_URL"),
		slack: slack.Settings{SlackWebhookURL: get("SLACK_WEBHOOK_URL"), SlackBotToken: get("SLACK_BOT_TOKEN"),
			SlackChannel: get("SLACK_CHANNEL"), AlertWebhookURL: get("ALERT_WEBHOOK_URL"), SlackAPIURL: get("SLACK_API_URL")},
	}
	errs := []error{unknown(environ), s.slack.Validate()}
	note := func(err error) { errs = append(errs, err) }

	var err error
	s.inventory, err = inventory.Load()
	note(err)
	s.secrets, err = readSecrets(get("WEIR_SECRETS"))
	note(err)
	if s.state == "" {
		note(errors.New("WEIR_STATE is not set: the directory that the monitor keeps its state in"))
	}
	s.processes, err = readProcesses(get("WEIR_HAPROXY_PROCESSES"))
	note(err)
	note(checkURL("HEARTBEAT_URL", s.heartbeat))
	note(checkURL("SLACK_API_URL", s.slack.SlackAPIURL))
	if s.listen == "" && s.inventory != nil {
		s.listen = ":" + strconv.Itoa(s.inventory.Monitor.Port)
	}
	if _, _, err := net.SplitHostPort(s.listen); s.listen != "" && err != nil {
		note(fmt.Errorf("WEIR_LISTEN is %q, and must be host:port or :port", s.listen))
	}
	if s.inventory != nil {
		s.database, err = readDatabase(get("DATABASE_URL"), s.inventory, s.secrets.Console)
		note(err)
	}
	return s, errors.Join(errs...)
}

func unknown(environ []string) error {
	var errs []error
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		ours := strings.HasPrefix(name, "WEIR_") || strings.HasPrefix(name, "SLACK_")
		if ours && !slices.Contains(known, name) {
			errs = append(errs, fmt.Errorf("unknown setting %s: there are %s", name, strings.Join(known, ", ")))
		}
	}
	return errors.Join(errs...)
}

func readSecrets(dir string) (inventory.Secrets, error) {
	if dir == "" {
		return inventory.Secrets{}, errors.New("WEIR_SECRETS is not set: the directory of the secrets")
	}
	return inventory.ReadSecrets(dir, "monitor", "admin", "console", "haproxy-stats")
}

func readProcesses(text string) (int, error) {
	if text == "" {
		return 1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("WEIR_HAPROXY_PROCESSES is %q, and must be a whole number from 1: HAProxy processes of a node", text)
	}
	return n, nil
}

func checkURL(name, value string) error {
	u, err := url.Parse(value)
	if value != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("%s is not an http or https URL", name)
	}
	return nil
}

// readDatabase is where the record goes: by default straight to PostgreSQL, so that poolers that
// are down or paused do not keep it away.
func readDatabase(text string, inv *inventory.Inventory, password string) (*pgxpool.Config, error) {
	given := text != ""
	if !given {
		host, port, _ := net.SplitHostPort(inv.PostgresEndpoint())
		text = fmt.Sprintf("host=%s port=%s user=weir dbname=weir sslmode=disable target_session_attrs=any", host, port)
	}
	config, err := pgxpool.ParseConfig(text)
	if err != nil { // its text may hold the password
		return nil, errors.New("DATABASE_URL is not a connection string such as postgres://user:password@host:5432/database")
	}
	if !given {
		config.ConnConfig.Password = password
	}
	config.MaxConns = 4
	config.ConnConfig.RuntimeParams["application_name"] = "weir-monitor"
	return config, nil
}

// makeState makes the directory of the state, for nobody else to read.
func makeState(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make state directory: %w", err)
	}
	return nil
}
