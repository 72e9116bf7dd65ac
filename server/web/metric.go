package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// requests are how many there were, how long they took, and how many there are.
type requests struct {
	took *prometheus.HistogramVec
	now  *prometheus.GaugeVec
}

func newRequests(to *prometheus.Registry) requests {
	r := requests{
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "weir_server_request_seconds",
			Help: "How long requests took; streams as long as somebody listened.", Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}},
			[]string{"route", "method", "status"}),
		now: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "weir_server_requests_now", Help: "Requests that are being answered, streams included."},
			[]string{"route"}),
	}
	to.MustRegister(r.took, r.now)
	return r
}

// enter counts a request in, and what it returns counts it out.
func (s requests) enter(route string) func(method string, status int, took time.Duration) {
	now := s.now.WithLabelValues(route)
	now.Inc()
	return func(method string, status int, took time.Duration) {
		now.Dec()
		switch method {
		case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions:
		default:
			method = "other" // the method is the client's to choose, and would be a metric each
		}
		s.took.WithLabelValues(route, method, strconv.Itoa(status)).Observe(took.Seconds())
	}
}

func (w *Web) metrics() http.Handler {
	return promhttp.HandlerFor(w.Metrics, promhttp.HandlerOpts{Timeout: 5 * time.Second})
}
