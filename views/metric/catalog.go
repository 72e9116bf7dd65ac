package metric

import "weir/views/ui"

// Metric is a number that has a history, as the samples call it.
type Metric string

// The numbers that are drawn; ops/monitor says what each is and what its subjects are.
const (
	Sessions      Metric = "haproxy_sessions"
	SessionRate   Metric = "haproxy_session_rate"
	BytesIn       Metric = "haproxy_bytes_in_rate"
	BytesOut      Metric = "haproxy_bytes_out_rate"
	PoolerUp      Metric = "pooler_up"
	Clients       Metric = "pooler_clients"
	Waiting       Metric = "pooler_clients_waiting"
	MaxWait       Metric = "pooler_max_wait_seconds"
	Servers       Metric = "pooler_servers"
	ServersActive Metric = "pooler_servers_active"
	XactRate      Metric = "pooler_xact_rate"
	QueryRate     Metric = "pooler_query_rate"
	XactSeconds   Metric = "pooler_xact_seconds"
	QuerySeconds  Metric = "pooler_query_seconds"
	WaitSeconds   Metric = "pooler_wait_seconds"
	Connections   Metric = "postgres_connections"
	LongestXact   Metric = "postgres_longest_xact_seconds"
	IdleInXact    Metric = "postgres_idle_in_xact"
	Blocked       Metric = "postgres_blocked"
	XIDAge        Metric = "postgres_xid_age"
	SizeBytes     Metric = "postgres_size_bytes"
	Holder        Metric = "vip_holder"
	Serving       Metric = "vip_serving"
	Passage       Metric = "vip_passage_seconds"
)

// Of is which number of a stretch of time is drawn.
type Of string

const (
	Mean  Of = "mean"
	Most  Of = "most"  // a peak must not be lost
	Least Of = "least" // a moment of failure must not be lost
)

// Spec is what is drawn of one metric.
type Spec struct {
	Metric Metric
	Title  string
	Format ui.Format
	Of     Of
}

// Group is charts that belong together.
type Group struct {
	ID, Title string
	Specs     []Spec
}

// Groups are all charts of the page, in its order.
var Groups = []Group{
	{"throughput", "Throughput", []Spec{
		{XactRate, "Transactions a second", ui.Plain, Mean},
		{QueryRate, "Queries a second", ui.Plain, Mean},
		{SessionRate, "New connections a second", ui.Plain, Mean},
		{BytesIn, "From clients, bytes a second", ui.Size, Mean},
		{BytesOut, "To clients, bytes a second", ui.Size, Mean},
	}},
	{"latency", "Latency", []Spec{
		{Passage, "A new connection and a query through the VIP, the longest", ui.Seconds, Most},
		{XactSeconds, "Mean length of a transaction", ui.Seconds, Mean},
		{QuerySeconds, "Mean length of a query", ui.Seconds, Mean},
	}},
	{"waits", "Waits", []Spec{
		{Waiting, "Clients that wait for a server connection, the most", ui.Plain, Most},
		{MaxWait, "The longest wait", ui.Seconds, Most},
		{WaitSeconds, "Mean wait of a transaction", ui.Seconds, Mean},
	}},
	{"clients", "Clients", []Spec{
		{Sessions, "Client connections of the HAProxy nodes", ui.Plain, Mean},
		{Clients, "Clients of the poolers", ui.Plain, Mean},
	}},
	{"servers", "Server connections", []Spec{
		{Servers, "Server connections of the poolers", ui.Plain, Mean},
		{ServersActive, "Those in use", ui.Plain, Mean},
		{Connections, "Client connections of PostgreSQL, the most", ui.Plain, Most},
	}},
	{"checks", "Checks", []Spec{
		{Serving, "A query goes through the VIP: 1, or 0", ui.Plain, Least},
		{PoolerUp, "A node sends connections to a pooler: 1, or 0", ui.Plain, Least},
		{Holder, "The node that holds the VIP: 1 is the first", ui.Plain, Mean},
	}},
	{"postgres", "PostgreSQL", []Spec{
		{LongestXact, "Age of the oldest open transaction", ui.Seconds, Most},
		{IdleInXact, "Sessions idle in a transaction, the most", ui.Plain, Most},
		{Blocked, "Sessions that wait for a lock, the most", ui.Plain, Most},
		{XIDAge, "Age of the oldest transaction number", ui.Plain, Most},
		{SizeBytes, "Size of all databases", ui.Size, Mean},
	}},
}

// Find is the spec of a metric; ok is false for one that is not drawn.
func Find(m Metric) (spec Spec, ok bool) {
	for _, g := range Groups {
		for _, s := range g.Specs {
			if s.Metric == m {
				return s, true
			}
		}
	}
	return Spec{}, false
}
