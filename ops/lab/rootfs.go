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
var provisionScripts = map[string][]byte{
	"haproxy": haproxy.Provision, "keepalived": keepalived.Provision,
	"pgbouncer": pgbouncer.Provision, "postgres": postgres.Provision,
}

// EnsureRootfs makes the root file system when it is not there, or when a provision script changed
// since. It is made aside and renamed, so that a crash half-way leaves no half of one. Labs that run
// keep the one they started with.
func (l *Lab) EnsureRootfs(ctx context.Context, say func(string, ...any)) error {
	if err := os.MkdirAll(l.Home, 0o755); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(l.Home, "rootfs.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	want := rootfsVersion()
	stamp := filepath.Join(l.Home, "rootfs.version")
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want {
		return nil
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		return errors.New("mmdebstrap is missing, which makes the hosts' root file system: make up installs it, or apt-get install mmdebstrap")
	}
	say("making the Debian %s root file system with PostgreSQL, PgBouncer, HAProxy and keepalived (once, about half a minute)", Release)
	return l.makeRootfs(ctx, stamp, want)
}

func (l *Lab) makeRootfs(ctx context.Context, stamp, version string) error {
	aside, err := os.MkdirTemp(l.Home, "rootfs-new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(aside)
	root := filepath.Join(aside, "root")
	args := []string{"--quiet", "--variant=minbase", "--include=" + strings.Join(basePackages, ",")}
	for name, script := range provisionScripts {
		file := filepath.Join(aside, "provision-"+name)
		if err := os.WriteFile(file, script, 0o755); err != nil {
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
	if err := os.RemoveAll(stamp); err != nil {
		return err
	}
	old := filepath.Join(aside, "old")
	if err := os.Rename(l.Rootfs(), old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(root, l.Rootfs()); err != nil {
		return err
	}
	return os.WriteFile(stamp, []byte(version), 0o644)
}

// rootfsVersion changes whenever the root file system would be made differently.
func rootfsVersion() string {
	h := sha256.New()
	fmt.Fprintln(h, Release, basePackages)
	for _, name := range []string{"haproxy", "keepalived", "pgbouncer", "postgres"} {
		h.Write(provisionScripts[name])
	}
	return fmt.Sprintf("%x\n", h.Sum(nil))
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
