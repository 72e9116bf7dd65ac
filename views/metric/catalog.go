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
	Mean Of = "mean"
	Most Of = "most" // a peak must not be lost
)

// Spec is what is drawn of one metric.
type Spec struct {
	Metric Metric
	Title  string
	Format ui.Format
	Of     Of
	Words  *Words // of a number that stands for something: a strip is drawn, as its mean would be nothing
}

// Words say what 1 and 0 stand for, and a stretch with both.
type Words struct {
	One, Zero, Both string
	Down            ui.State // the look of 0
}

// Group is charts that belong together.
type Group struct {
	ID, Title string
	Specs     []Spec
}

// Groups are all charts of the page, in its order.
var Groups = []Group{
	{"checks", "Checks", []Spec{
		{Metric: Serving, Title: "Queries pass the VIP", Words: &Words{"queries pass", "no query passes", "some queries fail", ui.Critical}},
		{Metric: Holder, Title: "Holder of the VIP"},
		{Metric: PoolerUp, Title: "Poolers that HAProxy sends clients to", Words: &Words{"gets clients", "gets no new clients", "gets none at times", ui.Warning}},
	}},
	{"throughput", "Throughput", []Spec{
		{Metric: XactRate, Title: "Transactions a second (tps)", Format: ui.Plain, Of: Mean},
		{Metric: QueryRate, Title: "Queries a second", Format: ui.Plain, Of: Mean},
		{Metric: SessionRate, Title: "New connections a second at HAProxy", Format: ui.Plain, Of: Mean},
		{Metric: BytesIn, Title: "Bytes a second from clients", Format: ui.Size, Of: Mean},
		{Metric: BytesOut, Title: "Bytes a second to clients", Format: ui.Size, Of: Mean},
	}},
	{"latency", "Latency", []Spec{
		{Metric: Passage, Title: "A new connection and a query through the VIP (peak)", Format: ui.Seconds, Of: Most},
		{Metric: XactSeconds, Title: "Mean transaction", Format: ui.Seconds, Of: Mean},
		{Metric: QuerySeconds, Title: "Mean query", Format: ui.Seconds, Of: Mean},
	}},
	{"waits", "Waits", []Spec{
		{Metric: Waiting, Title: "Clients waiting for a server connection (peak)", Format: ui.Things, Of: Most},
		{Metric: MaxWait, Title: "Longest wait of a client (peak)", Format: ui.Seconds, Of: Most},
		{Metric: WaitSeconds, Title: "Mean wait of a transaction", Format: ui.Seconds, Of: Mean},
	}},
	{"clients", "Clients", []Spec{
		{Metric: Sessions, Title: "Connections to HAProxy", Format: ui.Things, Of: Mean},
		{Metric: Clients, Title: "Clients of the poolers", Format: ui.Things, Of: Mean},
	}},
	{"servers", "Server connections", []Spec{
		{Metric: Servers, Title: "Server connections of the poolers", Format: ui.Things, Of: Mean},
		{Metric: ServersActive, Title: "Server connections in use", Format: ui.Things, Of: Mean},
		{Metric: Connections, Title: "Connections to PostgreSQL (peak)", Format: ui.Things, Of: Most},
	}},
	{"postgres", "PostgreSQL", []Spec{
		{Metric: LongestXact, Title: "Oldest transaction (peak)", Format: ui.Seconds, Of: Most},
		{Metric: IdleInXact, Title: "Sessions idle in transaction (peak)", Format: ui.Things, Of: Most},
		{Metric: Blocked, Title: "Sessions waiting for a lock (peak)", Format: ui.Things, Of: Most},
		{Metric: XIDAge, Title: "Transaction ID age (peak)", Format: ui.Things, Of: Most},
		{Metric: SizeBytes, Title: "Size of all databases", Format: ui.Size, Of: Mean},
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
