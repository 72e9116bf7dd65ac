package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/ops/bench"
	"weir/ops/inventory"
	"weir/ops/lab"
	"weir/ops/slack"
)

// deployment is one run of compose.yml, beside whatever else runs on this machine: its own project,
// network, volume and ports.
type deployment struct {
	name    string
	root    string // of the repository
	env     string // its .env
	dir     string // its .compose
	inv     *inventory.Inventory
	secrets inventory.Secrets
	ports   []string // published ones: pgb1, pgb2, pgb3, server
	gateway string   // this machine's address on the network of the chain
	told    *recorder
}

// enginePlease is for tests that need a Docker engine: they take minutes, and have make targets.
func enginePlease(t *testing.T, target string) {
	t.Helper()
	if os.Getenv("WEIR_TEST_ENGINE") == "" {
		t.Skip("make " + target + " runs this: it needs a Docker engine")
	}
	if out, err := exec.Command("docker", "info", "--format", "{{.ServerVersion}}").CombinedOutput(); err != nil {
		t.Fatalf("no Docker engine answers, and make %s needs one: docker info: %v\n%s", target, err, out)
	}
	if out, err := exec.Command("docker", "compose", "version").CombinedOutput(); err != nil {
		t.Fatalf("docker compose is not there, and make %s needs it: %v\n%s", target, err, out)
	}
}

