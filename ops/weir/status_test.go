package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	time.Local = time.UTC // as the golden files have it
	os.Exit(m.Run())
}

// chain is a snapshot made as a real one is, reading by reading. change edits a reading before it
// is folded in, or replaces its value by an error.
func chain(t *testing.T, change func(*fleet.Reading)) *fleet.Snapshot {
	t.Helper()
	inv := inventory.Default()
	s := fleet.First(inv)
	read := func(kind fleet.Kind, name string, value any) {
		r := fleet.Reading{Source: fleet.Source{Kind: kind, Name: name}, At: noon, Value: value}
		change(&r)
		s = fleet.Fold(s, r)
		if r.Err != nil { // status looks twice
			s = fleet.Fold(s, r)
		}
	}
	for i, n := range inv.HAProxy.Nodes {
		state := haproxy.NodeState{Node: n.Name, VRRP: "BACKUP", Keepalived: true, Poolers: 3, PoolersTotal: 3, Ready: true}
		if i == 0 {
			state.VRRP, state.VIP = "MASTER", true
		}
		read(fleet.NodeStateKind, n.Name, state)
		rows := []haproxy.Row{{Proxy: "postgres", Name: "FRONTEND", State: haproxy.Open, Sessions: int64(812 * (1 - i)), Rate: int64(35 * (1 - i))}}
		for _, p := range inv.PgBouncer.Poolers {
			rows = append(rows, haproxy.Row{Proxy: "pgbouncer", Name: p.Name, Kind: haproxy.Server, State: haproxy.Up, Admin: haproxy.Ready, Check: "L7OK"})
		}
		read(fleet.NodeStatsKind, n.Name, haproxy.Stats{Node: n.Name, Rows: rows})
	}
	for _, p := range inv.PgBouncer.Poolers {
		read(fleet.PoolerKind, p.Name, fleet.PoolerView{
			Version: "PgBouncer 1.24.1", State: pgbouncer.State{Active: true}, Lists: map[string]int64{"used_clients": 271},
			Pools: []pgbouncer.Pool{{Database: "app", User: "app", ClActive: 270, SvActive: 12, SvIdle: 28}},
		})
	}
	read(fleet.AnswerKind, "", "haproxy1")
	read(fleet.ThroughKind, "", postgres.Passage{Database: "weir", Elapsed: 3800 * time.Microsecond})
	read(fleet.DirectKind, "", postgres.Probe{Version: "17.12", Connections: 47, MaxConnections: 250, StartTime: noon.Add(-time.Hour), LongestXact: 1200 * time.Millisecond})
	return s
}

func TestStatusDrawsTheChain(t *testing.T) {
	for name, change := range map[string]func(*fleet.Reading){
		"everything-serves": func(*fleet.Reading) {},
		"a-pooler-is-down-and-one-drains": func(r *fleet.Reading) {
			if stats, ok := r.Value.(haproxy.Stats); ok {
				stats.Rows[2].State, stats.Rows[2].Check = haproxy.Down, "* L4CON"
				stats.Rows[3].Admin = haproxy.Drain
			}
			if r.Source.Name == "pgb2" {
				r.Value, r.Err = nil, errors.New("SHOW VERSION on pgb2: connection refused")
			}
		},
		"two-holders-and-a-dead-keepalived": func(r *fleet.Reading) {
			if state, ok := r.Value.(haproxy.NodeState); ok {
				state.VIP = true
				state.Keepalived = state.Node == "haproxy2"
				r.Value = state
			}
		},
		"one-node-is-silent": func(r *fleet.Reading) {
			if r.Source.Name == "haproxy1" {
				r.Value, r.Err = nil, context.DeadlineExceeded
			}
		},
		"nothing-answers": func(r *fleet.Reading) { r.Value, r.Err = nil, errors.New("i/o timeout") },
		"clients-wait-in-paused-poolers": func(r *fleet.Reading) {
			if v, ok := r.Value.(fleet.PoolerView); ok {
				v.State = pgbouncer.State{Paused: true}
				v.Pools[0].ClWaiting, v.Pools[0].MaxWait = 84, 6300*time.Millisecond
				r.Value = v
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			d := newDrawing(&out, inventory.Default())
			d.chain(chain(t, change), noon.Add(400*time.Millisecond))
			if err := d.flush(); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", out.Bytes())
			if strings.Contains(out.String(), "\x1b") {
				t.Error("colours where there is no terminal")
			}
		})
	}
}

