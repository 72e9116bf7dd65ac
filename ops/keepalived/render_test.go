package keepalived

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"weir/ops/inventory"
	"weir/ops/inventory/golden"
)

var testSecrets = inventory.Secrets{HAProxyStats: "a-password-for-tests"}

func TestEveryFileOfANodeIsAsReviewed(t *testing.T) {
	inv := inventory.Default()
	for i, node := range inv.HAProxy.Nodes {
		files, err := Render(inv, node, testSecrets, 2-i) // the second node with one process
		if err != nil {
			t.Fatal(err)
		}
		golden.Files(t, node.Name, files)
	}
}

func TestOnlyAnHAProxyNodeGetsKeepalived(t *testing.T) {
	inv := inventory.Default()
	if _, err := Render(inv, inv.PgBouncer.Poolers[0], testSecrets, 1); err == nil || !strings.Contains(err.Error(), "pgb1") {
		t.Errorf("rendered for a pooler: %v", err)
	}
}

// rootfs is the Debian root that WEIR_ROOTFS names, with the real keepalived; make test sets it.
func rootfs(t *testing.T) string {
	t.Helper()
	root := os.Getenv("WEIR_ROOTFS")
	if _, err := os.Stat(filepath.Join(root, "usr/sbin/keepalived")); root == "" || err != nil {
		t.Fatal("this test runs the real keepalived: let WEIR_ROOTFS name a Debian root that has it, as make test does")
	}
	if os.Getuid() != 0 {
		t.Fatal("this test makes a network namespace: run it as root, as make test does")
	}
	return root
}

// check lets the real keepalived read the rendered files after edit, and returns what it prints.
func check(t *testing.T, node inventory.Node, edit func(string) string) string {
	t.Helper()
	root, dir := rootfs(t), t.TempDir()
	files, err := Render(inventory.Default(), node, testSecrets, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasPrefix(f.Path, "/etc/keepalived/") {
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(f.Path)), []byte(edit(string(f.Body))), f.Mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	script := `set -e
cp -n "$1"/etc/keepalived/* "$2/" # keepalived.config-opts of the package
mount --make-rprivate /
for dir in run etc/keepalived; do mount -t tmpfs none "$1/$dir"; done
chmod 755 "$1/etc/keepalived" # a world-writable folder makes the scripts in it insecure
cp "$2"/* "$1/etc/keepalived/"
ip link add eth0 type veth peer name far
ip addr add $3 dev eth0
ip link set far up
ip link set eth0 up
cd /
chroot "$1" /usr/sbin/keepalived -t -f /etc/keepalived/keepalived.conf || echo "exit status $?"`
	cmd := exec.Command("/bin/sh", "-c", script, "sh", root, dir, node.Address.String()+"/24")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// TestKeepalivedFindsNothingToSay judges by what keepalived -t prints: its exit status says little.
func TestKeepalivedFindsNothingToSay(t *testing.T) {
	for _, node := range inventory.Default().HAProxy.Nodes {
		if said := check(t, node, func(s string) string { return s }); said != "" {
			t.Errorf("%s: keepalived -t says\n%s", node.Name, said)
		}
	}
}

func TestKeepalivedSaysWhatIsWrong(t *testing.T) {
	node := inventory.Default().HAProxy.Nodes[0]
	for _, c := range []struct{ name, from, to, want string }{
		{"a word it does not know", "nopreempt", "nopreemt", "nopreemt"},
		{"a script that is not there", "weir-check ready", "weir-chek ready", "Disabling track script ready"},
	} {
		said := check(t, node, func(s string) string { return strings.ReplaceAll(s, c.from, c.to) })
		if !strings.Contains(said, c.want) {
			t.Errorf("%s: keepalived -t says %q", c.name, said)
		}
	}
}

// host runs the rendered scripts here, against statistics ports of the test's own.
type host struct {
	dir, check, notify string

	mu     sync.Mutex
	asked  []string    // requests, in order
	status map[int]int // of each process, 200 where there is none
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{dir: t.TempDir(), status: map[int]int{}}
	inv := inventory.Default()
	ports := h.serve(t)
	inv.HAProxy.StatsPort = ports
	files, err := Render(inv, inv.HAProxy.Nodes[0], testSecrets, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		body := strings.ReplaceAll(string(f.Body), stateFile, filepath.Join(h.dir, "state"))
		path := filepath.Join(h.dir, filepath.Base(f.Path))
		if err := os.WriteFile(path, []byte(body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.check, h.notify = filepath.Join(h.dir, "weir-check"), filepath.Join(h.dir, "weir-notify")
	return h
}

// serve listens on two ports in a row, and returns the first.
func (h *host) serve(t *testing.T) int {
	t.Helper()
	for range 50 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := first.Addr().(*net.TCPAddr).Port
		second, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port+1))
		if err != nil {
			first.Close()
			continue
		}
		for i, l := range []net.Listener{first, second} {
			s := httptest.NewUnstartedServer(h.answer(i + 1))
			s.Listener.Close()
			s.Listener = l
			s.Start()
			t.Cleanup(s.Close)
		}
		return port
	}
	t.Fatal("no two ports in a row")
	return 0
}

func (h *host) answer(process int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		_, password, _ := r.BasicAuth()
		h.asked = append(h.asked, strings.TrimSpace(fmt.Sprintf("%d %s %s %s %s", process, r.Method, r.URL, password, r.FormValue("action"))))
		if r.Method == http.MethodPost {
			h.asked = append(h.asked, strings.Join(r.Form["s"], " ")+" of "+r.FormValue("b"))
		}
		if code := h.status[process]; code != 0 {
			w.WriteHeader(code)
		}
	})
}

