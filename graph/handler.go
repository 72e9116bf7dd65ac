package graph

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/ast"

	"weir/graph/gen"
)

// documents is how many parsed documents are kept; the largest takes about half a MiB.
const documents = 50

// Handler answers /graphql: GET, POST, WebSockets (graphql-transport-ws) and server-sent events. Who
// asks is found out before it, and so are CORS and forged requests; only for WebSockets, which CORS
// does not cover, it looks at the origin itself.
func (g *Graph) Handler() http.Handler {
	s := handler.New(gen.NewExecutableSchema(gen.Config{Resolvers: g, Complexity: costs()}))
	limit := int64(MaxBody)
	s.AddTransport(transport.Websocket{
		Implementation:   transport.CoderWebsocketImplementation{AcceptOptions: websocket.AcceptOptions{OriginPatterns: g.Origins}},
		InitTimeout:      10 * time.Second,
		PingPongInterval: 20 * time.Second,
		PayloadReadLimit: &limit,
	})
	s.AddTransport(plain{g})
	s.SetQueryCache(lru.New[*ast.QueryDocument](documents))
	s.SetParserTokenLimit(MaxTokens)
	s.SetErrorPresenter(g.present)
	s.SetRecoverFunc(caught)
	s.Use(&limits{g: g})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if up := r.Header.Get("Upgrade"); strings.EqualFold(up, "websocket") {
			r = r.WithContext(context.WithValue(r.Context(), streamKey{}, true))
		} else if up != "" { // curl offers h2c; nobody has to accept
			r = r.Clone(r.Context())
			r.Header.Del("Upgrade")
		}
		s.ServeHTTP(w, r)
	})
}
