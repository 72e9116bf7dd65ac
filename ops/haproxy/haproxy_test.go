package haproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/ops/inventory"
)

// rootfs is the Debian root that WEIR_ROOTFS names, with the real HAProxy; make test sets it.
func rootfs(t *testing.T) string {
	t.Helper()
	root := os.Getenv("WEIR_ROOTFS")
	if _, err := os.Stat(filepath.Join(root, "usr/sbin/haproxy")); root == "" || err != nil {
		t.Fatal("this test runs the real HAProxy: let WEIR_ROOTFS name a Debian root that has it, as make test does")
	}
	if os.Getuid() != 0 {
		t.Fatal("this test makes a network namespace: run it as root, as make test does")
	}
	return root
}

// inside is the script that turns a new mount and network namespace into haproxy1 with every address
// of the cluster, and nothing of it is seen outside. $1 is the root, $2 the configuration.
const inside = `set -e
mount --make-rprivate /
for dir in run etc/haproxy; do mount -t tmpfs none "$1/$dir"; done
cp "$2"/* "$1/etc/haproxy/"
mkdir "$1/run/haproxy"
ip link set lo up
for a in $3; do ip addr add $a/32 dev lo; done
echo up
read -r go
cd /
`

// machine is haproxy1 as a network namespace, its processes running.
type machine struct {
	inv   *inventory.Inventory
	node  inventory.Node
	calls chan func() // run on a thread inside the namespace
	log   *syncBuffer
	pgb3  net.Listener

	peerCan atomic.Bool // the other node could take the VIP
}

// start brings haproxy1 up with two processes, under the 20,000 files they are rendered for, and
// poolers that answer the check.
func start(t *testing.T) *machine {
	t.Helper()
	root, inv := rootfs(t), inventory.Default()
	m := &machine{inv: inv, node: inv.HAProxy.Nodes[0], calls: make(chan func()), log: &syncBuffer{}}
	dir := renderTo(t, inv, m.node)
	var addresses []string
	for _, n := range inv.Hosts() {
		addresses = append(addresses, n.Address.String())
	}
	addresses = append(addresses, inv.VIP.Address.String())

	script := inside + "ulimit -n 20000\n" +
		"chroot \"$1\" /usr/sbin/haproxy -W -f /etc/haproxy/haproxy-2.cfg &\n" +
		"exec chroot \"$1\" /usr/sbin/haproxy -W -f /etc/haproxy/haproxy.cfg\n"
	cmd := exec.Command("/bin/sh", "-c", script, "sh", root, dir, strings.Join(addresses, " "))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	cmd.Stdout, cmd.Stderr = m.log, m.log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error)
	over := make(chan struct{})
	// Pdeathsig is about the thread that started the child.
	go func() {
		runtime.LockOSThread()
		started <- cmd.Start()
		<-over
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait(); close(over) }) // its init: the whole namespace ends
	m.log.wait(t, "up\n")
	m.enter(t, cmd.Process.Pid)
	for _, p := range inv.PgBouncer.Poolers {
		m.pgb3 = m.listen(t, p.Address, inv.PgBouncer.Port) // the last one
		go answerChecks(m.pgb3)
	}
	m.servePeer(t)
	io.WriteString(stdin, "go\n")
	c := m.client(testSecrets.HAProxyStats)
	defer c.Close()
	m.eventually(t, "both processes have seen three poolers and the VIP", func(ctx context.Context) bool {
		s, err := c.Node(ctx)
		if err != nil || !s.VIP {
			return false
		}
		stats, err := c.Stats(ctx)
		if err != nil {
			return false
		}
		for _, r := range stats.Servers(Poolers) {
			if r.Check != "L7OK" || r.Disagree != nil {
				return false
			}
		}
		return true
	})
	return m
}

func renderTo(t *testing.T, inv *inventory.Inventory, node inventory.Node) string {
	t.Helper()
	dir := t.TempDir()
	files, err := Render(inv, node, testSecrets, 20000)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasPrefix(f.Path, "/etc/haproxy/") {
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(f.Path)), f.Body, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// enter keeps one thread inside the namespace: what it opens belongs there.
func (m *machine) enter(t *testing.T, pid int) {
	t.Helper()
	entered := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
			ns.Close()
		}
		entered <- err
		for call := range m.calls {
			call()
		}
	}()
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(m.calls) })
}

