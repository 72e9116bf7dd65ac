package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"weir/ops/inventory"
)

// settings are what the server was told to be. The secrets in them are never logged.
type settings struct {
	inventory *inventory.Inventory
	secrets   inventory.Secrets
	state     string // directory
	files     int    // open files a process may have on the hosts: how many HAProxy processes a node runs follows
	listen    string // host:port
	public    *url.URL
	origins   []string       // from which browsers may use /graphql, besides the server's own
	proxies   []netip.Prefix // whose X-Forwarded-For is believed
	stats     *url.URL       // where people find HAProxy's statistics page; nil is the VIP's own
	database  *pgxpool.Config
	mail      *mailer // nil: links are only shown to who made them
}

// known are the variables that begin with WEIR_. Any other is a mistake: most likely one of these,
// misspelt, which would otherwise be ignored in silence. The last four are the operator's command's.
var known = []string{inventory.Env, "WEIR_SECRETS", "WEIR_STATE", "WEIR_MAX_FILES", "WEIR_LISTEN", "WEIR_TRUSTED_PROXIES",
	"WEIR_HOME", "WEIR_SQL_PORT", "WEIR_STATS_PORT", "WEIR_CONSOLE_PORT"}

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
	s := settings{state: get("WEIR_STATE"), listen: get("WEIR_LISTEN")}
	errs := []error{unknown(environ)}
	note := func(err error) { errs = append(errs, err) }

	var err error
	s.inventory, err = inventory.Read(get(inventory.Env))
	note(err)
	s.secrets, err = readSecrets(get("WEIR_SECRETS"))
	note(err)
	if s.state == "" {
		note(errors.New("WEIR_STATE is not set: the directory that the server keeps its state in"))
	}
	s.files, err = readFiles(get("WEIR_MAX_FILES"))
	note(err)
	s.public, err = readURL("PUBLIC_URL", get("PUBLIC_URL"))
	note(err)
	s.stats, err = readURL("HAPROXY_STATS_URL", get("HAPROXY_STATS_URL"))
	note(err)
	s.origins, err = readOrigins(get("CORS_ORIGIN"))
	note(err)
	s.proxies, err = readProxies(get("WEIR_TRUSTED_PROXIES"))
	note(err)
	s.mail, err = readMail(get("SMTP_URL"))
	note(err)
	if s.inventory != nil {
		note(s.fill(get("DATABASE_URL"), get("POSTGRES_PASSWORD")))
	}
	if _, _, err := net.SplitHostPort(s.listen); s.listen != "" && err != nil {
		note(fmt.Errorf("WEIR_LISTEN is %q, and must be host:port or :port", s.listen))
	}
	return s, errors.Join(errs...)
}

// fill takes what was not set from the inventory.
func (s *settings) fill(database, password string) (err error) {
	port := strconv.Itoa(s.inventory.Console.Port)
	if s.listen == "" {
		s.listen = ":" + port
	}
	if s.files == 0 {
		s.files = s.inventory.HAProxy.MaxFiles
	}
	if s.public == nil {
		s.public = &url.URL{Scheme: "http", Host: net.JoinHostPort(s.inventory.Console.Address.String(), port)}
	}
	s.database, err = readDatabase(database, password, s.inventory, s.secrets.Console)
	return err
}

func unknown(environ []string) error {
	var errs []error
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "WEIR_") && !slices.Contains(known, name) {
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

// readFiles is 0 when nothing is set.
func readFiles(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("WEIR_MAX_FILES is %q, and must be a whole number: the open files that a process may have on the hosts", text)
	}
	return n, nil
}

// readURL is nil when nothing is set. A path is kept without its last slash.
func readURL(name, text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%s is not an http or https URL such as https://weir.example.org", name)
	}
	if u.Path = strings.TrimSuffix(u.Path, "/"); name == "PUBLIC_URL" && u.Path != "" {
		return nil, errors.New("PUBLIC_URL has a path: the console has to have a host, or a port, of its own")
	}
	return u, nil
}

// readOrigins are scheme://host[:port], with commas between. "*" is refused: people are signed in.
func readOrigins(text string) (origins []string, err error) {
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		u, err := readURL("CORS_ORIGIN", part)
		if err != nil || u.Path != "" {
			return nil, errors.New("CORS_ORIGIN is not one or more origins such as https://app.example.org, with commas between")
		}
		origins = append(origins, u.Scheme+"://"+strings.ToLower(u.Host))
	}
	return origins, nil
}

func readProxies(text string) (proxies []netip.Prefix, err error) {
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		p, err := netip.ParsePrefix(part)
		if a, notPrefix := netip.ParseAddr(part); notPrefix == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("WEIR_TRUSTED_PROXIES: %q is neither an address nor a network such as 10.0.0.0/8", part)
		}
		proxies = append(proxies, p.Masked())
	}
	return proxies, nil
}

// readDatabase is where Weir's own tables are: by default behind the VIP, as any application's. A
// password that the URL leaves out is POSTGRES_PASSWORD.
func readDatabase(text, password string, inv *inventory.Inventory, secret string) (*pgxpool.Config, error) {
	if text == "" {
		host, port, _ := net.SplitHostPort(inv.VIPEndpoint())
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
	config.MaxConns = 10
	config.ConnConfig.ConnectTimeout = connectLimit
	config.ConnConfig.RuntimeParams["application_name"] = "weir-server"
	return config, nil
}
