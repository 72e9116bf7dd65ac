package story

import (
	"fmt"
	"time"

	"weir/views/chain"
	"weir/views/chain/chaintest"
	"weir/views/haproxy"
	"weir/views/layout"
	"weir/views/pool"
	"weir/views/ui"
)

// chainShots are the pages of the poolers and of HAProxy in the states that matter.
func chainShots() []Shot {
	poolers := func(name, title string, c *chaintest.Chain) Shot {
		return Shot{name, title, layout.Poolers, false, pool.List(pool.ListModel{View: c.View(), Operates: true})}
	}
	pooler := func(name, title string, c *chaintest.Chain) Shot {
		return Shot{name, title, layout.Poolers, false, pool.Content(Pooler(c.View()))}
	}
	nodes := func(name, title string, c *chaintest.Chain) Shot {
		return Shot{name, title, layout.HAProxy, false, haproxy.Content(haproxy.Model{View: c.View(), Operates: true})}
	}
	viewer := Pooler(chaintest.Healthy().View())
	viewer.Operates, viewer.Settings = false, pool.Settings{Missing: ui.Missing{Role: "operator"}}
	return []Shot{
		poolers("poolers", "Poolers", chaintest.Healthy()),
		poolers("poolers-down", "Poolers, one of them down", chaintest.Healthy().Down("pgb2")),
		poolers("poolers-paused", "Poolers, all of them paused", chaintest.Healthy().Pause()),
		poolers("poolers-nothing", "Poolers: nothing is known yet", chaintest.Nothing()),
		pooler("pooler", "A pooler", chaintest.Healthy()),
		pooler("pooler-down", "A pooler that is down", chaintest.Healthy().Down("pgb2")),
		pooler("pooler-drained", "A pooler that is drained", chaintest.Healthy().Drain("pgb2")),
		pooler("pooler-paused", "A pooler that is paused", chaintest.Healthy().Pause()),
		pooler("pooler-flapping", "A pooler that flaps", chaintest.Healthy().Flapping("pgb2")),
		pooler("pooler-disputed", "A pooler about which the HAProxies disagree", chaintest.Healthy().Dispute("pgb2")),
		pooler("pooler-nothing", "A pooler: nothing is known yet", chaintest.Nothing()),
		{"pooler-viewer", "A pooler for a viewer", layout.Poolers, false, pool.Content(viewer)},
		nodes("haproxy", "HAProxy", chaintest.Healthy()),
		nodes("haproxy-disputed", "HAProxies that disagree", chaintest.Healthy().Dispute("pgb2")),
		nodes("haproxy-gone", "A HAProxy that is gone", chaintest.Healthy().NodeGone()),
		{"pooler-pause-all", "Pause every pooler", layout.Poolers, false, ui.ConfirmForm(pool.Order{Verb: pool.Pause, Verdict: ui.Verdict{Effects: []string{"14 clients wait."}, Clock: clock}}.Confirm())},
	}
}

// Pooler is the page of pgb2 in a chain, with what it has to be asked for if it answers.
func Pooler(v chain.View) pool.Model {
	p, _ := pool.Find(v, "pgb2")
	m := pool.Model{View: v, Pooler: p, Operates: true}
	if !p.View.Known() {
		return m
	}
	t := Trends()
	m.Trends = pool.Trends{Clients: t.Clients["pgb2"], Waiting: wave(2, 2, 5), Servers: wave(44, 4, 3), Xacts: t.Xacts["pgb2"]}
	if !p.View.OK() {
		return m
	}
	m.Settings.List = []pool.Setting{{Name: "default_pool_size", Value: "70", Default: "20"}, {Name: "max_client_conn", Value: "4000", Default: "100"},
		{Name: "max_prepared_statements", Value: "200", Default: "200"}, {Name: "pool_mode", Value: "transaction", Default: "session"}}
	m.Connections = pool.Connections{At: ago(time.Second), ClientsTotal: 611, ServersTotal: 50, MaxPrepared: 200}
	served := pool.Client{Address: "10.20.0.14:51120", Proxy: "192.168.1.10:40112", User: "app", Database: "app", Application: "shop", State: "active",
		Since: ago(26 * time.Hour), LastRequest: ago(0), PID: 4211, Prepared: 31}
	m.Connections.Clients = []pool.Client{
		{Address: "10.20.0.17:40312", Proxy: "192.168.1.10:41220", User: "app", Database: "app", Application: "shop", State: "waiting", Wait: 1300 * time.Millisecond,
			Since: ago(3 * time.Minute), LastRequest: ago(time.Second), Prepared: 4},
		served,
		{Proxy: "192.168.1.11:39001", User: "report", Database: "app", State: "active", Since: ago(9 * time.Hour), LastRequest: ago(40 * time.Second)},
		{Proxy: "192.168.1.41:50122", User: "weir", Database: "weir", Application: "weir", State: "active", Since: ago(2 * time.Hour), LastRequest: ago(3 * time.Second), Prepared: 12}}
	for i := range 8 {
		m.Connections.Clients = append(m.Connections.Clients, pool.Client{Address: fmt.Sprintf("10.20.0.%d:4%04d", 20+i, i*731), Proxy: "192.168.1.10:42001", User: "app", Database: "app",
			Application: "shop", State: "active", Since: ago(time.Duration(60-i) * time.Minute), LastRequest: ago(time.Duration(i) * time.Second), Prepared: int64(i)})
	}
	m.Connections.Servers = []pool.Server{
		{PID: 4211, User: "app", Database: "app", State: "active", Since: ago(52 * time.Minute), LastRequest: ago(0), Prepared: 118, Client: &served},
		{PID: 4190, User: "app", Database: "app", State: "idle", Since: ago(52 * time.Minute), LastRequest: ago(2 * time.Second), Prepared: 96},
		{PID: 4302, User: "report", Database: "app", State: "used", Since: ago(20 * time.Minute), LastRequest: ago(40 * time.Second)}}
	return m
}
