package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// TestCompose is make test-compose: the whole chain of compose.yml, edge included, and what it survives.
func TestCompose(t *testing.T) {
	enginePlease(t, "test-compose")
	d := newDeployment(t, "weir-test-compose", "192.168.1.0/24")
	t.Run("it refuses to start without what make secrets makes", d.refusesToStart)
	d.compose(t, "build")
	t.Run("it refuses to start without a secret, and says which", d.refusesWithoutASecret)
	d.up(t)
	d.mustConnect(t, 30*time.Second)
	d.atRest(t, time.Minute)
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"clients query, prepare and cancel through the VIP", d.clientsAreServed},
		{"the poolers and the server are on this machine's ports", d.portsArePublished},
		{"no secret shows, and no container may more than it must", d.nothingShows},
		{"a pooler is killed", d.aPoolerIsKilled},
		{"a pooler crashes and is started again", d.aPoolerCrashes},
		{"a pooler is made anew under load", d.aPoolerIsMadeAnew},
		{"changed files are taken over without a dropped connection", d.filesAreTakenOver},
		{"keepalived is killed on the node with the VIP, and stays dead", func(t *testing.T) {
			d.keepalivedIsKilled(t, d.container, "s6-svc -O /run/service/keepalived && kill -KILL $(cat /run/keepalived-vrrp.pid /run/keepalived.pid)", "s6-svc -u /run/service/keepalived")
		}},
		{"the node with the VIP is killed", d.theHolderIsKilled},
		{"the database is killed", d.theDatabaseIsKilled},
		{"down and up keep the data", d.downAndUpKeepTheData},
	} {
		if !t.Run(step.name, step.do) {
			t.Fatalf("the rest is not tried; what the containers said last:\n%s", d.lastWords())
		}
	}
}

func (d *deployment) lastWords() string {
	out, _ := d.tryCompose(context.Background(), "logs", "--no-color", "--tail", "12")
	return out
}

func (d *deployment) refusesToStart(t *testing.T) {
	bare := &deployment{root: d.root, env: filepath.Join(d.root, ".env.example")}
	if out, err := bare.tryCompose(t.Context(), "config"); err == nil || !strings.Contains(out, "make secrets") {
		t.Errorf("without make secrets: %v\n%s", err, out)
	}
}

func (d *deployment) refusesWithoutASecret(t *testing.T) {
	for _, missing := range []string{"hosts/monitor/etc/weir/secrets/admin", "hosts/console/etc/weir/secrets/console", "hosts/pgb2"} {
		path := filepath.Join(d.dir, missing)
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		if out, err := d.tryCompose(t.Context(), "up", "--detach"); err == nil || !strings.Contains(out, missing) {
			t.Errorf("without %s: %v\n%s", missing, err, out)
		}
		if running := d.compose(t, "ps", "--quiet", "--status", "running"); strings.TrimSpace(running) != "" {
			t.Errorf("without %s some containers run: %s", missing, running)
		}
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
		d.compose(t, "down", "--volumes")
	}
}

func (d *deployment) clientsAreServed(t *testing.T) {
	conn := d.mustConnect(t, 10*time.Second)
	var one int
	for i := range 50 { // prepared by pgx, in transactions of their own: on whichever server connection is free
		if err := conn.QueryRow(t.Context(), "SELECT $1::int + 1", i).Scan(&one); err != nil || one != i+1 {
			t.Fatalf("prepared statement, time %d: %d, %v", i, one, err)
		}
	}
	const cancels = 10
	began := time.Now()
	for i := range cancels {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		sleeper, err := d.connect(t, ctx, "postgres")
		if err != nil {
			t.Fatal(err)
		}
		query := fmt.Sprintf("SELECT pg_sleep(30), %d + $1::int", i) // another one each time: the last may still show
		done := make(chan error, 1)
		go func() {
			_, err := sleeper.Exec(ctx, query, i)
			done <- err
		}()
		d.eventually(t, 5*time.Second, "the query runs", func(ctx context.Context) error {
			var n int
			if err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE query = $1 AND wait_event = 'PgSleep'", query).Scan(&n); err != nil || n == 0 {
				return fmt.Errorf("%d run, %w", n, err)
			}
			return nil
		})
		if err := sleeper.PgConn().CancelRequest(ctx); err != nil {
			t.Fatal(err)
		}
		var pgErr *pgconn.PgError
		if err := <-done; !errors.As(err, &pgErr) || pgErr.Code != "57014" {
			t.Fatalf("cancel %d of %d: %v", i+1, cancels, err)
		}
		sleeper.Close(ctx)
		cancel()
	}
	t.Logf("%d of %d cancels reached their query, in %s", cancels, cancels, time.Since(began).Round(time.Millisecond))
}