func (m *machine) dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	done := make(chan struct{})
	m.calls <- func() {
		defer close(done)
		conn, err = (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	<-done
	return conn, err
}

func (m *machine) client(password string) *Client {
	return New(m.node, m.inv, password, 2, m.dial)
}

// get is a plain request to the n-th process from 127.0.0.1, as keepalived's scripts make it.
func (m *machine) get(ctx context.Context, n int, path string) (int, string, error) {
	c := http.Client{Transport: &http.Transport{DialContext: m.dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://127.0.0.1:%d%s", StatsPort(m.inv, n), path), nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// answerChecks is PgBouncer's admin database: it wants the password, is ReadyForQuery, says its version.
func answerChecks(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			want := []byte("\x00\x00\x00\x24\x00\x03\x00\x00user\x00hc\x00database\x00pgbouncer\x00\x00")
			packet := make([]byte, len(want))
			if _, err := io.ReadFull(conn, packet); err != nil || !bytes.Equal(packet, want) {
				return
			}
			io.WriteString(conn, "R\x00\x00\x00\x08\x00\x00\x00\x03")
			password := make([]byte, len("p\x00\x00\x00\x1ca-password-of-the-check\x00"))
			if _, err := io.ReadFull(conn, password); err != nil || string(password) != "p\x00\x00\x00\x1c"+testSecrets.Check+"\x00" {
				return
			}
			io.WriteString(conn, "R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I")
			query := make([]byte, len("Q\x00\x00\x00\x12SHOW VERSION;\x00"))
			if _, err := io.ReadFull(conn, query); err != nil || string(query) != "Q\x00\x00\x00\x12SHOW VERSION;\x00" {
				return
			}
			io.WriteString(conn, "T PgBouncer 1.24.1")
			io.Copy(io.Discard, conn)
		}()
	}
}

// eventually asks until it is so, ten seconds at most.
func (m *machine) eventually(t *testing.T, what string, so func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within 10 s: %s\n%s", what, m.log)
		}
	}
}

// syncBuffer is what the processes said.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *syncBuffer) wait(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(s.String(), text) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 10 s: %q, but %s", text, s)
		}
	}
}

func TestHAProxyAcceptsEveryRenderedFile(t *testing.T) {
	root, inv := rootfs(t), inventory.Default()
	for _, node := range inv.HAProxy.Nodes {
		dir := renderTo(t, inv, node)
		script := inside + "for f in haproxy haproxy-2; do chroot \"$1\" /usr/sbin/haproxy -c -f /etc/haproxy/$f.cfg; done"
		cmd := exec.Command("/bin/sh", "-c", script, "sh", root, dir, "")
		cmd.Stdin = strings.NewReader("go\n")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("WARNING")) || bytes.Contains(out, []byte("ALERT")) {
			t.Errorf("%s: %v\n%s", node.Name, err, out)
		}
	}
}

