package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"

	"github.com/jackc/pgx/v5/pgxpool"

	"weir/ops/inventory"
	"weir/ops/setting"
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

// known are the variables that begin with WEIR_ or SLACK_.
var known = []string{inventory.Env, "WEIR_SECRETS", "WEIR_STATE", "WEIR_HAPROXY_PROCESSES", "WEIR_LISTEN",
	"SLACK_WEBHOOK_URL", "SLACK_BOT_TOKEN", "SLACK_CHANNEL", "SLACK_API_URL"}

// readSettings reads them from NAME=VALUE pairs. The error names every mistake, one a line, and no
// value that may be a secret.
func readSettings(environ setting.Environ) (settings, error) {
	get := environ.Get
	s := settings{
		heartbeat: get("HEARTBEAT_URL"),
		slack: slack.Settings{SlackWebhookURL: get("SLACK_WEBHOOK_URL"), SlackBotToken: get("SLACK_BOT_TOKEN"),
			SlackChannel: get("SLACK_CHANNEL"), AlertWebhookURL: get("ALERT_WEBHOOK_URL"), SlackAPIURL: get("SLACK_API_URL")},
	}
	errs := []error{environ.Unknown(known, "WEIR_", "SLACK_"), s.slack.Validate()}
	note := func(err error) { errs = append(errs, err) }

	var err error
	s.inventory, err = inventory.Read(get(inventory.Env))
	note(err)
	s.secrets, err = environ.Secrets()
	note(err)
	s.state, err = environ.State("monitor")
	note(err)
	s.listen, err = environ.Listen()
	note(err)
	s.processes, err = readProcesses(get("WEIR_HAPROXY_PROCESSES"))
	note(err)
	note(checkURL("HEARTBEAT_URL", s.heartbeat))
	note(checkURL("SLACK_API_URL", s.slack.SlackAPIURL))
	if s.listen == "" && s.inventory != nil {
		s.listen = ":" + strconv.Itoa(s.inventory.Monitor.Port)
	}
	if s.inventory != nil {
		// By default straight to PostgreSQL: poolers that are down or paused do not keep the record away.
		s.database, err = environ.Database(s.inventory.PostgresEndpoint(), s.secrets.Console, "weir-monitor")
		note(err)
	}
	if s.database != nil {
		s.database.MaxConns = 4
	}
	return s, errors.Join(errs...)
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

// makeState makes the directory of the state, for nobody else to read.
func makeState(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make state directory: %w", err)
	}
	return nil
}