func (d *deployment) portsArePublished(t *testing.T) {
	for _, port := range d.ports[:3] {
		conn, err := pgx.Connect(t.Context(), "postgres://postgres:"+d.secrets.Postgres+"@127.0.0.1:"+port+"/postgres?sslmode=disable")
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		conn.Close(t.Context())
	}
	resp, err := http.Get("http://127.0.0.1:" + d.ports[3] + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("/healthz of the server: %s", resp.Status)
	}
}

// inspected is what of docker inspect is looked at.
type inspected struct {
	Name       string
	HostConfig struct {
		ReadonlyRootfs bool
		NanoCpus       int64
		Memory         int64
		Privileged     bool
		CapDrop        []string
		RestartPolicy  struct{ Name string }
		Ulimits        []struct {
			Name string
			Hard int
		}
	}
}

func (d *deployment) nothingShows(t *testing.T) {
	services := []string{"postgres", "pgb1", "pgb2", "pgb3", "monitor", "server", "haproxy1", "haproxy2"}
	var names []string
	for _, s := range services {
		names = append(names, d.container(s))
	}
	shown := d.docker(t, append([]string{"inspect"}, names...)...)
	images := d.docker(t, "image", "inspect", "weir-postgres:"+d.name, "weir-pgbouncer:"+d.name, "weir-haproxy:"+d.name, "weir-monitor:"+d.name, "weir-server:"+d.name)
	secrets := []string{"xoxb-secret-of-the-test"}
	for field := range reflect.ValueOf(d.secrets).NumField() {
		secrets = append(secrets, reflect.ValueOf(d.secrets).Field(field).String())
	}
	for _, secret := range secrets {
		if strings.Contains(shown, secret) || strings.Contains(images, secret) {
			t.Errorf("docker inspect shows a secret: %.6s...", secret)
		}
	}
	var all []inspected
	if err := json.Unmarshal([]byte(shown), &all); err != nil {
		t.Fatal(err)
	}
	files, _ := readSettings(mustRead(t, d.env)).files()
	for _, c := range all {
		h := c.HostConfig
		if !h.ReadonlyRootfs || h.Privileged || len(h.CapDrop) == 0 || h.RestartPolicy.Name != "unless-stopped" || h.Memory == 0 || h.NanoCpus == 0 {
			t.Errorf("%s: %+v", c.Name, h)
		}
		if len(h.Ulimits) != 1 || h.Ulimits[0].Hard != files {
			t.Errorf("%s: limits %+v, wanted %d open files", c.Name, h.Ulimits, files)
		}
		if c.Name == "/"+d.container("postgres") && (h.NanoCpus != 2e9 || h.Memory != 4<<30) {
			t.Errorf("PostgreSQL has %d nanocpus and %d bytes", h.NanoCpus, h.Memory)
		}
	}
	for _, s := range []string{"postgres", "pgb1", "monitor", "server"} {
		for _, line := range strings.Split(strings.TrimSpace(d.docker(t, "top", d.container(s), "-eo", "pid,uid,comm")), "\n")[1:] {
			// Docker's own init passes signals on, and does nothing else.
			if f := strings.Fields(line); f[1] == "0" && f[2] != "docker-init" {
				t.Errorf("%s runs %s as root", s, f[2])
			}
		}
	}
}

