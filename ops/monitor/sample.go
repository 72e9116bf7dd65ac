package main

import (
	"slices"
	"time"

	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/pgbouncer"
)

// Sample is one number of the chain, as table sample keeps it.
type Sample struct {
	Metric  string  `json:"m"`
	Subject string  `json:"s"` // see the table below; "" is the chain as a whole
	Value   float64 `json:"v"`
}

// sampleEvery is how often samples are taken. Their times are whole multiples of it, so that those
// of different subjects lie over each other, and a monitor that was restarted doubles none.
const sampleEvery = 10 * time.Second

// What is sampled. The names stay: a month of history is kept under them. Rates and means are of
// the time since the sample before, from totals; all else is as it is at that moment. There is no
// sample of what is not known, of a rate after a restart, and of a mean of nothing.
//
//	metric                         subject          unit
//	haproxy_sessions               node             client connections through the VIP's frontend
//	haproxy_session_rate           node             new ones, per second
//	haproxy_bytes_in_rate          node             bytes per second from clients
//	haproxy_bytes_out_rate         node             bytes per second to clients
//	pooler_up                      node/pooler      1 when that node sends connections to it, else 0
//	pooler_clients                 pooler           clients, those that wait included
//	pooler_clients_waiting         pooler           clients that wait for a server connection
//	pooler_max_wait_seconds        pooler           of the client that has waited longest
//	pooler_servers                 pooler           server connections
//	pooler_servers_active          pooler           those of them in use
//	pooler_xact_rate               pooler           transactions per second
//	pooler_query_rate              pooler           queries per second
//	pooler_xact_seconds            pooler           mean duration of a transaction
//	pooler_query_seconds           pooler           mean duration of a query
//	pooler_wait_seconds            pooler           mean wait of a transaction for a server connection
//	postgres_connections           postgres         of clients
//	postgres_longest_xact_seconds  postgres         age of the oldest open transaction
//	postgres_idle_in_xact          postgres         sessions idle in a transaction
//	postgres_blocked               postgres         sessions that wait for a lock
//	postgres_xid_age               postgres         transactions since the oldest unfrozen one
//	postgres_size_bytes            postgres         of all databases
//	vip_holder                     ""               place of the node in the inventory, from 1; none without exactly one holder
//	vip_serving                    ""               1 when a new connection and a query went through, else 0
//	vip_passage_seconds            ""               how long they took
const (
	sessions, sessionRate, bytesInRate, bytesOutRate = "haproxy_sessions", "haproxy_session_rate", "haproxy_bytes_in_rate", "haproxy_bytes_out_rate"
	poolerUp, clients, waiting, maxWait              = "pooler_up", "pooler_clients", "pooler_clients_waiting", "pooler_max_wait_seconds"
	servers, serversActive, xactRate, queryRate      = "pooler_servers", "pooler_servers_active", "pooler_xact_rate", "pooler_query_rate"
	xactTime, queryTime, waitTime                    = "pooler_xact_seconds", "pooler_query_seconds", "pooler_wait_seconds"
	connections, longestXact, idleInXact             = "postgres_connections", "postgres_longest_xact_seconds", "postgres_idle_in_xact"
	blocked, xidAge, size                            = "postgres_blocked", "postgres_xid_age", "postgres_size_bytes"
	vipHolder, vipServing, vipPassage                = "vip_holder", "vip_serving", "vip_passage_seconds"
)

// Samples are the numbers of a snapshot; before is the snapshot of the samples before, or nil.
func Samples(before, now *fleet.Snapshot) []Sample {
	var s sampler
	for i := range now.Nodes {
		var was *fleet.Node
		if before != nil {
			was = &before.Nodes[i]
		}
		s.node(was, &now.Nodes[i])
	}
	for i := range now.Poolers {
		var was *fleet.Pooler
		if before != nil {
			was = &before.Poolers[i]
		}
		s.pooler(was, &now.Poolers[i])
	}
	s.postgres(&now.Postgres)
	s.vip(now)
	return s
}

type sampler []Sample

func (s *sampler) add(metric, subject string, value float64) {
	*s = append(*s, Sample{Metric: metric, Subject: subject, Value: value})
}

