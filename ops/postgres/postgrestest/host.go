// Package postgrestest runs the real programs for tests: one sealed machine (network, mounts and
// processes of its own) over a Debian root file system, which stays as it was. It needs root.
package postgrestest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/ops/inventory"
)

// Env names the variable that holds the path of the root file system.
const Env = "WEIR_ROOTFS"

// Host is a running machine that has every address it was started with.
type Host struct {
	init *exec.Cmd
	hold *os.File // the machine ends when this end of its standard input closes
	logs sync.Map // process name -> *Log
}

// build makes the machine: an overlay above the root file system, a loopback with all addresses.
// Its mounts are its own, so its /tmp can hold them, and nothing is left of it. Its last line keeps
// it alive until the test process closes the pipe, however that ends.
const build = `set -eu
cd "$1"; shift
mount --make-rprivate /
mount -t tmpfs tmpfs /tmp
root=/tmp/root
mkdir /tmp/upper /tmp/work "$root"
mount -t overlay overlay -o lowerdir=.,upperdir=/tmp/upper,workdir=/tmp/work "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/dev"
for d in null zero urandom random; do : >"$root/dev/$d"; mount --bind "/dev/$d" "$root/dev/$d"; done
mkdir -m 1777 "$root/dev/shm"
ln -s /proc/self/fd/2 "$root/dev/stderr"
chmod 1777 "$root/tmp"
ip link set lo up
for a in "$@"; do ip addr add "$a/32" dev lo; done
cd "$root"
exec chroot . /bin/sh -c 'echo ready; read -r _'
`

// Start builds a machine with these addresses. It ends with everything on it at Stop, and at the
// latest with the test process.
func Start(addresses ...inventory.Addr) (*Host, error) {
	rootfs := os.Getenv(Env)
	if rootfs == "" {
		return nil, errors.New(Env + " is not set: these tests run the real programs of a Debian root file system")
	}
	in, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	h := &Host{hold: hold, init: exec.Command("/bin/sh", "-c", build, "build", rootfs)}
	for _, a := range addresses {
		h.init.Args = append(h.init.Args, a.String())
	}
	h.init.Stdin, h.init.Stderr = in, os.Stderr
	h.init.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID}
	out, err := h.init.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.init.Start(); err != nil {
		return nil, fmt.Errorf("start host (needs root): %w", err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		h.Stop()
		return nil, fmt.Errorf("start host: %w", err)
	}
	return h, nil
}

// Own is a machine of the test's own with these files.
func Own(t testing.TB, address inventory.Addr, files []inventory.File) *Host {
	t.Helper()
	h, err := Start(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Stop)
	if err := h.Write(files); err != nil {
		t.Fatal(err)
	}
	return h
}

// Stop ends the machine with everything that runs on it. It may be called again.
func (h *Host) Stop() {
	h.hold.Close()
	h.init.Wait()
}

// Write puts files in their places.
func (h *Host) Write(files []inventory.File) error {
	for _, f := range files {
		script := `mkdir -p "$(dirname "$1")" && cat >"$1" && chown "$2" "$1" && chmod "$3" "$1"`
		owner := f.Owner
		if owner == "" {
			owner = "root"
		}
		cmd := h.command("/bin/sh", "-c", script, "write", f.Path, owner, strconv.FormatUint(uint64(f.Mode), 8))
		cmd.Stdin = bytes.NewReader(f.Body)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("write %s: %w: %s", f.Path, err, out)
		}
	}
	return nil
}

// Run does one command as root and returns what it printed.
func (h *Host) Run(argv ...string) (string, error) {
	out, err := h.command(argv...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, bytes.TrimSpace(out))
	}
	return string(out), err
}

// Launch starts a process as the lab's supervisor would, waits until it is ready, and runs what
// comes after.
func (h *Host) Launch(ctx context.Context, p inventory.Process) error {
	if len(p.Prepare) > 0 {
		if _, err := h.Run(p.Prepare...); err != nil {
			return fmt.Errorf("prepare %s: %w", p.Name, err)
		}
	}
	argv := append([]string{"setpriv", "--reuid=" + p.User, "--regid=" + p.User, "--init-groups"}, p.Argv...)
	cmd, log := h.command(argv...), &Log{}
	cmd.Stdout, cmd.Stderr = log, log
	h.logs.Store(p.Name, log)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := h.accepts(ctx, p.Ready, ended); err != nil {
		return fmt.Errorf("start %s: %w\n%s", p.Name, err, log)
	}
	if len(p.After) == 0 {
		return nil
	}
	_, err := h.Run(p.After...)
	return err
}

// accepts polls the port, for a listener announces itself in no other way.
func (h *Host) accepts(ctx context.Context, port int, ended <-chan error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := h.Dial(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			return conn.Close()
		}
		select {
		case err := <-ended:
			return fmt.Errorf("it ended: %v", err)
		case <-ctx.Done():
			return fmt.Errorf("wait for port %d: %w", port, ctx.Err())
		case <-tick.C:
		}
	}
}

// Log is what a launched process wrote so far.
func (h *Host) Log(process string) string {
	if log, ok := h.logs.Load(process); ok {
		return log.(*Log).String()
	}
	return ""
}

// command runs inside the machine.
func (h *Host) command(argv ...string) *exec.Cmd {
	pid := strconv.Itoa(h.init.Process.Pid)
	return exec.Command("nsenter", append([]string{"--target", pid, "--net", "--mount", "--pid",
		"--root=" + filepath.Join("/proc", pid, "root"), "--wd=" + filepath.Join("/proc", pid, "root"), "--"}, argv...)...)
}

// Dial connects from inside the machine.
func (h *Host) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return h.DialFrom(inventory.Addr{})(ctx, network, addr)
}

// DialFrom connects from inside the machine with that address as the client's.
func (h *Host) DialFrom(from inventory.Addr) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		var d net.Dialer
		if from.IsValid() {
			d.LocalAddr = &net.TCPAddr{IP: from.AsSlice()}
		}
		var conn net.Conn
		err := h.inside(func() (err error) {
			conn, err = d.DialContext(ctx, network, addr)
			return err
		})
		return conn, err
	}
}

// inside calls do on a thread that is in the machine's network. The thread is not given back: it
// ends with its goroutine.
func (h *Host) inside(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", h.init.Process.Pid))
		if err != nil {
			done <- err
			return
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the host's network: %w", err)
			return
		}
		done <- do()
	}()
	return <-done
}

// Log is read while it is written.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
