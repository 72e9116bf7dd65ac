package slack

import (
	"context"
	"net"
	"net/http"
	"time"
)

// NewClient makes the client for what must not be told twice. When a request is given up, what of it
// was not received yet is given up as well: the kernel would otherwise go on sending it, and deliver it
// long after it was sent again over another connection, when a cut network heals. HTTP/1.1 only, as a
// connection of HTTP/2 outlives the requests on it.
func NewClient() *http.Client {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	transport.ForceAttemptHTTP2 = false
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok {
			err = tcp.SetLinger(0)
		}
		return conn, err
	}
	return &http.Client{Transport: transport}
}
