package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// ErrDown says that the lab is not running.
var ErrDown = errors.New("the lab is not running: make up starts it")

// ProcessStatus is one process of one host.
type ProcessStatus struct {
	Host string `json:"host"`
	Status
}

// Hosts lists the hosts as the switch sees them.
func (l *Lab) Hosts(ctx context.Context) ([]HostStatus, error) {
	var out []HostStatus
	return out, l.call(ctx, "switch", "GET", "/hosts", &out)
}

// Processes lists every process of every host that is on.
func (l *Lab) Processes(ctx context.Context) ([]ProcessStatus, error) {
	hosts, err := l.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	var out []ProcessStatus
	for _, h := range hosts {
		if !h.Up {
			out = append(out, ProcessStatus{Host: h.Name, Status: Status{Name: "host", State: Stopped}})
			continue
		}
		var list []Status
		if err := l.call(ctx, h.Name, "GET", "/processes", &list); err != nil {
			return nil, fmt.Errorf("host %s: %w", h.Name, err)
		}
		for _, s := range list {
			out = append(out, ProcessStatus{h.Name, s})
		}
	}
	return out, nil
}

// Order tells the supervisor of a host what to do with a process: kill, stop, start, restart,
// freeze, thaw or reload. It returns when that has happened. After kill the supervisor starts the
// process again, unless stayDown.
func (l *Lab) Order(ctx context.Context, verb, host, process string, stayDown bool) error {
	query := ""
	if stayDown {
		query = "?stay-down=1"
	}
	return l.call(ctx, host, "POST", "/processes/"+url.PathEscape(process)+"/"+verb+query, nil)
}

// Cut takes a host off the network, or off from some hosts only.
func (l *Lab) Cut(ctx context.Context, host string, from ...string) error {
	return l.network(ctx, host, "cut", url.Values{"from": {strings.Join(from, ",")}})
}

// Heal undoes Cut and Slow.
func (l *Lab) Heal(ctx context.Context, host string) error { return l.network(ctx, host, "heal", nil) }

// Slow delays every frame of a host each way and loses some, in per cent.
func (l *Lab) Slow(ctx context.Context, host string, delay time.Duration, loss float64) error {
	return l.network(ctx, host, "slow", url.Values{
		"delay": {delay.String()}, "loss": {strconv.FormatFloat(loss, 'g', -1, 64)}})
}

// Power switches a whole host off, as when its power fails, or on again.
func (l *Lab) Power(ctx context.Context, host string, on bool) error {
	verb := "off"
	if on {
		verb = "on"
	}
	return l.network(ctx, host, verb, nil)
}

func (l *Lab) network(ctx context.Context, host, verb string, v url.Values) error {
	return l.call(ctx, "switch", "POST", "/hosts/"+url.PathEscape(host)+"/"+verb+"?"+v.Encode(), nil)
}

// call asks the switch or a host over its control socket.
func (l *Lab) call(ctx context.Context, peer, method, path string, answer any) error {
	if !l.Running() {
		return ErrDown
	}
	ctx, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialSocket(ctx, filepath.Join(l.runDir(), peer+".sock"))
		},
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://lab"+path, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("no host %q in this lab: there are %s", peer, strings.Join(l.HostNames(), ", "))
	}
	if err != nil {
		return errors.Unwrap(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return errors.New(strings.TrimSpace(string(text)))
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// dialSocket connects by way of the directory's descriptor: a socket's path may have 107 bytes only,
// and a project can lie deeper than that.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	var d net.Dialer
	return d.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
}

// Dial connects from inside the lab's network, as the switch's own address.
func (l *Lab) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	dial, err := l.Dialer("")
	if err != nil {
		return nil, err
	}
	return dial(ctx, network, address)
}

// Dialer connects from a host of the lab, for one life of it; "" is the switch, which no fault cuts off.
func (l *Lab) Dialer(host string) (func(ctx context.Context, network, address string) (net.Conn, error), error) {
	pid := l.switchPID()
	if pid != 0 && host != "" {
		pid = l.hostPID(host)
	}
	if pid == 0 {
		return nil, ErrDown
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialIn(ctx, pid, network, address)
	}, nil
}