func (d *deployment) aPoolerIsKilled(t *testing.T) {
	mark := d.told.mark()
	var killed time.Time
	r := d.under(t, func() {
		killed = time.Now()
		d.docker(t, "kill", d.container("pgb2"))
	})
	if time.Duration(r.Longest) > time.Second || r.New.Failed > 1 || r.New.Unfinished > 0 { // one may be just logging in
		t.Errorf("nobody could connect for %s, %d new connections failed, %d hang", r.Longest, r.New.Failed, r.New.Unfinished)
	}
	told := d.told.wait(t, mark, 15*time.Second, opened, "pooler-*/pgb2")
	t.Logf("told %s after the kill: %s. %s", told.at.Sub(killed).Round(10*time.Millisecond), told.Title, told.Impact)
	started := time.Now()
	d.docker(t, "start", d.container("pgb2"))
	back := d.told.wait(t, mark, 30*time.Second, "resolved", told.Cause)
	t.Logf("resolved %s after it was started", back.at.Sub(started).Round(10*time.Millisecond))
	d.atRest(t, time.Minute)
}

// The main process dies, which docker kill is not: the restart policy holds.
func (d *deployment) aPoolerCrashes(t *testing.T) {
	before := strings.TrimSpace(d.docker(t, "inspect", "--format", "{{.State.Pid}}", d.container("pgb1")))
	pid, err := strconv.Atoi(before)
	if err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	took := d.eventually(t, 30*time.Second, "it is healthy again", func(context.Context) error {
		state := strings.TrimSpace(d.docker(t, "inspect", "--format", "{{.State.Pid}} {{.State.Health.Status}}", d.container("pgb1")))
		if now, ok := strings.CutSuffix(state, " healthy"); !ok || now == before {
			return fmt.Errorf("pid and health are %s", state)
		}
		return nil
	})
	t.Logf("healthy again after %s", took.Round(100*time.Millisecond))
	d.atRest(t, time.Minute)
}

func (d *deployment) aPoolerIsMadeAnew(t *testing.T) {
	r := d.under(t, func() { d.compose(t, "up", "--detach", "--force-recreate", "--no-deps", "--wait", "pgb3") })
	if time.Duration(r.Longest) > time.Second || r.New.Failed+r.New.Unfinished > 1 { // one may be just logging in
		t.Errorf("nobody could connect for %s, %d new connections failed, %d hang", r.Longest, r.New.Failed, r.New.Unfinished)
	}
	d.atRest(t, time.Minute)
}

func (d *deployment) filesAreTakenOver(t *testing.T) {
	d.changeInventory(t, "check_interval: 500ms", "check_interval: 600ms")
	r := d.under(t, func() {
		for _, s := range []string{"haproxy1", "haproxy2", "pgb1", "pgb2", "pgb3", "postgres"} {
			d.compose(t, "exec", "--no-TTY", s, "/usr/local/lib/weir/container.sh", "reload")
		}
	})
	nothingNoticed(t, r)
	has := d.compose(t, "exec", "--no-TTY", "haproxy1", "grep", "-c", "check inter 600ms", "/etc/haproxy/haproxy.cfg")
	if strings.TrimSpace(has) != "1" {
		t.Errorf("haproxy1 has the old file: %q", has)
	}
	d.atRest(t, time.Minute)
}

