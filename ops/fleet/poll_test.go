package fleet

import (
	"context"
	"errors"
	"net"
	"testing"

	"weir/ops/inventory"
	"weir/ops/pgbouncer"
)

func TestNoQueryIsSentToWaitInPausedPools(t *testing.T) {
	app := PoolerView{Databases: []pgbouncer.Database{{Name: "app", Paused: true}, {Name: OwnDatabase}}}
	own := PoolerView{Databases: []pgbouncer.Database{{Name: "app"}, {Name: OwnDatabase, Paused: true}}}
	whole, serves := PoolerView{State: pgbouncer.State{Paused: true}}, PoolerView{}
	silent := errors.New("connection refused")
	for _, row := range []struct {
		sentence string
		views    [3]PoolerView
		errs     [3]error
		tried    bool
	}{
		{"every pooler is paused", [3]PoolerView{whole, whole, whole}, [3]error{}, false},
		{"so is Weir's own database, everywhere", [3]PoolerView{whole, own, own}, [3]error{}, false},
		{"other databases are", [3]PoolerView{app, app, app}, [3]error{}, true},
		{"one pooler is not", [3]PoolerView{whole, serves, whole}, [3]error{}, true},
		{"one pooler is silent, and may serve", [3]PoolerView{whole, whole, whole}, [3]error{nil, nil, silent}, true},
		{"none was read yet", [3]PoolerView{}, [3]error{silent, silent, silent}, true},
	} {
		tries := 0
		p, err := NewParts(inventory.Default(), inventory.Secrets{}, 1, func(context.Context, string, string) (net.Conn, error) {
			tries++
			return nil, silent
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range p.inv.PgBouncer.Poolers {
			p.heard(n.Name, whole, nil)
			p.heard(n.Name, row.views[i], row.errs[i])
		}
		if _, err := p.through(t.Context()); err == nil || errors.Is(err, ErrPaused) == row.tried || (tries > 0) != row.tried {
			t.Errorf("%s: tried %d times, %v", row.sentence, tries, err)
		}
	}
}