// newDeployment makes secrets and files for a deployment in that network, and removes what an
// earlier run of the same name left.
func newDeployment(t *testing.T, name, network string) *deployment {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile(filepath.Join(root, ".env.example"))
	if err != nil {
		t.Fatal(err)
	}
	limit, err := lab.FileLimit()
	if err != nil {
		t.Fatal(err)
	}
	at := t.TempDir()
	d := &deployment{name: name, root: root, env: filepath.Join(at, ".env"), dir: filepath.Join(at, ".compose"),
		ports: freePorts(t, 4), told: newRecorder()}
	gateway := inGateway(t, network)
	ca := cmp.Or(os.Getenv("WEIR_BUILD_CA"), os.Getenv("SSL_CERT_FILE"), "/dev/null")
	settings := []string{
		"COMPOSE_PROJECT_NAME=" + name, "WEIR_TAG=" + name, "WEIR_VERSION=" + name, "WEIR_TREES=" + filepath.Join(d.dir, "hosts"),
		"WEIR_NETWORK=" + network, "WEIR_NETWORK_NAME=" + name, "WEIR_BRIDGE=" + bridgeName(name), "WEIR_DATA_VOLUME=" + name + "_data",
		"WEIR_MACHINE_PREFIX=" + name, "WEIR_FILES=" + strconv.Itoa(min(limit, defaultFiles)),
		"WEIR_PGB1_PORT=" + d.ports[0], "WEIR_PGB2_PORT=" + d.ports[1], "WEIR_PGB3_PORT=" + d.ports[2], "WEIR_CONSOLE_PORT=" + d.ports[3],
		"WEIR_BUILD_NETWORK=host", "WEIR_BUILD_CA=" + ca, "WEIR_GO_IMAGE=" + goImage(t, root),
		"SLACK_BOT_TOKEN=xoxb-secret-of-the-test", "SLACK_CHANNEL=C0WEIR",
		"SLACK_API_URL=http://" + net.JoinHostPort(gateway, recorderPort) + "/api/",
		"ALERT_WEBHOOK_URL=http://" + net.JoinHostPort(gateway, recorderPort) + "/alert",
	}
	if err := os.WriteFile(d.env, []byte(string(example)+"\n"+strings.Join(settings, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.remove(t)
	t.Cleanup(func() { d.remove(t) })
	d.prepare(t)
	if d.gateway = readSettings(mustRead(t, d.env))["WEIR_GATEWAY"]; d.gateway != gateway {
		t.Fatalf("the gateway is %s, not %s", d.gateway, gateway)
	}
	return d
}

// freePorts are some of the loopback that nobody has now.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var ports []string
	for range n {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close() // all at once, so that none comes twice
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		ports = append(ports, port)
	}
	return ports
}

// inGateway is the address that prepare will give to this machine in the network.
func inGateway(t *testing.T, network string) string {
	t.Helper()
	inv, err := settings{"WEIR_NETWORK": network}.inventory()
	if err != nil {
		t.Fatal(err)
	}
	gateway, err := lab.Gateway(inv)
	if err != nil {
		t.Fatal(err)
	}
	return gateway.String()
}

func bridgeName(name string) string {
	return strings.ReplaceAll(name, "-", "")[:min(12, len(name)-1)] + "0"
}

// goImage is the usual image of Go where the engine has it, and one made from this machine's Go
// otherwise: the test pulls nothing but the base.
func goImage(t *testing.T, root string) string {
	t.Helper()
	const usual = "golang:1.26-trixie"
	if exec.Command("docker", "image", "inspect", usual).Run() == nil {
		return usual
	}
	if exec.Command("docker", "image", "inspect", "weir-go").Run() == nil {
		return "weir-go"
	}
	cmd := exec.Command(filepath.Join(root, "ops/compose/go-image.sh"))
	cmd.Env = append(os.Environ(), "WEIR_BUILD_NETWORK=host")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make an image of Go: %v\n%s", err, out)
	}
	return "weir-go"
}

// prepare is make secrets, for this deployment.
func (d *deployment) prepare(t *testing.T) {
	t.Helper()
	if err := prepare(io.Discard, d.env, d.dir); err != nil {
		t.Fatal(err)
	}
	var err error
	if d.inv, err = readSettings(mustRead(t, d.env)).inventory(); err != nil {
		t.Fatal(err)
	}
	if d.secrets, err = inventory.LoadSecrets(filepath.Join(d.dir, "secrets")); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// compose runs docker compose with the edge's profile.
func (d *deployment) compose(t *testing.T, args ...string) string {
	t.Helper()
	out, err := d.tryCompose(t.Context(), args...)
	if err != nil {
		t.Fatalf("docker compose %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (d *deployment) tryCompose(ctx context.Context, args ...string) (string, error) {
	return d.command(ctx, "docker", append([]string{"compose", "--env-file", d.env, "--profile", "edge", "--progress", "plain"}, args...)...)
}

func (d *deployment) command(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = d.root
	cmd.Env = append(os.Environ(), "COMPOSE_PARALLEL_LIMIT=2", "WEIR_ENV="+d.env, "VAGRANT_CHECKPOINT_DISABLE=1", "VAGRANT_DEFAULT_PROVIDER=docker",
		"VAGRANT_DOTFILE_PATH="+filepath.Join(filepath.Dir(d.env), ".vagrant"), "VAGRANT_HOME="+filepath.Join(filepath.Dir(d.env), ".vagrant.d"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (d *deployment) docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := d.command(t.Context(), "docker", args...)
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// container is the name of a service's one container.
func (d *deployment) container(service string) string { return d.name + "-" + service + "-1" }

// remove takes everything away that the deployment made; what it built last is kept in the builder's cache.
func (d *deployment) remove(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	// Its interpolation asks for every address, which a first run has not got yet.
	for _, list := range [][]string{
		{"ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project=" + d.name},
		{"ps", "--all", "--quiet", "--filter", "network=" + d.name},
	} {
		d.each(ctx, t, list, "rm", "--force", "--volumes")
	}
	d.each(ctx, t, []string{"network", "ls", "--quiet", "--filter", "label=com.docker.compose.project=" + d.name}, "network", "rm")
	d.each(ctx, t, []string{"volume", "ls", "--quiet", "--filter", "label=com.docker.compose.project=" + d.name}, "volume", "rm")
	d.each(ctx, t, []string{"images", "--quiet", "--filter", "reference=weir-*:" + d.name}, "rmi", "--force")
}

func (d *deployment) each(ctx context.Context, t *testing.T, list []string, verb ...string) {
	out, err := d.command(ctx, "docker", list...)
	if err != nil {
		t.Errorf("docker %s: %v\n%s", strings.Join(list, " "), err, out)
	}
	if ids := strings.Fields(out); len(ids) > 0 {
		if out, err := d.command(ctx, "docker", append(verb, ids...)...); err != nil {
			t.Errorf("docker %s: %v\n%s", strings.Join(verb, " "), err, out)
		}
	}
}

// up starts services, all when none is named, and then Slack's recorder: the network is there now.
func (d *deployment) up(t *testing.T, services ...string) {
	t.Helper()
	began := time.Now()
	d.compose(t, append([]string{"up", "--detach", "--wait", "--wait-timeout", "120"}, services...)...)
	t.Logf("up and healthy after %s", time.Since(began).Round(100*time.Millisecond))
	ln, err := net.Listen("tcp4", net.JoinHostPort(d.gateway, recorderPort))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: d.told}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
}

// dial connects from this machine's own address on the network of the chain. Should the network be
// gone, there is no such address, and nothing is sent anywhere.
func (d *deployment) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(d.gateway)}}
	return dialer.DialContext(ctx, network, address)
}

// connect logs in through the VIP.
func (d *deployment) connect(t *testing.T, ctx context.Context, database string) (*pgx.Conn, error) {
	t.Helper()
	cfg, err := pgx.ParseConfig(fmt.Sprintf("postgres://postgres:%s@%s/%s?sslmode=disable&connect_timeout=3", d.secrets.Postgres, d.inv.VIPEndpoint(), database))
	if err != nil {
		t.Fatal(err)
	}
	cfg.DialFunc = d.dial
	return pgx.ConnectConfig(ctx, cfg)
}

// mustConnect waits until the VIP serves.
func (d *deployment) mustConnect(t *testing.T, within time.Duration) *pgx.Conn {
	t.Helper()
	var conn *pgx.Conn
	d.eventually(t, within, "log in through the VIP", func(ctx context.Context) (err error) {
		if conn, err = d.connect(t, ctx, "postgres"); err == nil {
			err = conn.Ping(ctx)
		}
		return err
	})
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// eventually tries until there is no error any more.
func (d *deployment) eventually(t *testing.T, within time.Duration, what string, try func(ctx context.Context) error) time.Duration {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return time.Since(began)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %v", what, within, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// under has clients connect, query and hold connections through the VIP while do is done, and until
// some hundred of them got through again afterwards.
func (d *deployment) under(t *testing.T, do func()) bench.GapResult {
	t.Helper()
	g, err := bench.Start(t.Context(), bench.GapConfig{Dial: d.dial, Target: d.inv.VIPEndpoint(), User: "postgres",
		Password: d.secrets.Postgres, Database: "postgres"})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := g.WaitSuccesses(ctx, 100); err != nil {
		t.Fatal(err)
	}
	do()
	if err := g.WaitSuccesses(ctx, 300); err != nil {
		t.Fatalf("clients were not served again: %v\n%s", err, g.Stop())
	}
	r := g.Stop()
	t.Logf("gap %s, new connections %d failed and %d hang of %d, held sessions %d broken of %d",
		r.Longest, r.New.Failed, r.New.Unfinished, r.New.Attempts, r.Held.Broken, r.Held.Connections)
	for text, n := range r.New.Errors {
		t.Logf("%d x %s", n, text)
	}
	return r
}

// nothingNoticed fails when a client saw anything.
func nothingNoticed(t *testing.T, r bench.GapResult) {
	t.Helper()
	if r.New.Failed > 0 || r.New.Unfinished > 0 || r.Held.Broken > 0 || r.Held.Unfinished > 0 {
		t.Errorf("of new connections %d failed and %d hang, of held sessions %d broke and %d hang: %v %v",
			r.New.Failed, r.New.Unfinished, r.Held.Broken, r.Held.Unfinished, r.New.Errors, r.Held.Errors)
	}
}

// holder is the node that answers at the VIP.
func (d *deployment) holder(ctx context.Context) (string, error) {
	client := http.Client{Transport: &http.Transport{DialContext: d.dial, DisableKeepAlives: true}, Timeout: 2 * time.Second}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet,
		"http://"+net.JoinHostPort(d.inv.VIP.Address.String(), strconv.Itoa(d.inv.HAProxy.StatsPort))+"/node", nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return strings.TrimSpace(string(body)), err
}

// atRest waits until both nodes could serve and the monitor has nothing open and nothing to tell.
func (d *deployment) atRest(t *testing.T, within time.Duration) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DialContext: d.dial, DisableKeepAlives: true}, Timeout: 2 * time.Second}
	url := "http://" + net.JoinHostPort(d.inv.Monitor.Address.String(), strconv.Itoa(d.inv.Monitor.Port)) + "/healthz"
	d.eventually(t, within, "the monitor is at rest", func(context.Context) error {
		resp, err := client.Get(url)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var h struct {
			Status   string         `json:"status"`
			Starting bool           `json:"starting"`
			Open     int            `json:"incidents_open"`
			Pending  map[string]int `json:"notifications_pending"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&h); err != nil {
			return err
		}
		if h.Status != "ok" || h.Starting || h.Open > 0 || h.Pending["slack"]+h.Pending["webhook"] > 0 {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
}

const recorderPort = "8065"

// recorder answers as Slack does and remembers what it was told.
type recorder struct {
	mu      sync.Mutex
	alerts  []toldAlert
	posts   int // messages and edits that Slack's API got
	changed chan struct{}
}

type toldAlert struct {
	slack.Alert
	at time.Time
}

func newRecorder() *recorder { return &recorder{changed: make(chan struct{})} }

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if req.URL.Path == "/alert" {
		var a slack.Alert
		if err := json.NewDecoder(bytes.NewReader(body)).Decode(&a); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.alerts = append(r.alerts, toldAlert{a, time.Now()})
	} else {
		r.posts++
		fmt.Fprintf(w, `{"ok":true,"channel":"C0WEIR","ts":"1700000000.%06d"}`, r.posts)
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

// mark is how much was told so far.
func (r *recorder) mark() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.alerts)
}

// opened is told of an incident that opens: reopened, when it was over only just before.
const opened = "first|reopened"

// wait returns the first alert told after mark of one of those events whose cause fits the pattern.
func (r *recorder) wait(t *testing.T, mark int, within time.Duration, events, cause string) toldAlert {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for {
		r.mu.Lock()
		told, changed := r.alerts[mark:], r.changed
		for _, a := range told {
			if fits, _ := path.Match(cause, a.Cause); fits && slices.Contains(strings.Split(events, "|"), a.Event) {
				r.mu.Unlock()
				return a
			}
		}
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%s %s was not told within %s; told: %s", events, cause, within, words(told))
		}
	}
}

func words(told []toldAlert) string {
	var out []string
	for _, a := range told {
		out = append(out, a.Event+" "+a.Cause)
	}
	return strings.Join(out, ", ")
}

func rewrite(t *testing.T, path, body string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
}