// Listen listens inside the lab's network, at an address of the switch (Gateway).
func (l *Lab) Listen(ctx context.Context, address string) (net.Listener, error) {
	pid := l.switchPID()
	if pid == 0 {
		return nil, ErrDown
	}
	back, err := enterNetwork(pid)
	if err != nil {
		return nil, err
	}
	defer back()
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp4", address)
}

// dialIn makes a connection whose socket belongs to the network namespace of a process. A socket
// stays where it was made, so only the one thread that makes it has to go there and come back.
func dialIn(ctx context.Context, pid int, network, address string) (net.Conn, error) {
	if host, _, err := net.SplitHostPort(address); err != nil || net.ParseIP(host) == nil {
		return nil, fmt.Errorf("dial %s: the lab has addresses only, no names", address)
	}
	back, err := enterNetwork(pid)
	if err != nil {
		return nil, err
	}
	defer back()
	d := net.Dialer{Control: func(string, string, syscall.RawConn) error {
		back() // the socket is made: waiting for the connection needs no thread
		return nil
	}}
	return d.DialContext(ctx, network, address)
}

// enterNetwork takes this goroutine's thread into the network namespace of a process until back is called.
func enterNetwork(pid int) (back func(), err error) {
	there, err := netns.GetFromPid(pid)
	if err != nil {
		return nil, ErrDown
	}
	defer there.Close()
	runtime.LockOSThread()
	here, err := netns.Get()
	if err == nil {
		err = netns.Set(there)
	}
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("enter the lab's network: %w", err)
	}
	return sync.OnceFunc(func() {
		defer here.Close()
		// A thread that cannot come back must not serve others: it stays locked and ends with its goroutine.
		if netns.Set(here) == nil {
			runtime.UnlockOSThread()
		}
	}), nil
}

// Addresses lists the addresses that a host's kernel has: who holds the VIP, by no word but its own.
func (l *Lab) Addresses(host string) ([]netip.Addr, error) {
	pid := l.hostPID(host)
	if pid == 0 {
		return nil, fmt.Errorf("host %s is off", host)
	}
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	inside, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer inside.Close()
	list, err := inside.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range list {
		if addr, ok := netip.AddrFromSlice(a.IP.To4()); ok {
			out = append(out, addr)
		}
	}
	return out, nil
}

// Enter replaces this program by one that runs on a host: in its mounts, processes and network.
// It returns only on error.
func (l *Lab) Enter(host string, argv, env []string) error {
	args, err := l.EnterCommand(host, argv)
	if err != nil {
		return err
	}
	return unix.Exec(args[0], args, env)
}

// EnterCommand is the command that runs argv on a host.
func (l *Lab) EnterCommand(host string, argv []string) ([]string, error) {
	if !l.Running() {
		return nil, ErrDown
	}
	pid := l.hostPID(host)
	if pid == 0 {
		return nil, fmt.Errorf("no host %q runs in this lab: there are %s", host, strings.Join(l.HostNames(), ", "))
	}
	return append([]string{"/usr/bin/nsenter", "--target", strconv.Itoa(pid), "--all", "--root", "--wdns=/", "--"}, argv...), nil
}

// takenBy names who listens on a port, where /proc tells.
func takenBy(address string) string {
	_, port, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(port)
	inode := listenInode(n)
	if inode == "" {
		return ""
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if to, err := os.Readlink(link); err != nil || to != "socket:["+inode+"]" {
			continue
		}
		dir := filepath.Dir(filepath.Dir(link))
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if errors.Is(err, syscall.ENOENT) {
			continue
		}
		return fmt.Sprintf(" by %s (process %s)", strings.TrimSpace(string(name)), filepath.Base(dir))
	}
	return ""
}

// listenInode finds the socket that listens on a TCP port, in this network namespace.
func listenInode(port int) string {
	const listening = "0A"
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		body, _ := os.ReadFile(table)
		for line := range strings.Lines(string(body)) {
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == listening && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				return f[9]
			}
		}
	}
	return ""
}