// TestANodeOfTwoProcesses starts the real HAProxy once, with both processes under 20,000 files.
func TestANodeOfTwoProcesses(t *testing.T) {
	m := start(t)
	c := m.client(testSecrets.HAProxyStats)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server := func(t *testing.T, name string) Row {
		t.Helper()
		stats, err := c.Stats(ctx)
		if err != nil {
			t.Fatal(err)
		}
		r, ok := stats.Find(Poolers, name)
		if !ok {
			t.Fatalf("no %s", name)
		}
		return r
	}

	t.Run("refuses statistics and orders without the password", func(t *testing.T) {
		for _, password := range []string{"", "wrong"} {
			stranger := m.client(password)
			if _, err := stranger.Stats(ctx); !errors.Is(err, ErrUnauthorised) {
				t.Errorf("statistics with password %q: %v", password, err)
			}
			if err := stranger.SetServer(ctx, Poolers, "pgb1", Maint); !errors.Is(err, ErrUnauthorised) {
				t.Errorf("order with password %q: %v", password, err)
			}
		}
		if r := server(t, "pgb1"); r.Admin != Ready {
			t.Errorf("pgb1 is %s after refused orders", r.Admin)
		}
	})

	t.Run("follows drain, maint and ready in both processes", func(t *testing.T) {
		for _, to := range []Admin{Drain, Maint, Ready} {
			if err := c.SetServer(ctx, Poolers, "pgb2", to); err != nil {
				t.Fatal(err)
			}
			if r := server(t, "pgb2"); r.Admin != to || r.Disagree != nil {
				t.Errorf("pgb2 is %s after the order %s, opinions %v", r.Admin, to, r.Disagree)
			}
		}
	})

	t.Run("ends the sessions of a pooler in maintenance once none to it can be in the making", func(t *testing.T) {
		order := func(to Admin, names ...string) {
			t.Helper()
			for _, name := range names {
				if err := c.SetServer(ctx, Poolers, name, to); err != nil {
					t.Fatal(err)
				}
			}
		}
		order(Drain, "pgb1", "pgb3") // so the session is on pgb2
		defer order(Ready, "pgb1", "pgb2", "pgb3")
		conn, err := m.dial(ctx, "tcp", m.inv.VIPEndpoint())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		m.eventually(t, "pgb2 carries the session", func(context.Context) bool { return server(t, "pgb2").Sessions == 1 })
		began := time.Now()
		order(Maint, "pgb2")
		conn.SetReadDeadline(began.Add(10 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
			t.Errorf("the session has not ended after %s: %v", time.Since(began), err)
		}
		if took := time.Since(began); took <= connectTimeout {
			t.Errorf("sessions end after %s, when a connection may still be in the making for %s", took, connectTimeout)
		}
	})

	t.Run("switches a check off and on", func(t *testing.T) {
		if err := c.SetHealthCheck(ctx, Poolers, "pgb3", false); err != nil {
			t.Fatal(err)
		}
		if r := server(t, "pgb3"); r.State != NoCheck {
			t.Errorf("pgb3 is %s with its check off", r.State)
		}
		if err := c.SetHealthCheck(ctx, Poolers, "pgb3", true); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("refuses an order for a server it does not have", func(t *testing.T) {
		if err := c.SetServer(ctx, Poolers, "pgb9", Drain); err == nil || !strings.Contains(err.Error(), "no such server") {
			t.Errorf("drain pgb9: %v", err)
		}
	})

	t.Run("undoes an order that the second process did not get", func(t *testing.T) {
		torn := New(m.node, m.inv, testSecrets.HAProxyStats, 2, func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := m.dial(ctx, network, addr)
			if strings.HasSuffix(addr, ":8405") && err == nil {
				conn = readOnly{conn}
			}
			return conn, err
		})
		if err := torn.SetServer(ctx, Poolers, "pgb1", Drain); err == nil || !strings.Contains(err.Error(), "haproxy-2 on haproxy1") {
			t.Errorf("the order went through: %v", err)
		}
		if r := server(t, "pgb1"); r.Admin != Ready || r.Disagree != nil {
			t.Errorf("pgb1 is left %s, opinions %v", r.Admin, r.Disagree)
		}
	})

	t.Run("believes keepalived's word from 127.0.0.1 only", func(t *testing.T) {
		if code, _, err := m.get(ctx, 1, "/ready?vrrp=BACKUP"); code != 200 || err != nil {
			t.Fatalf("/ready: %d, %v", code, err)
		}
		if s, err := c.Node(ctx); err != nil || s.VRRP != "BACKUP" || !s.Keepalived || !s.VIP || s.Poolers != 3 || s.PoolersTotal != 3 || s.PID == 0 {
			t.Errorf("after the check script came: %+v, %v", s, err)
		}
		if code, _, _ := m.get(ctx, 1, "/vrrp?state=MASTER"); code != 200 {
			t.Errorf("notify: %d", code)
		}
		if code, _, _ := m.get(ctx, 1, "/vrrp?state=KING"); code != 400 {
			t.Errorf("a state that is none: %d, want 400", code)
		}
		if _, err := c.get(ctx, 1, "/vrrp?state=FAULT"); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("a state from elsewhere: %v, want 403", err)
		}
		if s, err := c.Node(ctx); err != nil || s.VRRP != "MASTER" {
			t.Errorf("after notify: %+v, %v", s, err)
		}
	})

	t.Run("says which configurations are loaded, keepalived's while it is alive", func(t *testing.T) {
		own := func() (list []Running) {
			files, err := Render(m.inv, m.node, inventory.Secrets{}, 20000)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files[:2] {
				list = append(list, Running{f.Path, regexp.MustCompile("sha256:[0-9a-f]{16}").FindString(string(f.Body))})
			}
			return list
		}()
		if got, err := c.Configuration(ctx); err != nil || !slices.Equal(got, own) {
			t.Errorf("before keepalived said: %v, %v, want %v", got, err, own)
		}
		for _, word := range []string{"sha256:00aa11bb22cc33dd", "sha256:00aa11bb22cc33dd-and-more", ""} {
			if code, _, err := m.get(ctx, 1, "/ready?vrrp=MASTER&loaded="+word); code != 200 || err != nil {
				t.Fatalf("/ready: %d, %v", code, err)
			}
		}
		if _, err := c.get(ctx, 1, "/ready?vrrp=MASTER&loaded=sha256:1111111111111111"); err != nil {
			t.Fatal(err)
		}
		want := slices.Insert(slices.Clone(own), 1, Running{"/etc/keepalived/keepalived.conf", "sha256:00aa11bb22cc33dd"})
		if got, err := c.Configuration(ctx); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
	})

	t.Run("forgets a keepalived that calls no more", func(t *testing.T) {
		m.eventually(t, "keepalived reads as dead", func(ctx context.Context) bool {
			s, err := c.Node(ctx)
			return err == nil && !s.Keepalived && s.VRRP == "MASTER"
		})
		if got, err := c.Configuration(ctx); err != nil || len(got) != 2 {
			t.Errorf("its configuration counts as loaded: %v, %v", got, err)
		}
	})

	t.Run("keeps the VIP on hold while the peer cannot take it, and gives it up when it can", func(t *testing.T) {
		if err := c.SetHold(ctx, true); err != nil {
			t.Fatal(err)
		}
		if code, body, err := m.get(ctx, 1, "/ready"); code != 200 || err != nil {
			t.Errorf("held without a peer: /ready says %d %s, %v", code, body, err)
		}
		m.peerCan.Store(true)
		m.eventually(t, "/ready answers 503", func(ctx context.Context) bool {
			code, body, err := m.get(ctx, 1, "/ready")
			return err == nil && code == 503 && body == "held by an operator\n"
		})
		if s, err := c.Node(ctx); err != nil || s.Ready || !s.Hold || s.Why != "held by an operator" {
			t.Errorf("held: %+v, %v", s, err)
		}
		if code, _, _ := m.get(ctx, 2, "/ready"); code != 200 {
			t.Errorf("the second process, which has no hold, says %d", code)
		}
		if err := c.SetHold(ctx, false); err != nil {
			t.Fatal(err)
		}
		if code, _, _ := m.get(ctx, 1, "/ready"); code != 200 {
			t.Errorf("released: /ready says %d", code)
		}
	})

	t.Run("says so when it sees no pooler and the peer does", func(t *testing.T) {
		for _, p := range m.inv.PgBouncer.Poolers {
			if err := c.SetServer(ctx, Poolers, p.Name, Maint); err != nil {
				t.Fatal(err)
			}
		}
		for n := 1; n <= 2; n++ {
			m.eventually(t, "/ready answers 503", func(ctx context.Context) bool {
				code, body, err := m.get(ctx, n, "/ready")
				return err == nil && code == 503 && body == "no pooler is UP here but haproxy2 sees one\n"
			})
		}
	})

	t.Run("names the process that cannot be read", func(t *testing.T) {
		three := New(m.node, m.inv, testSecrets.HAProxyStats, 3, m.dial)
		if _, err := three.Stats(ctx); err == nil || !strings.Contains(err.Error(), "haproxy-3 on haproxy1: ") {
			t.Errorf("statistics with a process missing: %v", err)
		}
	})

	t.Run("counts maint as a fall that no check failed for, and a death as one that a check did", func(t *testing.T) {
		steady := func(what string, is State) (r Row) {
			m.eventually(t, what, func(context.Context) bool { r = server(t, "pgb3"); return r.State == is && r.Disagree == nil })
			return r
		}
		more := func(a, b []int64) (out []int64) {
			for i := range a {
				out = append(out, b[i]-a[i])
			}
			return out
		}
		order := func(to Admin) {
			t.Helper()
			if err := c.SetServer(ctx, Poolers, "pgb3", to); err != nil {
				t.Fatal(err)
			}
		}
		order(Ready)
		was := steady("pgb3 is UP", Up)
		for range 2 {
			order(Maint)
			order(Ready)
		}
		is := steady("pgb3 is UP again", Up)
		if downs, fails := more(was.Downs, is.Downs), more(was.Fails, is.Fails); !slices.Equal(downs, []int64{2, 2}) || !slices.Equal(fails, []int64{0, 0}) {
			t.Errorf("maint twice: DOWN %v more, failed checks %v more", downs, fails)
		}
		m.pgb3.Close()
		dead := steady("pgb3 is DOWN", Down)
		if downs, fails := more(is.Downs, dead.Downs), more(is.Fails, dead.Fails); !slices.Equal(downs, []int64{1, 1}) || slices.Min(fails) < 1 {
			t.Errorf("dead: DOWN %v more, failed checks %v more", downs, fails)
		}
	})
}

// servePeer is the other node, which can take the VIP when m.peerCan says so. HAProxy has the port on
// all addresses: who listens on this one alone comes first.
func (m *machine) servePeer(t *testing.T) {
	l := m.listen(t, m.inv.HAProxy.Peer(m.node.Name).Address, m.inv.HAProxy.StatsPort)
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/takeover" || !m.peerCan.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
}

func (m *machine) listen(t *testing.T, a inventory.Addr, port int) (l net.Listener) {
	t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	var err error
	done := make(chan struct{})
	m.calls <- func() {
		defer close(done)
		l, err = config.Listen(t.Context(), "tcp", fmt.Sprintf("%s:%d", a, port))
	}
	<-done
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// readOnly fails every order on a connection, and lets everything else through.
type readOnly struct{ net.Conn }

func (c readOnly) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("POST")) {
		return 0, errors.New("the line is cut")
	}
	return c.Conn.Write(p)
}
