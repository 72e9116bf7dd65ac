// Compose gets the machine ready for compose.yml and the Vagrantfile (`make secrets`): it makes the
// secrets that are missing, writes every host's files below DIR/hosts, the same as `weir render`
// does, and the addresses of the inventory into .env, where both read them. Safe to run again.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"weir/ops/inventory"
	"weir/ops/lab"
	"weir/ops/render"
)

func main() {
	env := flag.String("env", ".env", "the file of settings that compose.yml and Vagrantfile read")
	dir := flag.String("dir", ".compose", "where secrets and rendered files go")
	flag.Parse()
	if err := prepare(os.Stdout, *env, *dir); err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(os.Stderr, "compose: "+strings.TrimSpace(line))
		}
		os.Exit(1)
	}
}

// containerUser runs monitor and server when root prepares them. A person who is not root cannot
// give files away: then the two run as that person.
const containerUser = 65532

func prepare(out io.Writer, envPath, dir string) error {
	body, err := os.ReadFile(envPath)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not there: cp .env.example %s", envPath, envPath)
	} else if err != nil {
		return err
	}
	s := readSettings(string(body))
	inv, err := s.inventory()
	if err != nil {
		return err
	}
	files, err := s.files()
	if err != nil {
		return err
	}
	if err := s.networkIsFree(inv); err != nil {
		return err
	}
	secrets, err := loadSecrets(filepath.Join(dir, "secrets"))
	if err != nil {
		return err
	}
	hosts, err := render.Hosts(inv, secrets, render.Place{Files: files, Monitor: s.monitor(), Console: s.console()})
	if err != nil {
		return err
	}
	trees := filepath.Join(dir, "hosts")
	if err := writeTrees(trees, hosts); err != nil {
		return err
	}
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = containerUser, containerUser
		for _, name := range []string{inv.Monitor.Name, inv.Console.Name} {
			if err := giveTo(filepath.Join(trees, name), uid, gid); err != nil {
				return err
			}
		}
	}
	gateway, err := lab.Gateway(inv)
	if err != nil {
		return err
	}
	block := addresses(inv, gateway, uid, gid, reservedPorts(hosts))
	if err := replaceFile(envPath, []byte(withBlock(string(body), block))); err != nil {
		return err
	}
	fmt.Fprintf(out, "secrets: %s   files of %d hosts: %s   addresses: %s\n", filepath.Join(dir, "secrets"), len(hosts), trees, envPath)
	return nil
}

// loadSecrets makes what is missing. Somebody may have put one of their own there: not a well-known one.
func loadSecrets(dir string) (inventory.Secrets, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return inventory.Secrets{}, err
	}
	var errs []error
	for _, e := range entries {
		value, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err == nil && wellKnown(string(value)) {
			err = fmt.Errorf("secret %s: %s is a default that everybody knows: delete it and a new one is made", e.Name(), filepath.Join(dir, e.Name()))
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return inventory.Secrets{}, err
	}
	return inventory.LoadSecrets(dir)
}

// wellKnown finds what people write to say that a password is still to come, however it is decorated.
func wellKnown(value string) bool {
	plain := strings.Map(func(r rune) rune {
		if r < 'a' || r > 'z' {
			return -1
		}
		return r
	}, strings.ToLower(value))
	for _, word := range []string{"changeme", "password", "postgres", "secret", "admin", "example", "default"} {
		plain = strings.ReplaceAll(plain, word, "")
	}
	return len(plain) < 4 // what a generated one keeps of its letters is some twenty
}

// writeTrees renders anew what is there, and removes what is rendered no more. The directories stay:
// running containers have them mounted.
func writeTrees(dir string, hosts []render.Host) error {
	wanted := map[string]bool{}
	for _, h := range hosts {
		for _, f := range h.Files {
			wanted[filepath.Join(dir, h.Name, f.Path)] = true
		}
		if err := os.MkdirAll(filepath.Join(dir, h.Name), 0o755); err != nil {
			return err
		}
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !wanted[path] {
			err = os.Remove(path)
		}
		return err
	})
	if err != nil {
		return err
	}
	return render.Write(dir, hosts)
}

func giveTo(dir string, uid, gid int) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}

// settings are NAME=VALUE pairs of .env. The environment wins, as it does for compose.
type settings map[string]string

func readSettings(text string) settings {
	s := settings{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(name, "#") {
			s[strings.TrimPrefix(name, "export ")] = strings.Trim(value, `"'`)
		}
	}
	return s
}

func (s settings) get(name string) string {
	if value, ok := os.LookupEnv(name); ok {
		return value
	}
	return s[name]
}

// inventory is the cluster, in the network that WEIR_NETWORK names.
func (s settings) inventory() (*inventory.Inventory, error) {
	if path := s.get(inventory.Env); path != "" {
		os.Setenv(inventory.Env, path)
	}
	inv, err := inventory.Load()
	if err != nil {
		return nil, err
	}
	to := s.get("WEIR_NETWORK")
	if to == "" {
		return inv, nil
	}
	network, err := netip.ParsePrefix(to)
	if err != nil {
		return nil, fmt.Errorf("WEIR_NETWORK is %q, and must be a network such as %s", to, inv.Network)
	}
	return render.Moved(inv, network)
}