func (s *sampler) yes(metric, subject string, is bool) {
	value := 0.0
	if is {
		value = 1
	}
	s.add(metric, subject, value)
}

func (s *sampler) node(was, is *fleet.Node) {
	if !is.Stats.OK() {
		return
	}
	for _, row := range is.Stats.Value.Servers(fleet.PoolerBackend) {
		s.yes(poolerUp, is.Name+"/"+row.Name, row.State.Serving() && row.Admin == haproxy.Ready)
	}
	front, ok := is.Stats.Value.Find("postgres", "FRONTEND")
	if !ok {
		return
	}
	s.add(sessions, is.Name, float64(front.Sessions))
	if was == nil || !was.Stats.Known() {
		return
	}
	over := is.Stats.Seen.Sub(was.Stats.Seen).Seconds()
	old, ok := was.Stats.Value.Find("postgres", "FRONTEND")
	if !ok || over <= 0 || front.SessionsTotal < old.SessionsTotal || front.BytesIn < old.BytesIn || front.BytesOut < old.BytesOut {
		return // it was restarted
	}
	s.add(sessionRate, is.Name, float64(front.SessionsTotal-old.SessionsTotal)/over)
	s.add(bytesInRate, is.Name, float64(front.BytesIn-old.BytesIn)/over)
	s.add(bytesOutRate, is.Name, float64(front.BytesOut-old.BytesOut)/over)
}

func (s *sampler) pooler(was, is *fleet.Pooler) {
	if !is.View.OK() {
		return
	}
	active, queued, longest := is.View.Value.Clients()
	s.add(clients, is.Name, float64(active+queued))
	s.add(waiting, is.Name, float64(queued))
	s.add(maxWait, is.Name, longest.Seconds())
	used, all := is.View.Value.Servers()
	s.add(servers, is.Name, float64(all))
	s.add(serversActive, is.Name, float64(used))
	if was == nil || !was.View.Known() {
		return
	}
	over := is.View.Seen.Sub(was.View.Seen).Seconds()
	passed, ok := pgbouncer.Since(was.View.Value.Stats, is.View.Value.Stats)
	if !ok || over <= 0 || is.Restarted.After(was.View.Seen) {
		return
	}
	xacts, asked := passed.TotalXactCount, passed.TotalQueryCount
	s.add(xactRate, is.Name, float64(xacts)/over)
	s.add(queryRate, is.Name, float64(asked)/over)
	if xacts > 0 {
		s.add(xactTime, is.Name, passed.TotalXactTime.Seconds()/float64(xacts))
		s.add(waitTime, is.Name, passed.TotalWaitTime.Seconds()/float64(xacts))
	}
	if asked > 0 {
		s.add(queryTime, is.Name, passed.TotalQueryTime.Seconds()/float64(asked))
	}
}

func (s *sampler) postgres(p *fleet.Postgres) {
	if p.Probe.OK() {
		v := p.Probe.Value
		s.add(connections, p.Name, float64(v.Connections))
		s.add(longestXact, p.Name, v.LongestXact.Seconds())
		s.add(idleInXact, p.Name, float64(v.IdleInTransaction))
		s.add(blocked, p.Name, float64(v.Blocked))
		s.add(xidAge, p.Name, float64(v.OldestXIDAge))
	}
	if p.Sizes.OK() {
		var sum int64
		for _, db := range p.Sizes.Value {
			sum += db.Bytes
		}
		s.add(size, p.Name, float64(sum))
	}
}

func (s *sampler) vip(now *fleet.Snapshot) {
	if holders := now.Holders(); len(holders) == 1 {
		at := slices.IndexFunc(now.Nodes, func(n fleet.Node) bool { return n.Name == holders[0] })
		s.add(vipHolder, "", float64(at+1))
	}
	if now.VIP.Through.Asked() {
		s.yes(vipServing, "", now.VIP.Through.OK())
	}
	if now.VIP.Through.OK() {
		s.add(vipPassage, "", now.VIP.Through.Value.Elapsed.Seconds())
	}
}
