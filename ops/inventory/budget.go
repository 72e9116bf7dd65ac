package inventory

import "fmt"

// AuthPoolSize is how many server connections each pooler keeps for looking up passwords. They
// have a pool of their own: in the clients' pool a full pool would keep everybody from logging in.
const AuthPoolSize = 2

// Budget is how the connections of the cluster fit together, counted from the inventory.
type Budget struct {
	Poolers          int // in the inventory
	ServersEach      int // server connections of one pooler: pool, reserve and password look-ups
	Servers          int // of all poolers
	Direct           int // kept for what connects to PostgreSQL itself
	Superuser        int // superuser_reserved_connections
	MaxConnections   int
	Spare            int // MaxConnections less all of the above; never negative in a valid inventory
	PoolSize         int // server connections that carry queries, every pooler up
	PoolSizeLostOne  int // the same with one pooler lost
	Clients          int // client places, every pooler up
	ClientsLostOne   int
	ClientsPerPooler int
}

// Budget counts the connections of the cluster.
func (inv *Inventory) Budget() Budget {
	p, n := inv.PgBouncer, len(inv.PgBouncer.Poolers)
	each := p.PoolSize + p.ReservePoolSize + AuthPoolSize
	b := Budget{
		Poolers: n, ServersEach: each, Servers: n * each,
		Direct: inv.Postgres.DirectConnections, Superuser: inv.Postgres.SuperuserReservedConnections,
		MaxConnections:  inv.Postgres.MaxConnections,
		PoolSize:        n * p.PoolSize,
		PoolSizeLostOne: max(0, n-1) * p.PoolSize,
		Clients:         n * p.MaxClientConn, ClientsLostOne: max(0, n-1) * p.MaxClientConn,
		ClientsPerPooler: p.MaxClientConn,
	}
	b.Spare = b.MaxConnections - b.Servers - b.Direct - b.Superuser
	return b
}

// String is the budget in words.
func (b Budget) String() string {
	return fmt.Sprintf("%d poolers x %d server connections + %d direct + %d for superusers = %d of max_connections %d; "+
		"%d client places on %d pooled connections, with one pooler lost %d on %d",
		b.Poolers, b.ServersEach, b.Direct, b.Superuser, b.Servers+b.Direct+b.Superuser, b.MaxConnections,
		b.Clients, b.PoolSize, b.ClientsLostOne, b.PoolSizeLostOne)
}

// budget refuses a cluster whose poolers could ask PostgreSQL for more connections than it has:
// they would get errors just when everything is busy.
func (c *checker) budget(inv *Inventory) {
	if b := inv.Budget(); b.Spare < 0 {
		c.add("postgres.max_connections",
			"is %d, and the poolers may need %d: %d x (pool_size %d + reserve_pool_size %d + %d for password look-ups) + direct_connections %d + superuser_reserved_connections %d",
			b.MaxConnections, b.MaxConnections-b.Spare, b.Poolers, inv.PgBouncer.PoolSize, inv.PgBouncer.ReservePoolSize,
			AuthPoolSize, b.Direct, b.Superuser)
	}
}
