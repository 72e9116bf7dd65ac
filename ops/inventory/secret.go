package inventory

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Secrets are the passwords of one cluster. None has a default: LoadSecrets makes what is missing.
type Secrets struct {
	Postgres     string // the superuser postgres
	Auth         string // the role through which the poolers look up passwords
	Admin        string // PgBouncer's admin console, user weir_admin
	Monitor      string // PgBouncer's statistics and PostgreSQL's probes, role weir_monitor
	Console      string // owner of Weir's own tables, role weir
	HAProxyStats string // the statistics page and its orders, user weir
	Check        string // HAProxy's check of the poolers, user hc of PgBouncer's admin console
}

func (s *Secrets) fields() map[string]*string {
	return map[string]*string{
		"postgres": &s.Postgres, "auth": &s.Auth, "admin": &s.Admin,
		"monitor": &s.Monitor, "console": &s.Console, "haproxy-stats": &s.HAProxyStats, "check": &s.Check,
	}
}

// LoadSecrets reads the secrets in dir, one file of mode 0600 each, and makes those that are not
// there yet. A file that others can read, or that is empty, is an error.
func LoadSecrets(dir string) (Secrets, error) {
	var s Secrets
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return s, fmt.Errorf("make secrets: %w", err)
	}
	for name, field := range s.fields() {
		value, err := loadSecret(filepath.Join(dir, name))
		if err != nil {
			return Secrets{}, fmt.Errorf("secret %s: %w", name, err)
		}
		*field = value
	}
	return s, nil
}

// ReadSecrets reads the secrets of that name in dir and makes none: for a machine that was given
// those it needs. The error names all that are missing or wrong.
func ReadSecrets(dir string, names ...string) (Secrets, error) {
	var s Secrets
	var errs []error
	for _, name := range names {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			errs = append(errs, fmt.Errorf("secret %s: %w", name, err))
			continue
		}
		value, err := loadSecret(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("secret %s: %w", name, err))
			continue
		}
		*s.fields()[name] = value
	}
	if err := errors.Join(errs...); err != nil {
		return Secrets{}, err
	}
	return s, nil
}

// File is the secret of that name as a file for a machine that needs it.
func (s Secrets) File(dir, name, owner string) File {
	return File{Path: filepath.Join(dir, name), Mode: 0o600, Owner: owner, Body: []byte(*s.fields()[name] + "\n")}
}

func loadSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeSecret(path)
	}
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s can be read by others (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	value := strings.TrimSpace(string(body))
	if err := checkSecret(value); err != nil {
		return "", fmt.Errorf("%s %w", path, err)
	}
	return value, nil
}

// checkSecret keeps what would need quoting in one of the places a password is written to out:
// shells, connection strings, configuration files.
func checkSecret(value string) error {
	if len(value) < 16 {
		return errors.New("is shorter than 16 characters: delete it and a new one is made")
	}
	for _, r := range value {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
		default:
			return errors.New("may hold letters, digits, - and _ only")
		}
	}
	return nil
}

// makeSecret writes aside and links into place: of two starts at once, one wins and both read it.
func makeSecret(path string) (string, error) {
	raw := make([]byte, 24)
	rand.Read(raw) // never fails: crypto/rand ends the process instead
	aside, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(aside.Name())
	value := base64.RawURLEncoding.EncodeToString(raw)
	if _, err := aside.WriteString(value + "\n"); err != nil {
		return "", err
	}
	if err := aside.Close(); err != nil {
		return "", err
	}
	if err := os.Link(aside.Name(), path); errors.Is(err, fs.ErrExist) {
		return loadSecret(path)
	} else if err != nil {
		return "", err
	}
	return value, nil
}
