package lab_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"weir/ops/inventory"
	"weir/ops/lab"
)

// A lab beside others, whose inventory keeps superusers out, that crashes and comes back with its data.
func TestALabKeepsSuperusersOutSurvivesACrashAndLeavesNothing(t *testing.T) {
	inv := inventory.Default()
	inv.Postgres.SuperusersThroughVIP = false
	w := startWorld(t, "strict", inv)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	t.Run("a superuser is refused through the VIP, with the right password too", func(t *testing.T) {
		_, err := w.connect(ctx, "postgres", w.secrets.Postgres)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) {
			t.Fatalf("got %v, want a refusal by the pooler", err)
		}
	})

	conn := connectAs(t, ctx, w, "weir", w.secrets.Console, "weir")
	if _, err := conn.Exec(ctx, "create table kept (n int); insert into kept values (42)"); err != nil {
		t.Fatal(err)
	}

	before := traces(t, w.lab)
	if before.processes < 10 || before.sockets == 0 {
		t.Fatalf("the search for traces of a lab finds too little of one that runs: %+v", before)
	}

	t.Run("the switch keeps its hardware address when hosts are cut off", func(t *testing.T) {
		// Else every host goes on sending to the one before, until it asks again five seconds later.
		was := bridgeAddress(t, w.lab)
		for _, n := range inv.Hosts() {
			if err := w.lab.Cut(ctx, n.Name); err != nil {
				t.Fatal(err)
			}
			if is := bridgeAddress(t, w.lab); is != was {
				t.Errorf("it changed from %s to %s when %s was cut off", was, is, n.Name)
			}
			if err := w.lab.Heal(ctx, n.Name); err != nil {
				t.Fatal(err)
			}
		}
	})

	t.Run("when its first process is killed, nothing of it is left", func(t *testing.T) {
		pid := switchPID(t, w.lab)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		waitNoTraces(t, ctx, w.lab)
	})

	t.Run("it comes back with its data", func(t *testing.T) {
		already, err := w.lab.Up(ctx, lab.Config{Inventory: inv, Bin: programs(t), Say: t.Logf})
		if err != nil || already {
			t.Fatalf("up again: already %v, %v", already, err)
		}
		again := connectWorld(t, w.lab, inv)
		var n int
		conn := connectAs(t, ctx, again, "weir", again.secrets.Console, "weir")
		if err := conn.QueryRow(ctx, "select n from kept").Scan(&n); err != nil || n != 42 {
			t.Fatalf("got %d, %v", n, err)
		}
	})

	t.Run("a second up changes nothing and is quick", func(t *testing.T) {
		began := time.Now()
		already, err := w.lab.Up(ctx, lab.Config{Inventory: inv, Bin: programs(t), Say: t.Logf})
		if err != nil || !already || time.Since(began) > 10*time.Second {
			t.Fatalf("already %v, %v, after %s", already, err, time.Since(began))
		}
	})

	t.Run("up with another inventory says so", func(t *testing.T) {
		other := inventory.Default()
		other.Postgres.SuperusersThroughVIP = false
		other.PgBouncer.PoolSize = 20
		_, err := w.lab.Up(ctx, lab.Config{Inventory: other, Bin: programs(t), Say: t.Logf})
		if err == nil || !strings.Contains(err.Error(), "changed since") {
			t.Fatalf("got %v", err)
		}
	})

	t.Run("down leaves nothing", func(t *testing.T) {
		if err := w.lab.Down(ctx); err != nil {
			t.Fatal(err)
		}
		waitNoTraces(t, ctx, w.lab)
		if _, err := w.lab.Hosts(ctx); !errors.Is(err, lab.ErrDown) {
			t.Errorf("hosts of a lab that is down: %v", err)
		}
	})
}

func TestATakenPortIsNamedWithItsHolderAndTheVariable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	l, err := lab.Open(filepath.Join("..", "..", ".lab"), "test-port-"+strconv.Itoa(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Purge()
	_, err = l.Up(t.Context(), lab.Config{Inventory: inventory.Default(), Bin: programs(t), Say: t.Logf,
		Forwards: []lab.Forward{{Name: "SQL", Listen: ln.Addr().String(), Target: "192.168.1.100:5432", Variable: "WEIR_SQL_PORT"}}})
	if err == nil {
		l.Down(context.Background())
		t.Fatal("a lab started on a port that is taken")
	}
	for _, want := range []string{ln.Addr().String(), strconv.Itoa(os.Getpid()), "WEIR_SQL_PORT"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
	if l.Running() {
		t.Error("half a lab was left")
	}
}

func connectAs(t *testing.T, ctx context.Context, w *world, role, password, database string) *pgx.Conn {
	t.Helper()
	cfg, err := w.config(role, password)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Database = database
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// trace counts what shows of a lab outside it.
type trace struct{ processes, mounts, sockets int }

// traces looks for the lab's directory in every process: its command line, root and mounts.
func traces(t *testing.T, l *lab.Lab) trace {
	t.Helper()
	var out trace
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	own := strconv.Itoa(os.Getpid())
	hosts := filepath.Join(l.Dir, "hosts")
	for _, dir := range dirs {
		mounts, _ := os.ReadFile(filepath.Join(dir, "mountinfo"))
		if filepath.Base(dir) == own {
			out.mounts += strings.Count(string(mounts), l.Dir)
			continue
		}
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if strings.Contains(string(mounts), hosts) || strings.Contains(string(line), l.Dir) {
			out.processes++
		}
	}
	sockets, _ := os.ReadFile("/proc/net/unix")
	out.sockets = strings.Count(string(sockets), l.Dir)
	if out.sockets == 0 { // sockets of other network namespaces are not listed: ask whether it answers
		if hosts, err := l.Hosts(t.Context()); err == nil {
			out.sockets = len(hosts)
		}
	}
	return out
}

func waitNoTraces(t *testing.T, ctx context.Context, l *lab.Lab) {
	t.Helper()
	for {
		left := traces(t, l)
		if left == (trace{}) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("left behind: %+v", left)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func bridgeAddress(t *testing.T, l *lab.Lab) string {
	t.Helper()
	ns, err := netns.GetFromPid(switchPID(t, l))
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	inside, err := netlink.NewHandleAt(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	link, err := inside.LinkByName("br0")
	if err != nil {
		t.Fatal(err)
	}
	return link.Attrs().HardwareAddr.String()
}

// switchPID finds the lab's first process.
func switchPID(t *testing.T, l *lab.Lab) int {
	t.Helper()
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if strings.Contains(string(line), "\x00lab-switch\x00"+l.Dir+"\x00") {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			return pid
		}
	}
	t.Fatal("the lab's switch does not run")
	return 0
}