func TestStatusJSONKeepsItsKeys(t *testing.T) {
	var out bytes.Buffer
	if err := printJSON(&out, chainOf(chain(t, func(*fleet.Reading) {}), inventory.Default())); err != nil {
		t.Fatal(err)
	}
	golden(t, "status.json", out.Bytes())
	if !json.Valid(out.Bytes()) {
		t.Error("not JSON")
	}
}

func golden(t *testing.T, name string, have []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, have, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s differs; go test -update writes it anew, then read it\n--- have\n%s\n--- want\n%s", path, have, want)
	}
}

func TestMistakesGetASentenceAndAnExitStatus(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("cluster: weir\nvip:\n  address: 10.0.0.1\n  prot: 5432\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		why  string
		args []string
		env  map[string]string
		want []string
	}{
		{"an inventory with several mistakes names them all", []string{"render", t.TempDir()}, map[string]string{"WEIR_INVENTORY": bad},
			[]string{"bad.yaml:4", "prot", "haproxy.nodes", "problem(s)"}},
		{"a missing inventory is named", []string{"render", t.TempDir()}, map[string]string{"WEIR_INVENTORY": "/nowhere.yaml"}, []string{"/nowhere.yaml"}},
		{"a lab that is down says how to start it", []string{"psql"}, nil, []string{"not running", "make up"}},
		{"so does exec", []string{"exec", "pgb1", "--", "true"}, nil, []string{"not running"}},
		{"so does a fault", []string{"kill", "pgb1", "pgbouncer"}, nil, []string{"not running"}},
		{"a port that is none is refused before anything starts", []string{"up"}, map[string]string{"WEIR_SQL_PORT": "70000"}, []string{"WEIR_SQL_PORT", "65535"}},
		{"a lab's name cannot climb out of its directory", []string{"--lab", "../x", "down"}, nil, []string{"--lab"}},
		{"a fault needs a process", []string{"freeze", "pgb1"}, nil, []string{"needs a process"}},
		{"slow needs to know how", []string{"slow", "pgb1"}, nil, []string{"--delay"}},
	} {
		t.Run(row.why, func(t *testing.T) {
			for name, value := range row.env {
				t.Setenv(name, value)
			}
			home := t.TempDir()
			root := newRoot()
			root.SetArgs(append([]string{"--home", home}, row.args...))
			root.SetOut(new(bytes.Buffer))
			err := root.ExecuteContext(t.Context())
			if err == nil {
				t.Fatal("it succeeded")
			}
			for _, want := range row.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(home, "*")); len(left) > 0 {
				t.Errorf("half-made state: %v", left)
			}
		})
	}
}

func TestNoPoolIsSaidToUseMoreThanItMay(t *testing.T) {
	pool := func(database string, active, idle int64) pgbouncer.Pool {
		return pgbouncer.Pool{Database: database, User: database, SvActive: active, SvIdle: idle}
	}
	for _, row := range []struct {
		sentence string
		pools    []pgbouncer.Pool
		want     string
	}{
		{"none has one yet", nil, "0 of 70"},
		{"a full one, beside Weir's own database and what looks passwords up", []pgbouncer.Pool{pool("app", 70, 0), pool("weir", 1, 1), pool("weir_auth", 1, 1)}, "70 of 70"},
		{"what is open and idle is not in use", []pgbouncer.Pool{pool("app", 12, 58)}, "12 of 70"},
		{"one that draws on its reserve", []pgbouncer.Pool{pool("app", 72, 0)}, "72 of 73"},
		{"a small one that is full is fuller than a large one", []pgbouncer.Pool{pool("app", 60, 0), pool("small", 5, 0)}, "5 of 5"},
	} {
		inv := inventory.Default()
		v := fleet.PoolerView{Pools: row.pools, Databases: []pgbouncer.Database{{Name: "app", PoolSize: 70, ReservePoolSize: 3}, {Name: "small", PoolSize: 5}}}
		used, size := newDrawing(io.Discard, inv).fullest(v)
		if got := fmt.Sprintf("%d of %d", used, size); got != row.want {
			t.Errorf("%s: %s, not %s", row.sentence, got, row.want)
		}
	}
}
