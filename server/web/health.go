package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/ops/fleet"
	"weir/ops/inventory"
)

// Readiness is what /readyz answers: 200 when Status is ready.
type Readiness struct {
	Status string `json:"status"` // ready, starting, stopping
	Tables bool   `json:"tables"` // Weir's own are there and up to date: PostgreSQL was reached since the start
}

// healthz: the process answers.
func (w *Web) healthz(rw http.ResponseWriter, _ *http.Request) {
	answerJSON(rw, http.StatusOK, map[string]string{"status": "ok", "version": w.Version})
}

// readyz: the server has something to show. That PostgreSQL is away does not make it unready: just
// then people look at it.
func (w *Web) readyz(rw http.ResponseWriter, _ *http.Request) {
	is, status := w.Ready(), http.StatusOK
	if is.Status != "ready" {
		status = http.StatusServiceUnavailable
	}
	answerJSON(rw, status, is)
}

// healthDB: the way of an application, from here through the VIP to PostgreSQL and back.
func (w *Web) healthDB(rw http.ResponseWriter, r *http.Request) {
	p, status := w.Health.look(r.Context()), http.StatusOK
	if p.Status != "ok" {
		status = http.StatusServiceUnavailable
	}
	answerJSON(rw, status, p)
}

// Health looks whether PostgreSQL answers at the end of the chain. Anybody may ask, as monitoring
// tools do: so all who ask within a second get one answer.
type Health struct {
	Config    *pgx.ConnConfig // where Weir's own tables are
	Inventory *inventory.Inventory
	Dial      fleet.Dial
	Log       *slog.Logger

	turn sync.Mutex
	at   time.Time
	last passage
}

const (
	healthLimit = 3 * time.Second
	holderLimit = 500 * time.Millisecond
	healthFor   = time.Second
)

// passage is what one look found. What is not known is null.
type passage struct {
	Status       string    `json:"status"` // ok, failed
	At           time.Time `json:"at"`
	Milliseconds float64   `json:"milliseconds"` // connection, login, one query
	Endpoint     string    `json:"endpoint"`     // what was connected to
	Database     *string   `json:"database"`
	User         *string   `json:"user"`
	Server       *server   `json:"server"`
	HAProxy      *string   `json:"haproxy"` // the node that answers at the VIP
	Pooler       *string   `json:"pooler"`  // the one whose address PostgreSQL saw
	Reason       string    `json:"reason,omitempty"`
}

// server is PostgreSQL as it names itself.
type server struct {
	Address string `json:"address"`
	Version string `json:"version"`
}

func (h *Health) look(ctx context.Context) passage {
	h.turn.Lock()
	defer h.turn.Unlock()
	if time.Since(h.at) < healthFor {
		return h.last
	}
	// The answer is not only for who asked first.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthLimit)
	defer cancel()
	began := time.Now()
	p := passage{Status: "ok", At: began.UTC(), Endpoint: net.JoinHostPort(h.Config.Host, strconv.Itoa(int(h.Config.Port)))}
	if err := h.pass(ctx, &p); err != nil {
		p.Status, p.Reason = "failed", reasonOf(err)
		h.Log.WarnContext(ctx, "database does not answer", "error", err)
	}
	if p.Milliseconds == 0 {
		p.Milliseconds = milliseconds(time.Since(began))
	}
	if h.Config.Host == h.Inventory.VIP.Address.String() {
		p.HAProxy = h.holder(ctx)
	}
	h.at, h.last = time.Now(), p
	return p
}

// pass makes a new connection, for a kept one proves nothing about the way.
func (h *Health) pass(ctx context.Context, p *passage) error {
	began := time.Now()
	config := h.Config.Copy()
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var address, version, database, user string
	var from string
	err = conn.QueryRow(ctx, `SELECT current_database()::text, current_user::text, host(inet_server_addr()) || ':' || inet_server_port(),
		current_setting('server_version'), coalesce(host(inet_client_addr()), '')`).Scan(&database, &user, &address, &version, &from)
	if err != nil {
		return err
	}
	p.Milliseconds = milliseconds(time.Since(began))
	p.Database, p.User, p.Server = &database, &user, &server{address, version}
	p.Pooler = nameAt(h.Inventory.PgBouncer.Poolers, from)
	return nil
}

func nameAt(nodes []inventory.Node, address string) *string {
	for _, n := range nodes {
		if n.Address.String() == address {
			return &n.Name
		}
	}
	return nil
}

// holder asks the VIP which node is behind it, nil when it does not say.
func (h *Health) holder(ctx context.Context) *string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), holderLimit)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: h.Dial}}
	at := net.JoinHostPort(h.Inventory.VIP.Address.String(), strconv.Itoa(h.Inventory.HAProxy.StatsPort))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/node", nil)
	if err != nil {
		return nil
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 256))
	name := strings.TrimSpace(string(body))
	for _, n := range h.Inventory.HAProxy.Nodes {
		if n.Name == name {
			return &name
		}
	}
	return nil
}

// reasonOf says why, without what an error of the driver has about logins.
func reasonOf(err error) string {
	var answer *pgconn.PgError
	var network *net.OpError
	switch {
	case errors.As(err, &answer):
		return fmt.Sprintf("%s (SQLSTATE %s)", answer.Message, answer.Code)
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer within " + healthLimit.String()
	case errors.As(err, &network):
		return network.Error()
	}
	return "the connection ended before the answer"
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