// defaultFiles hold 12,000 clients in one HAProxy process. compose.yml says the same.
const defaultFiles = 65536

func (s settings) files() (int, error) {
	text := s.get("WEIR_FILES")
	if text == "" {
		return defaultFiles, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1024 {
		return 0, fmt.Errorf("WEIR_FILES is %q, and must be a number from 1024: open files of one process", text)
	}
	return n, nil
}

// networkIsFree keeps compose from taking the machine's own network away: its bridge would have the
// same addresses, perhaps the router's.
func (s settings) networkIsFree(inv *inventory.Inventory) error {
	bridge := cmp.Or(s.get("WEIR_BRIDGE"), "weir0")
	interfaces, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, i := range interfaces {
		if i.Name == bridge {
			continue
		}
		own, err := i.Addrs()
		if err != nil {
			continue // it went away
		}
		for _, a := range own {
			if at, err := netip.ParsePrefix(a.String()); err == nil && at.Overlaps(inv.Network.Prefix) {
				return fmt.Errorf("network %s is in use: %s has %s. Set WEIR_NETWORK in .env to another one of the same size, such as 10.87.65.0/24",
					inv.Network, i.Name, a)
			}
		}
	}
	return nil
}

// monitor are the settings of the monitor that .env may hold: they go into its own file of mode
// 0600, as `docker inspect` shows what is in a container's environment.
func (s settings) monitor() map[string]string {
	return s.these("SLACK_WEBHOOK_URL", "SLACK_BOT_TOKEN", "SLACK_CHANNEL", "SLACK_API_URL", "ALERT_WEBHOOK_URL", "HEARTBEAT_URL")
}

// console are those of the server. Without a better word people find it at the published port.
func (s settings) console() map[string]string {
	out := s.these("PUBLIC_URL", "CORS_ORIGIN", "HAPROXY_STATS_URL", "WEIR_TRUSTED_PROXIES")
	if out["PUBLIC_URL"] == "" {
		out["PUBLIC_URL"] = "http://127.0.0.1:" + cmp.Or(s.get("WEIR_CONSOLE_PORT"), "3000")
	}
	return out
}

func (s settings) these(names ...string) map[string]string {
	out := map[string]string{}
	for _, name := range names {
		if value := s.get(name); value != "" {
			out[name] = value
		}
	}
	return out
}

const (
	blockBegin = "# --- From the inventory, by `make secrets`: changes made below are lost ---"
	blockEnd   = "# --- end of what `make secrets` writes ---"
)

// addresses are what compose.yml and Vagrantfile take from the inventory.
func addresses(inv *inventory.Inventory, gateway netip.Addr, uid, gid int, reserved string) string {
	pairs := []string{
		"WEIR_SUBNET=" + inv.Network.String(),
		"WEIR_GATEWAY=" + gateway.String(),
		"WEIR_VIP_ADDRESS=" + inv.VIP.Address.String(),
		"WEIR_RESERVED_PORTS=" + reserved,
		"WEIR_UID=" + strconv.Itoa(uid), "WEIR_GID=" + strconv.Itoa(gid),
		"WEIR_POOLER_PORT=" + strconv.Itoa(inv.PgBouncer.Port),
		"WEIR_MONITOR_PORT=" + strconv.Itoa(inv.Monitor.Port),
		"WEIR_SERVER_PORT=" + strconv.Itoa(inv.Console.Port),
	}
	for _, h := range inv.Hosts() {
		name := strings.ToUpper(strings.ReplaceAll(h.Name, "-", "_"))
		pairs = append(pairs, "WEIR_ADDRESS_"+name+"="+h.Address.String())
	}
	slices.Sort(pairs)
	return blockBegin + "\n" + strings.Join(pairs, "\n") + "\n" + blockEnd + "\n"
}

// reservedPorts is the one sysctl of the edge that the inventory decides; compose sets it from outside.
func reservedPorts(hosts []render.Host) string {
	for _, h := range hosts {
		for _, f := range h.Files {
			for line := range strings.Lines(string(f.Body)) {
				if ports, ok := strings.CutPrefix(line, "net.ipv4.ip_local_reserved_ports = "); ok {
					return strings.TrimSpace(ports)
				}
			}
		}
	}
	return ""
}

// withBlock puts the block in place of the one that is there, or at the end.
func withBlock(text, block string) string {
	before, rest, found := strings.Cut(text, blockBegin)
	if !found {
		return strings.TrimRight(text, "\n") + "\n\n" + block
	}
	_, after, _ := strings.Cut(rest, blockEnd)
	return before + block + strings.TrimPrefix(after, "\n")
}

// replaceFile keeps whoever reads meanwhile from half a file. Slack's token may be in it; whoever
// the file belongs to keeps it, also when root prepares.
func replaceFile(path string, body []byte) error {
	aside := path + ".new"
	if err := os.WriteFile(aside, body, 0o600); err != nil {
		return err
	}
	if old, err := os.Stat(path); err == nil && os.Getuid() == 0 {
		owner := old.Sys().(*syscall.Stat_t)
		if err := os.Chown(aside, int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	return os.Rename(aside, path)
}
