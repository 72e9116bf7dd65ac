package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"weir/ops/haproxy"
	"weir/ops/keepalived"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
)

// Release is the Debian release that every host stands on, in the lab as in the images.
const Release = "trixie"

// basePackages are what a person who looks into a host expects there.
var basePackages = []string{"ca-certificates", "curl", "iproute2", "less", "procps"}

// provisionScripts install each component; the same ones run in the images and on Debian hosts.
// Always in this order: the users they make get their numbers by it.
var provisionScripts = []struct {
	name string
	body []byte
}{
	{"postgres", postgres.Provision}, {"pgbouncer", pgbouncer.Provision},
	{"haproxy", haproxy.Provision}, {"keepalived", keepalived.Provision},
}

// Rootfs is the Debian root file system that every host of every lab stands on. Its name changes with
// what it is made of, so that labs that run keep the one they started with.
func (l *Lab) Rootfs() string { return filepath.Join(l.Home, "rootfs", rootfsVersion()) }

// EnsureRootfs makes the root file system when it is not there. It is made aside and renamed, so
// that a crash half-way leaves no half of one.
func (l *Lab) EnsureRootfs(ctx context.Context, say func(string, ...any)) error {
	if err := os.MkdirAll(filepath.Dir(l.Rootfs()), 0o755); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(l.Home, "rootfs.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(l.Rootfs()); err == nil {
		return nil
	}
	halves, _ := filepath.Glob(filepath.Join(l.Home, "rootfs-new-*")) // of a crash; the lock is ours
	for _, half := range halves {
		if err := os.RemoveAll(half); err != nil {
			return err
		}
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		return errors.New("mmdebstrap is missing, which makes the hosts' root file system: make up installs it, or apt-get install mmdebstrap")
	}
	say("making the Debian %s root file system with PostgreSQL, PgBouncer, HAProxy and keepalived (once, about half a minute)", Release)
	if err := l.makeRootfs(ctx); err != nil {
		return err
	}
	return l.removeOldRootfs()
}

// removeOldRootfs removes what earlier versions made, but for what a running lab stands on.
func (l *Lab) removeOldRootfs() error {
	keep := map[string]bool{l.Rootfs(): true}
	plans, _ := filepath.Glob(filepath.Join(l.Home, "labs", "*", "plan.json"))
	for _, path := range plans {
		other, err := Open(l.Home, filepath.Base(filepath.Dir(path)))
		if err != nil || !other.Running() {
			continue
		}
		if p, err := other.readPlan(); err == nil {
			keep[p.Rootfs] = true
		}
	}
	all, _ := filepath.Glob(filepath.Join(l.Home, "rootfs", "*"))
	for _, dir := range all {
		if !keep[dir] {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *Lab) makeRootfs(ctx context.Context) error {
	aside, err := os.MkdirTemp(l.Home, "rootfs-new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(aside)
	root := filepath.Join(aside, "root")
	args := []string{"--quiet", "--variant=minbase", "--include=" + strings.Join(basePackages, ",")}
	for _, script := range provisionScripts {
		name := script.name
		file := filepath.Join(aside, "provision-"+name)
		if err := os.WriteFile(file, script.body, 0o755); err != nil {
			return err
		}
		// Inside mmdebstrap's own chroot, which has the package lists and no running services.
		args = append(args, fmt.Sprintf(`--customize-hook=copy-in %q /root`, file),
			fmt.Sprintf(`--customize-hook=chroot "$1" sh /root/provision-%s install && rm "$1/root/provision-%s"`, name, name))
	}
	cmd := exec.CommandContext(ctx, "mmdebstrap", append(args, Release, root)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("make the root file system: %w\n%s", err, lastLines(out.Bytes(), 20))
	}
	return os.Rename(root, l.Rootfs())
}

// rootfsVersion changes whenever the root file system would be made differently.
func rootfsVersion() string {
	h := sha256.New()
	fmt.Fprintln(h, Release, basePackages)
	for _, script := range provisionScripts {
		h.Write(script.body)
	}
	return fmt.Sprintf("%s-%.6x", Release, h.Sum(nil))
}

// lock waits for the file's lock; the kernel gives it up when its holder dies.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

func lastLines(body []byte, n int) string {
	lines := strings.Split(strings.TrimRight(string(body), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
