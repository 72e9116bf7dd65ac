package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// freshFor is how old the last look may be. Beyond it, the monitor does not watch any more,
// whatever else of it runs.
const freshFor = 5 * time.Second

// health is what /healthz answers, with 200 when Status is ok and 503 when it is not.
type health struct {
	Status            string           `json:"status"` // ok; stale: it does not look; unsaved: it looks and tells, and cannot write its state
	EvaluationAge     float64          `json:"evaluation_age_seconds"`
	Starting          bool             `json:"starting"`          // it waits for the chain to be whole, for some seconds, before it judges
	Unsaved           string           `json:"unsaved,omitempty"` // why its state cannot be written
	Version           string           `json:"version"`
	Inventory         string           `json:"inventory"`             // checksum of the one that it runs with
	Pending           map[string]int   `json:"notifications_pending"` // by channel: slack, webhook
	SpoolRows         int64            `json:"spool_rows"`            // incidents, events and notifications PostgreSQL has not got yet
	SpoolSamples      int64            `json:"spool_samples"`         // times of 10 s
	SetAside          int64            `json:"set_aside"`             // what PostgreSQL refused for good
	Dropped           map[string]int64 `json:"dropped"`               // what was given up since the start: messages that the other side refused, samples (times of 10 s) beyond what is kept
	OpenIncidentCount int              `json:"incidents_open"`
}

func (c collector) health(now time.Time) health {
	seen := c.seen()
	h := health{Status: "stale", Version: version, Inventory: c.inventory, Starting: seen.Starting, Pending: c.pending(), Dropped: c.dropped(), EvaluationAge: now.Sub(seen.At).Seconds(),
		SpoolRows: c.journal.rows.Load(), SpoolSamples: c.journal.samples.Load(), SetAside: c.journal.aside.Load()}
	unsaved := seen.Unsaved
	if unsaved == nil {
		unsaved = c.journal.unwritten() // the last look may not have needed it
	}
	if unsaved != nil {
		h.Unsaved = unsaved.Error()
	}
	switch {
	case now.Sub(seen.At) > freshFor:
	case unsaved != nil:
		h.Status = "unsaved"
	default:
		h.Status = "ok"
	}
	if seen.At.IsZero() { // nothing was judged yet
		h.EvaluationAge = -1
	}
	for _, i := range seen.Book.Incidents() {
		if i.Open() {
			h.OpenIncidentCount++
		}
	}
	return h
}

// handler answers /healthz and /metrics.
func (c collector) handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(c, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Timeout: 5 * time.Second}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		h := c.health(time.Now())
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if h.Status != "ok" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		json.NewEncoder(w).Encode(h)
	})
	return mux
}

const heartbeatEvery = time.Minute

// heartbeat calls a URL every minute while /healthz is ok: who waits for the call knows, when it stays
// away, that the monitor is dead or would forget with its end what it knows. The URL is a secret, so
// errors go without it.
func heartbeat(ctx context.Context, address string, client *http.Client, fresh func() bool, log *slog.Logger) {
	failing := false
	for again := pause(ctx, freshFor); again; again = pause(ctx, heartbeatEvery) {
		if !fresh() {
			continue
		}
		err := beat(ctx, address, client)
		if err != nil && !failing && ctx.Err() == nil {
			log.Warn("heartbeat is not accepted", "error", err)
		}
		failing = err != nil
	}
}

func beat(ctx context.Context, address string, client *http.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return errors.New("the URL is no URL")
	}
	resp, err := client.Do(req)
	var where *url.Error
	if errors.As(err, &where) {
		err = where.Err
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return errors.New("answer " + resp.Status)
	}
	return nil
}
