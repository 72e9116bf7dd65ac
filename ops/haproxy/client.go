package haproxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"

	"weir/ops/inventory"
)

// ErrUnauthorised is the answer to a statistics password that HAProxy does not know.
var ErrUnauthorised = errors.New("the statistics password is refused")

// ErrSilent is a node whose kernel accepts connections and whose HAProxy does not answer: it hangs, and
// the host and its network do not.
var ErrSilent = errors.New("accepted the connection, then silent")

const (
	// maxBody is far above the 60 KiB of a node with 50 poolers.
	maxBody = 4 << 20
	// undoTimeout is what undoing half an order gets, after the caller's own time is up.
	undoTimeout = 3 * time.Second
	// idle is less than the 60 s after which the rendered configuration closes a connection.
	idle = 50 * time.Second
)

// Client reads and operates the HAProxy processes of one node as one. It may be used by several
// goroutines; orders wait for each other.
type Client struct {
	node     inventory.Node
	bases    []string // URL of each process, the first one's first
	password string
	http     *http.Client
	orders   sync.Mutex
}

// New makes a client of one node. instances is how many processes run there (Instances); dial
// opens its connections, so that it can reach into a sealed network; nil is the ordinary one.
func New(node inventory.Node, inv *inventory.Inventory, statsPassword string, instances int,
	dial func(ctx context.Context, network, addr string) (net.Conn, error)) *Client {
	c := &Client{node: node, password: statsPassword, http: &http.Client{
		Transport:     &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 2, IdleConnTimeout: idle, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for i := 1; i <= instances; i++ {
		c.bases = append(c.bases, fmt.Sprintf("http://%s:%d", node.Address, StatsPort(inv, i)))
	}
	return c
}

// Close gives its idle connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// NodeState is what a node says about itself at /vrrp.
type NodeState struct {
	Node string `json:"node"`
	// PID is HAProxy's worker: another number is a restart, which forgets drain, maint and hold.
	PID int `json:"pid"`
	// VRRP is keepalived's last word: MASTER, BACKUP, FAULT, STOP, or UNKNOWN before the first.
	// It is worth what Keepalived says: a dead one does not take its word back.
	VRRP         string `json:"vrrp"`
	Keepalived   bool   `json:"keepalived"` // its check script came in the last 3 s
	VIP          bool   `json:"vip"`        // this node's kernel answers at the VIP
	Poolers      int    `json:"poolers"`    // that take new connections
	PoolersTotal int    `json:"poolers_total"`
	Ready        bool   `json:"ready"` // may hold the VIP
	Hold         bool   `json:"hold"`  // an operator wants the VIP elsewhere; ignored while the peer cannot take it
	Why          string `json:"why"`   // it is not ready, "" when it is
}

// Lives says that keepalived runs: its check is heard, and it has not said that it ends.
func (s NodeState) Lives() bool { return s.Keepalived && s.VRRP != "STOP" }

// Node asks the node about itself. An answer by another node's name is an error.
func (c *Client) Node(ctx context.Context) (NodeState, error) {
	var s NodeState
	body, err := c.get(ctx, 1, "/vrrp")
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("read /vrrp of %s: %w", c.node.Name, err)
	}
	if s.Node != c.node.Name {
		return s, fmt.Errorf("read /vrrp of %s: %q answers at %s", c.node.Name, s.Node, c.node.Address)
	}
	return s, nil
}

// Stats reads the statistics of every process and merges them. When one process cannot be read it
// is an error that names it: half of a node's sessions would be a wrong number.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	each := make([][]Row, len(c.bases))
	errs := make([]error, len(c.bases))
	var wg sync.WaitGroup
	for i := range c.bases {
		wg.Go(func() { each[i], errs[i] = c.rows(ctx, i+1) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return Stats{}, err
	}
	return Merge(c.node.Name, each...), nil
}

// rows reads the statistics of the n-th process.
func (c *Client) rows(ctx context.Context, n int) ([]Row, error) {
	body, err := c.get(ctx, n, "/stats;csv;norefresh")
	if err != nil {
		return nil, err
	}
	rows, err := parseStats(body)
	if err != nil {
		return nil, fmt.Errorf("read statistics of %s: %w", c.process(n), err)
	}
	return rows, nil
}

// Running is a configuration file that a process of the node has loaded.
type Running struct {
	Path     string // on the node
	Checksum string // that stands in the file as it was rendered
}

// Configuration asks every HAProxy process of the node which rendering it runs with. keepalived's is
// among them while it is alive.
func (c *Client) Configuration(ctx context.Context) ([]Running, error) {
	var out []Running
	for n := 1; n <= len(c.bases); n++ {
		body, err := c.get(ctx, n, "/configuration")
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(body)) {
			path, sum, ok := strings.Cut(strings.TrimSpace(line), " ")
			if !ok {
				return nil, fmt.Errorf("read /configuration of %s: %q is no path and checksum", c.process(n), line)
			}
			out = append(out, Running{path, sum})
		}
	}
	return out, nil
}

func (c *Client) process(n int) string { return "haproxy" + suffix(n) + " on " + c.node.Name }

func (c *Client) get(ctx context.Context, n int, path string) ([]byte, error) {
	resp, body, err := c.do(ctx, n, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read %s of %s: status %s", path, c.process(n), resp.Status)
	}
	return body, nil
}

func (c *Client) do(ctx context.Context, n int, method, path string, form url.Values) (*http.Response, []byte, error) {
	fail := func(err error) (*http.Response, []byte, error) {
		return nil, nil, fmt.Errorf("%s %s of %s: %w", strings.ToLower(method), path, c.process(n), err)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.bases[n-1]+path, strings.NewReader(form.Encode()))
	if err != nil {
		return fail(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if strings.HasPrefix(path, "/stats") {
		req.SetBasicAuth(StatsUser, c.password)
	}
	connected := false
	req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { connected = !i.Reused }, // one of before proves nothing about now
	}))
	resp, err := c.http.Do(req)
	if err != nil {
		if connected && errors.Is(err, context.DeadlineExceeded) {
			return fail(fmt.Errorf("%w: %w", ErrSilent, context.DeadlineExceeded))
		}
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // without the URL, which fail says in our words
		}
		return fail(err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := io.Copy(&body, io.LimitReader(resp.Body, maxBody+1)); err != nil {
		return fail(err)
	}
	if body.Len() > maxBody {
		return fail(fmt.Errorf("the answer is longer than %d bytes", maxBody))
	}
	if resp.StatusCode == http.StatusUnauthorized {
		return fail(ErrUnauthorised)
	}
	return resp, body.Bytes(), nil
}
