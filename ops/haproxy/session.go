package haproxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"weir/ops/inventory"
)

const (
	// sessionPorts is how far above its statistics a process tells its sessions.
	sessionPorts    = 100
	sessionQuestion = "show sess all\n"
	// maxSessions is far above what a process's clients take: about 2 KiB each.
	maxSessions = 256 << 20
)

// Edge reads the session tables of HAProxy nodes. They answer to the console's address only.
type Edge struct {
	processes map[string][]string // node -> host:port of each process
	dial      func(ctx context.Context, network, addr string) (net.Conn, error)
}

// NewEdge makes a reader of these nodes; nothing is connected yet. instances is how many processes
// run on each (Instances).
func NewEdge(inv *inventory.Inventory, instances int, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *Edge {
	e := &Edge{processes: map[string][]string{}, dial: dial}
	for _, n := range inv.HAProxy.Nodes {
		for i := 1; i <= instances; i++ {
			e.processes[n.Name] = append(e.processes[n.Name], net.JoinHostPort(n.Address.String(), strconv.Itoa(SessionPort(inv, i))))
		}
	}
	return e
}

// Clients is whose connections HAProxy passes on: from its own end of the connection to the pooler to
// the client's address, both host:port. The error names the processes that did not tell theirs; those
// of the others are there all the same.
func (e *Edge) Clients(ctx context.Context) (map[string]string, error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var errs []error
	all := map[string]string{}
	for node, processes := range e.processes {
		for i, address := range processes {
			wg.Go(func() {
				some, err := e.ask(ctx, address)
				mu.Lock()
				defer mu.Unlock()
				maps.Copy(all, some)
				if err != nil {
					errs = append(errs, fmt.Errorf("sessions of haproxy%s on %s: %w", suffix(i+1), node, err))
				}
			})
		}
	}
	wg.Wait()
	return all, errors.Join(errs...)
}

func (e *Edge) ask(ctx context.Context, address string) (map[string]string, error) {
	conn, err := e.dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, sessionQuestion); err != nil {
		return nil, err
	}
	clients, err := parseSessions(io.LimitReader(conn, maxSessions))
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return clients, err
}

// parseSessions reads "show sess all" of HAProxy 3.0. Each session begins with a line that is not
// indented; of its lines two matter, and sessions of other frontends are left out:
//
//	0x7f5c0c01d3a0: [23/Nov/2026:16:41:06.181512] id=42 proto=tcpv4 source=10.0.0.7:55555
//	  frontend=postgres (id=3 mode=tcp), listener=? (id=1) addr=192.168.1.100:5432
//	  backend=pgbouncer (id=5 mode=tcp) addr=192.168.1.10:40001
func parseSessions(r io.Reader) (map[string]string, error) {
	out := map[string]string{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	source, any := "", false
	for lines.Scan() {
		line := lines.Text()
		any = any || strings.HasPrefix(line, "0x")
		switch {
		case strings.HasPrefix(line, "0x"):
			source = after(line, " source=")
		case strings.HasPrefix(line, "  backend="+Poolers+" "):
			if own := after(line, " addr="); isEndpoint(own) && isEndpoint(source) {
				out[own] = source
			}
		}
	}
	if err := lines.Err(); err != nil {
		return out, fmt.Errorf("read sessions: %w", err)
	}
	if !any { // it lists at least the connection that asks
		return out, errors.New("read sessions: no answer: is this the console's address?")
	}
	return out, nil
}

// after is the word that follows.
func after(line, name string) string {
	_, rest, _ := strings.Cut(line, name)
	word, _, _ := strings.Cut(rest, " ")
	return word
}

func isEndpoint(s string) bool {
	_, err := netip.ParseAddrPort(s)
	return err == nil
}