func (h *host) answers(status map[int]int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

// log is what was asked since the last script started.
func (h *host) log() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.asked, "; ")
}

func (h *host) exits(t *testing.T, argv ...string) int {
	t.Helper()
	h.mu.Lock()
	h.asked = nil
	h.mu.Unlock()
	cmd := exec.Command("/bin/bash", argv...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if len(out) > 0 && cmd.ProcessState.ExitCode() == 0 {
		t.Errorf("%v says %s", argv, out)
	}
	return cmd.ProcessState.ExitCode()
}

func TestTheCheckAsksEveryProcessAndTellsTheState(t *testing.T) {
	h := newHost(t)
	if code := h.exits(t, h.check, "ready"); code != 0 {
		t.Errorf("exit %d before the first notify", code)
	}
	h.exits(t, h.notify, "INSTANCE", "vip", "BACKUP", "254")
	if code := h.exits(t, h.check, "ready", "sha256:0123456789abcdef"); code != 0 {
		t.Errorf("exit %d with both processes ready", code)
	}
	if got, want := h.log(), "1 GET /ready?vrrp=BACKUP&loaded=sha256:0123456789abcdef; 2 GET /ready?vrrp=BACKUP&loaded=sha256:0123456789abcdef"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	for process := 1; process <= 2; process++ {
		h.answers(map[int]int{process: 503})
		if code := h.exits(t, h.check, "ready"); code == 0 {
			t.Errorf("exit 0 while process %d is not ready", process)
		}
	}
	h.answers(map[int]int{1: 503})
	if code := h.exits(t, h.check, "poolers"); code == 0 {
		t.Error("exit 0 without poolers")
	}
}

func TestSessionsEndWhenTheVIPLeaves(t *testing.T) {
	h := newHost(t)
	for _, state := range []string{"BACKUP", "MASTER"} {
		h.exits(t, h.notify, "INSTANCE", "vip", state, "254")
		if got, want := h.log(), "1 GET /vrrp?state="+state; got != want {
			t.Errorf("%s: asked %q, want %q", state, got, want)
		}
	}
	h.exits(t, h.notify, "INSTANCE", "vip", "FAULT", "254")
	want := "1 GET /vrrp?state=FAULT; " +
		"1 POST /stats a-password-for-tests shutdown; pgb1 pgb2 pgb3 of pgbouncer; " +
		"2 POST /stats a-password-for-tests shutdown; pgb1 pgb2 pgb3 of pgbouncer"
	if got := h.log(); got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
}
