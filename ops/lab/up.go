package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"weir/ops/inventory"
	"weir/ops/render"
)

// Config is what a lab is started with.
type Config struct {
	Inventory *inventory.Inventory
	Bin       string               // programs built here, to be found at render.Programs in every host
	Monitor   map[string]string    // settings of the monitor: where Slack is, for one
	Console   map[string]string    // settings of the server: where people find it, for one; nil is a lab without it
	Forwards  []Forward            // ports of the outside loopback; none for a lab of a test
	Say       func(string, ...any) // progress, a line each
}

// maxFiles is what the lab asks the machine for; it takes what it gets.
const maxFiles = 1 << 20

// FileLimit is how many files a process may have open on this machine: it raises this process's
// own limit as far as it goes.
func FileLimit() (int, error) {
	var have syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have); err != nil {
		return 0, err
	}
	for _, want := range []uint64{maxFiles, have.Max} {
		if want < have.Max {
			continue
		}
		if err := raiseFiles(want); err == nil {
			return int(min(want, maxFiles)), nil
		}
	}
	return int(have.Cur), nil
}

// Up starts the lab, or finds it started, and returns when every daemon runs. An error says which
// host and process, with the end of its log.
func (l *Lab) Up(ctx context.Context, cfg Config) (already bool, err error) {
	if os.Geteuid() != 0 {
		return false, errors.New("a lab is made of namespaces, which needs root: run it with sudo")
	}
	if err := l.EnsureRootfs(ctx, cfg.Say); err != nil {
		return false, err
	}
	for _, dir := range []string{l.Dir, l.runDir(), filepath.Dir(l.switchLog())} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return false, err
		}
	}
	unlock, err := lock(filepath.Join(l.Dir, "lock"))
	if err != nil {
		return false, err
	}
	defer unlock()
	p, err := l.plan(cfg)
	if err != nil {
		return false, err
	}
	if l.Running() {
		return true, l.sameAs(p)
	}
	if err := l.start(p); err != nil {
		return false, err
	}
	if err := l.waitReady(ctx, cfg.Say); err != nil {
		return false, errors.Join(err, l.Down(context.WithoutCancel(ctx)))
	}
	return false, nil
}

func (l *Lab) plan(cfg Config) (*plan, error) {
	secrets, err := l.Secrets()
	if err != nil {
		return nil, err
	}
	files, err := FileLimit()
	if err != nil {
		return nil, err
	}
	hosts, err := render.Hosts(cfg.Inventory, secrets, render.Place{Files: files, Monitor: cfg.Monitor, Console: cfg.Console})
	if err != nil {
		return nil, err
	}
	for i := range hosts {
		if hosts[i].Name == cfg.Inventory.Console.Name && cfg.Console == nil {
			hosts[i].Files, hosts[i].Processes = nil, nil
		}
	}
	client, gateway, err := ownAddresses(cfg.Inventory)
	if err != nil {
		return nil, err
	}
	hosts = append(hosts, render.Host{
		Node:  inventory.Node{Name: ClientHost, Address: inventory.Addr{Addr: client}},
		Files: clientFiles(cfg.Inventory, secrets),
	})
	return &plan{
		Network: cfg.Inventory.Network.String(), Hosts: hosts, Forwards: cfg.Forwards,
		Gateway: netip.PrefixFrom(gateway, cfg.Inventory.Network.Bits()).String(),
		Rootfs:  l.Rootfs(), Bin: cfg.Bin, Files: uint64(files),
	}, nil
}

// ownAddresses picks two addresses for what only the lab has: the client machine and the switch.
func ownAddresses(inv *inventory.Inventory) (client, gateway netip.Addr, err error) {
	taken := map[netip.Addr]bool{inv.VIP.Address.Addr: true}
	for _, h := range inv.Hosts() {
		taken[h.Address.Addr] = true
	}
	var free []netip.Addr
	for a := inv.Network.Addr().Next().Next(); inv.Network.Contains(a.Next()) && len(free) < 2; a = a.Next() {
		if !taken[a] {
			free = append(free, a)
		}
	}
	if len(free) < 2 {
		return client, gateway, fmt.Errorf("network %s has no two free addresses for the lab's client and switch", inv.Network)
	}
	return free[0], free[1], nil
}

// Gateway is the switch's own address in a lab of this inventory: where something that the hosts are
// to reach can listen.
func Gateway(inv *inventory.Inventory) (netip.Addr, error) {
	_, gateway, err := ownAddresses(inv)
	return gateway, err
}

// clientFiles let psql and pgbench on the client machine connect without a password typed.
func clientFiles(inv *inventory.Inventory, s inventory.Secrets) []inventory.File {
	pass := fmt.Sprintf("%s:*:*:postgres:%s\n%s:*:*:postgres:%s\n", inv.VIP.Address, s.Postgres, "*", s.Postgres)
	sysctl := "# A load generator opens and closes more connections than the default ports last for.\n" +
		"net.ipv4.ip_local_port_range = 1024 65535\nnet.ipv4.tcp_tw_reuse = 1\n"
	return []inventory.File{
		{Path: "/root/.pgpass", Mode: 0o600, Body: []byte(pass)},
		{Path: "/etc/sysctl.d/60-weir.conf", Mode: 0o644, Body: []byte(sysctl)},
	}
}

// sameAs refuses to call a lab up that was started from another inventory.
func (l *Lab) sameAs(p *plan) error {
	running, err := l.readPlan()
	if err != nil {
		return err
	}
	again := &plan{} // through JSON as well, so that both have the same shape
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, again); err != nil {
		return err
	}
	if !reflect.DeepEqual(running, again) {
		return errors.New("the inventory, a port or a template changed since this lab was started: make down, then make up, to apply it")
	}
	return nil
}