// changeInventory has the deployment use the default inventory with one line of it changed, as
// somebody who edits it and runs make secrets again.
func (d *deployment) changeInventory(t *testing.T, from, to string) {
	t.Helper()
	body := mustRead(t, filepath.Join(d.root, "ops", "inventory", "default.yaml"))
	if !strings.Contains(body, from) {
		t.Fatalf("the inventory has no %q", from)
	}
	path := filepath.Join(filepath.Dir(d.env), "inventory.yaml")
	if err := os.WriteFile(path, []byte(strings.Replace(body, from, to, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WEIR_INVENTORY", path)
	d.prepare(t)
}

// What a killed keepalived leaves on its interface is taken away when it ends, so that nobody holds the VIP twice.
func (d *deployment) keepalivedIsKilled(t *testing.T, container func(node string) string, kill, start string) {
	holder, err := d.holder(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mark := d.told.mark()
	on := func(command string) string { return d.docker(t, "exec", container(holder), "bash", "-c", command) }
	address := "ip -o -4 address show to " + d.inv.VIP.Address.String() + "/32"
	if on(address) == "" {
		t.Fatalf("%s answers at the VIP and does not have it", holder)
	}
	r := d.under(t, func() { on(kill) })
	if time.Duration(r.Longest) > 2*time.Second {
		t.Errorf("nobody could connect for %s", r.Longest)
	}
	if now, err := d.holder(t.Context()); err != nil || now == holder {
		t.Errorf("the VIP is on %s, was on %s: %v", now, holder, err)
	}
	if has := on(address); has != "" {
		t.Errorf("%s has it as well: %s", holder, has)
	}
	told := d.told.wait(t, mark, 15*time.Second, opened, "keepalived-dead/"+holder)
	t.Logf("told: %s. %s", told.Title, told.Impact)
	on(start)
	d.told.wait(t, mark, 30*time.Second, "resolved", told.Cause)
	d.atRest(t, time.Minute)
}

func (d *deployment) theHolderIsKilled(t *testing.T) {
	holder, err := d.holder(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mark := d.told.mark()
	var killed time.Time
	r := d.under(t, func() {
		killed = time.Now()
		d.docker(t, "kill", d.container(holder))
	})
	if time.Duration(r.Longest) > 2*time.Second {
		t.Errorf("nobody could connect for %s", r.Longest)
	}
	now, err := d.holder(t.Context())
	if err != nil || now == holder {
		t.Errorf("the VIP is on %s, was on %s: %v", now, holder, err)
	}
	told := d.told.wait(t, mark, 15*time.Second, opened, "haproxy-unreachable/"+holder)
	t.Logf("told %s after the kill: %s. %s", told.at.Sub(killed).Round(10*time.Millisecond), told.Title, told.Impact)
	d.docker(t, "start", d.container(holder))
	d.told.wait(t, mark, 30*time.Second, "resolved", told.Cause)
	if again, err := d.holder(t.Context()); err != nil || again != now {
		t.Errorf("the node that returned took the VIP back: %s, %v", again, err)
	}
	d.atRest(t, time.Minute)
}

func (d *deployment) theDatabaseIsKilled(t *testing.T) {
	conn := d.mustConnect(t, 10*time.Second)
	if _, err := conn.Exec(t.Context(), "CREATE TABLE kept (at timestamptz); INSERT INTO kept VALUES (now())"); err != nil {
		t.Fatal(err)
	}
	mark := d.told.mark()
	killed := time.Now()
	d.docker(t, "kill", d.container("postgres"))
	told := d.told.wait(t, mark, 15*time.Second, opened, "postgres-*")
	t.Logf("told %s after the kill: %s. %s", told.at.Sub(killed).Round(10*time.Millisecond), told.Title, told.Impact)
	if len(told.Symptoms) == 0 {
		t.Log("no symptoms were named with it")
	}
	started := time.Now()
	d.docker(t, "start", d.container("postgres"))
	d.mustConnect(t, 30*time.Second)
	t.Logf("clients are served %s after it was started", time.Since(started).Round(10*time.Millisecond))
	d.told.wait(t, mark, 30*time.Second, "resolved", told.Cause)
	d.eventually(t, time.Minute, "PostgreSQL is healthy", func(context.Context) error {
		if state := strings.TrimSpace(d.docker(t, "inspect", "--format", "{{.State.Health.Status}}", d.container("postgres"))); state != "healthy" {
			return fmt.Errorf("it is %s", state)
		}
		return nil
	})
	d.atRest(t, time.Minute)
}

func (d *deployment) downAndUpKeepTheData(t *testing.T) {
	began := time.Now()
	d.compose(t, "down")
	down := time.Since(began)
	d.compose(t, "up", "--detach", "--wait", "--wait-timeout", "120")
	t.Logf("down took %s, up %s", down.Round(100*time.Millisecond), (time.Since(began) - down).Round(100*time.Millisecond))
	conn := d.mustConnect(t, 30*time.Second)
	var rows int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM kept").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d rows, %v", rows, err)
	}
	if ended := d.compose(t, "logs", "--no-color", "postgres"); strings.Contains(ended, "was not properly shut down") {
		t.Error("PostgreSQL was not ended cleanly by down")
	}
}
