package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"weir/ops/inventory"
	"weir/ops/setting"
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

// known are the variables that begin with WEIR_. The last four are the operator's command's.
var known = []string{inventory.Env, "WEIR_SECRETS", "WEIR_STATE", "WEIR_MAX_FILES", "WEIR_LISTEN", "WEIR_TRUSTED_PROXIES",
	"WEIR_HOME", "WEIR_SQL_PORT", "WEIR_STATS_PORT", "WEIR_CONSOLE_PORT"}

// readSettings reads them from NAME=VALUE pairs. The error names every mistake, one a line, and no
// value that may be a secret.
func readSettings(environ setting.Environ) (s settings, err error) {
	get := environ.Get
	errs := []error{environ.Unknown(known, "WEIR_")}
	note := func(err error) { errs = append(errs, err) }

	s.inventory, err = inventory.Read(get(inventory.Env))
	note(err)
	s.secrets, err = environ.Secrets()
	note(err)
	s.state, err = environ.State("server")
	note(err)
	s.listen, err = environ.Listen()
	note(err)
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
		note(s.fill(environ))
	}
	return s, errors.Join(errs...)
}

// fill takes what was not set from the inventory.
func (s *settings) fill(environ setting.Environ) (err error) {
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
	// By default behind the VIP, as any application's.
	s.database, err = environ.Database(s.inventory.VIPEndpoint(), s.secrets.Console, "weir-server")
	if err != nil {
		return err
	}
	s.database.MaxConns, s.database.ConnConfig.ConnectTimeout = 10, connectLimit
	return nil
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