// start launches the switch with the forwards' listeners, which are opened here: outside.
func (l *Lab) start(p *plan) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	aside := l.planPath() + ".new"
	if err := os.WriteFile(aside, body, 0o600); err != nil {
		return err
	}
	if err := os.Rename(aside, l.planPath()); err != nil {
		return err
	}
	listeners, err := listenAll(p.Forwards)
	if err != nil {
		return err
	}
	defer closeAll(listeners)
	if err := os.RemoveAll(filepath.Join(l.runDir(), "switch.sock")); err != nil {
		return err
	}
	out, err := os.Create(l.switchLog())
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command("/proc/self/exe", switchCommand, l.Dir)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = "/", out, out, listeners
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the lab's switch (it makes namespaces): %w", err)
	}
	return cmd.Process.Release()
}

// listenAll opens the ports of the outside loopback, or says what holds the one that is taken.
func listenAll(forwards []Forward) ([]*os.File, error) {
	var files []*os.File
	for _, f := range forwards {
		ln, err := net.Listen("tcp", f.Listen)
		if err != nil {
			closeAll(files)
			if errors.Is(err, syscall.EADDRINUSE) {
				return nil, fmt.Errorf("port %s for %s is taken%s: set %s to another",
					f.Listen, f.Name, takenBy(f.Listen), f.Variable)
			}
			return nil, fmt.Errorf("open %s for %s: %w", f.Listen, f.Name, err)
		}
		file, err := ln.(*net.TCPListener).File()
		ln.Close()
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// Running reports whether the lab's switch lives.
func (l *Lab) Running() bool { return l.switchPID() != 0 }

// switchPID finds the switch by its command line, so that no file about it can be out of date.
func (l *Lab) switchPID() int { return findProcess(switchCommand, l.Dir) }

// hostPID finds the first process of a host, as numbered outside.
func (l *Lab) hostPID(host string) int {
	return findProcess(hostCommand, filepath.Join(l.runDir(), host+".sock"))
}

func findProcess(command, argument string) int {
	want := "\x00" + command + "\x00" + argument + "\x00"
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || !strings.HasSuffix(string(line), want) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(dir))
		return pid
	}
	return 0
}

// waitReady returns when every process of every host runs.
func (l *Lab) waitReady(ctx context.Context, say func(string, ...any)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	said := map[string]bool{}
	for {
		waiting, err := l.notReady(ctx, said, say)
		if err == nil && len(waiting) == 0 {
			return nil
		}
		if !l.Running() {
			return fmt.Errorf("the lab's switch ended:\n%s", tail(l.switchLog(), 20))
		}
		select {
		case <-ctx.Done():
			return l.whyNotReady(waiting, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (l *Lab) notReady(ctx context.Context, said map[string]bool, say func(string, ...any)) ([]ProcessStatus, error) {
	all, err := l.Processes(ctx)
	if err != nil {
		return nil, err
	}
	var waiting []ProcessStatus
	for _, p := range all {
		if p.State != Running {
			waiting = append(waiting, p)
			continue
		}
		if key := p.Host + " " + p.Name; !said[key] {
			said[key] = true
			say("%-10s %s runs", p.Host, p.Name)
		}
	}
	return waiting, nil
}

func (l *Lab) whyNotReady(waiting []ProcessStatus, err error) error {
	errs := []error{errors.New("the lab did not come up within a minute")}
	if err != nil {
		errs = append(errs, err)
	}
	for _, p := range waiting {
		errs = append(errs, fmt.Errorf("%s: %s is %s, last end %q; the end of its log:\n%s",
			p.Host, p.Name, p.State, p.Last, tail(l.LogPath(p.Host, p.Name), 8)))
	}
	return errors.Join(errs...)
}

func tail(path string, lines int) string {
	body, err := os.ReadFile(path)
	if err != nil {
		return "  (" + err.Error() + ")"
	}
	return lastLines(body, lines)
}

// Down ends the lab and returns when no process of it is left. What it made, mounts and networks,
// ends with its processes; disks and secrets stay.
func (l *Lab) Down(ctx context.Context) error {
	pid := l.switchPID()
	if pid == 0 {
		return nil
	}
	handle, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(handle)
	unix.PidfdSendSignal(handle, unix.SIGTERM, nil, 0)
	if waitGone(handle, stopTimeout+8*time.Second) {
		return nil
	}
	// Its whole PID namespace dies with it, whatever state its hosts are in.
	unix.PidfdSendSignal(handle, unix.SIGKILL, nil, 0)
	if !waitGone(handle, 10*time.Second) {
		return fmt.Errorf("the lab's switch, process %d, does not end", pid)
	}
	return nil
}

// waitGone waits until the process has ended and all its namespaces' processes with it.
func waitGone(handle int, limit time.Duration) bool {
	deadline := time.Now().Add(limit)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(handle), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return n > 0 && err == nil
	}
}

// readPlan reads what the lab was last started with.
func (l *Lab) readPlan() (*plan, error) {
	body, err := os.ReadFile(l.planPath())
	if err != nil {
		return nil, err
	}
	p := &plan{}
	return p, json.Unmarshal(body, p)
}

// HostNames lists the hosts of a lab that has been started once.
func (l *Lab) HostNames() []string {
	p, err := l.readPlan()
	if err != nil {
		return nil
	}
	var names []string
	for _, h := range p.Hosts {
		names = append(names, h.Name)
	}
	slices.Sort(names)
	return names
}
