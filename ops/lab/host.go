package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"weir/ops/render"
)

// hostSpec is what the switch tells a host's first process, on its standard input.
type hostSpec struct {
	Host    render.Host
	Address string // 192.168.1.10/24
	Gateway string
	Rootfs  string
	Disk    string // upper and work directories of the overlay
	Logs    string
	Bin     string
	Files   uint64
	Known   map[string]string // every host's name and address, for /etc/hosts
}

// runHost is the first process of a host: it builds the machine, starts its daemons and keeps them
// running. It returns when the switch asks it to stop.
func runHost(socket string) error {
	var spec hostSpec
	if err := json.NewDecoder(os.Stdin).Decode(&spec); err != nil {
		return fmt.Errorf("read the host's description: %w", err)
	}
	// Listening before the root changes: the socket lies outside, where the command line finds it.
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	if err := buildHost(&spec); err != nil {
		return err
	}
	sup := newSupervisor(spec.Host.Address.String(), "/var/log/weir")
	for _, p := range spec.Host.Processes {
		sup.add(p)
	}
	srv := &http.Server{Handler: sup.handler()}
	go srv.Serve(ln)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	sup.stopAll()
	return srv.Shutdown(context.Background())
}

func buildHost(spec *hostSpec) error {
	steps := []struct {
		what string
		do   func(*hostSpec) error
	}{
		{"mount its disks", mountHost},
		{"set its host name", func(s *hostSpec) error { return unix.Sethostname([]byte(s.Host.Name)) }},
		{"write its files", writeHostFiles},
		{"bring its network up", startNetwork},
		{"raise its file limit", func(s *hostSpec) error { return raiseFiles(s.Files) }},
	}
	for _, step := range steps {
		if err := step.do(spec); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// mountHost makes the host's file system: the shared root below, its own disk above, and changes
// into it. All of it lives in this process's mount namespace and ends with it.
func mountHost(s *hostSpec) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	upper, work, root := filepath.Join(s.Disk, "upper"), filepath.Join(s.Disk, "work"), filepath.Join(s.Disk, "root")
	for _, dir := range []string{upper, work, root, s.Logs} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	overlay := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", s.Rootfs, upper, work)
	if err := unix.Mount("overlay", root, "overlay", 0, overlay); err != nil {
		return fmt.Errorf("overlay on %s (its file system must support overlayfs upper directories): %w", s.Disk, err)
	}
	in := func(path string) string { return filepath.Join(root, path) }
	mounts := []struct {
		source, target, kind string
		flags                uintptr
		data                 string
	}{
		{"proc", in("/proc"), "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"sysfs", in("/sys"), "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RDONLY, ""},
		{"tmpfs", in("/dev"), "tmpfs", unix.MS_NOSUID, "mode=755"},
		{"tmpfs", in("/run"), "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
		{"tmpfs", in("/tmp"), "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	}
	for _, m := range mounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	if err := makeDevices(root); err != nil {
		return err
	}
	if err := bind(s.Logs, in("/var/log/weir"), false); err != nil {
		return err
	}
	if err := bind(s.Bin, in(render.Programs), true); err != nil {
		return err
	}
	return changeRoot(root)
}

// makeDevices binds the harmless devices of the machine and gives the host its own terminals and
// shared memory.
func makeDevices(root string) error {
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		target := filepath.Join(root, "dev", name)
		if err := os.WriteFile(target, nil, 0o666); err != nil {
			return err
		}
		if err := unix.Mount(filepath.Join("/dev", name), target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind /dev/%s: %w", name, err)
		}
	}
	for _, m := range []struct{ kind, dir, data string }{
		{"devpts", "pts", "newinstance,ptmxmode=0666,mode=620"},
		{"tmpfs", "shm", "mode=1777"},
	} {
		target := filepath.Join(root, "dev", m.dir)
		if err := os.Mkdir(target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, target, m.kind, unix.MS_NOSUID|unix.MS_NOEXEC, m.data); err != nil {
			return fmt.Errorf("mount /dev/%s: %w", m.dir, err)
		}
	}
	links := map[string]string{"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0",
		"stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(root, "dev", name)); err != nil {
			return err
		}
	}
	return nil
}

func bind(source, target string, readOnly bool) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", target, err)
	}
	if !readOnly {
		return nil
	}
	return unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

func changeRoot(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	// The old root is stacked on the new one and lifted off again: no directory for it is needed.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	return os.Chdir("/")
}

func writeHostFiles(s *hostSpec) error {
	var hosts strings.Builder
	hosts.WriteString("127.0.0.1 localhost\n")
	for name, addr := range s.Known {
		fmt.Fprintf(&hosts, "%s %s\n", addr, name)
	}
	if err := os.WriteFile("/etc/hosts", []byte(hosts.String()), 0o644); err != nil {
		return err
	}
	for _, f := range s.Host.Files {
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(f.Path, f.Body, 0o600); err != nil {
			return err
		}
		uid, gid, err := owner(f.Owner)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		if err := os.Chown(f.Path, uid, gid); err != nil {
			return err
		}
		if err := os.Chmod(f.Path, f.Mode); err != nil {
			return err
		}
	}
	return nil
}

// owner resolves user[:group] in the host's own /etc/passwd; the group defaults to the user's.
func owner(name string) (uid, gid int, err error) {
	if name == "" {
		return 0, 0, nil
	}
	userName, groupName, hasGroup := strings.Cut(name, ":")
	u, err := user.Lookup(userName)
	if err != nil {
		return 0, 0, err
	}
	group := u.Gid
	if hasGroup {
		g, err := user.LookupGroup(groupName)
		if err != nil {
			return 0, 0, err
		}
		group = g.Gid
	}
	uid, err = strconv.Atoi(u.Uid)
	if err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(group)
	return uid, gid, err
}

func startNetwork(s *hostSpec) error {
	if err := applySysctls("/etc/sysctl.d/60-weir.conf"); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	eth, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(s.Address)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(eth, addr); err != nil {
		return fmt.Errorf("address %s: %w", s.Address, err)
	}
	return netlink.LinkSetUp(eth)
}

// applySysctls does what systemd-sysctl does on a real machine. A setting that a network namespace
// does not have is left alone there: it belongs to the whole machine.
func applySysctls(path string) error {
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		if !strings.HasPrefix(key, "net.") {
			continue
		}
		file := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
		err := os.WriteFile(file, []byte(strings.TrimSpace(value)), 0o644)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sysctl %s: %w", key, err)
		}
	}
	return nil
}

// raiseFiles sets the limit for this process and, because it is set explicitly, for all it starts;
// the Go runtime would otherwise give children the soft limit it was born with.
func raiseFiles(n uint64) error {
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n})
}
