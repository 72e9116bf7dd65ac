// Package setting reads what the monitor and the server are told by environment variables. No error
// repeats a value that may be a secret.
package setting

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"weir/ops/inventory"
)

// Environ are pairs NAME=VALUE, as os.Environ has them. Of two with one name the last counts.
type Environ []string

// Get is the value of a variable; "" when it is not set.
func (e Environ) Get(name string) string {
	for _, pair := range slices.Backward(e) {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// Unknown is an error that names every variable that begins with one of the prefixes and is none of
// known: most likely one of those, misspelt, which would otherwise be ignored in silence.
func (e Environ) Unknown(known []string, prefixes ...string) error {
	var errs []error
	for _, pair := range e {
		name, _, _ := strings.Cut(pair, "=")
		ours := slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
		if ours && !slices.Contains(known, name) {
			errs = append(errs, fmt.Errorf("unknown setting %s: there are %s", name, strings.Join(known, ", ")))
		}
	}
	return errors.Join(errs...)
}

// Secrets are those that both programs need, from the directory WEIR_SECRETS.
func (e Environ) Secrets() (inventory.Secrets, error) {
	dir := e.Get("WEIR_SECRETS")
	if dir == "" {
		return inventory.Secrets{}, errors.New("WEIR_SECRETS is not set: the directory of the secrets")
	}
	return inventory.ReadSecrets(dir, "monitor", "admin", "console", "haproxy-stats")
}

// State is the directory WEIR_STATE, in which a program keeps what has to outlive it.
func (e Environ) State(program string) (string, error) {
	dir := e.Get("WEIR_STATE")
	if dir == "" {
		return "", fmt.Errorf("WEIR_STATE is not set: the directory that the %s keeps its state in", program)
	}
	return dir, nil
}

// Listen is WEIR_LISTEN, host:port or :port; "" when it is not set.
func (e Environ) Listen() (string, error) {
	listen := e.Get("WEIR_LISTEN")
	if _, _, err := net.SplitHostPort(listen); listen != "" && err != nil {
		return "", fmt.Errorf("WEIR_LISTEN is %q, and must be host:port or :port", listen)
	}
	return listen, nil
}

// Database is where Weir's own tables are: DATABASE_URL, or database weir behind endpoint, host:port,
// with the password secret. A password that the URL leaves out is POSTGRES_PASSWORD.
func (e Environ) Database(endpoint, secret, application string) (*pgxpool.Config, error) {
	text, password := e.Get("DATABASE_URL"), e.Get("POSTGRES_PASSWORD")
	if text == "" {
		host, port, _ := net.SplitHostPort(endpoint)
		text = fmt.Sprintf("host=%s port=%s user=weir dbname=weir sslmode=disable target_session_attrs=any", host, port)
		password = secret
	}
	config, err := pgxpool.ParseConfig(text)
	if err != nil { // its text may hold the password
		return nil, errors.New("DATABASE_URL is not a connection string such as postgres://user:password@host:5432/database")
	}
	if config.ConnConfig.Password == "" {
		config.ConnConfig.Password = password
	}
	config.ConnConfig.RuntimeParams["application_name"] = application
	return config, nil
}
