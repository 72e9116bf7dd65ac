package pgbouncer

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// parseTable reads a captured result: one line of column names, one line a row, tabs between.
func parseTable(text string) *pgconn.Result {
	var result pgconn.Result
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		var values [][]byte
		for _, cell := range strings.Split(line, "\t") {
			if i == 0 {
				result.FieldDescriptions = append(result.FieldDescriptions, pgconn.FieldDescription{Name: cell})
			}
			values = append(values, []byte(cell))
		}
		if i > 0 {
			result.Rows = append(result.Rows, values)
		}
	}
	return &result
}

func captured(t testing.TB, what string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "1.24.1", what+".tsv"))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestWhatVersion1_24_1PrintsIsRead(t *testing.T) {
	pools, err := decode(parseTable(captured(t, "pools")), readPool)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Pool{Database: "postgres", User: "postgres", ClActive: 3, ClWaiting: 1, SvActive: 3,
		MaxWait: 1503189 * time.Microsecond, PoolMode: "transaction"}); len(pools) != 4 || pools[1] != want {
		t.Errorf("pools: %+v", pools)
	}
	stats, err := decode(parseTable(captured(t, "stats")), readStat)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Stat{Database: "postgres", TotalServerAssignmentCount: 3, TotalXactCount: 4, TotalQueryCount: 4, TotalReceived: 33,
		TotalSent: 51, TotalQueryTime: 6579 * time.Microsecond, TotalWaitTime: 8819 * time.Microsecond}); len(stats) != 4 || stats[1] != want {
		t.Errorf("stats: %+v", stats)
	}
	databases, err := decode(parseTable(captured(t, "databases")), readDatabase)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Database{Name: "weir_auth", Host: "192.168.1.30", Port: 5432, Database: "postgres", PoolSize: 2, MinPoolSize: 1,
		MaxConnections: 2, CurrentConnections: 1}); len(databases) != 4 || databases[3] != want {
		t.Errorf("databases: %+v", databases)
	}
	servers, err := decode(parseTable(captured(t, "servers")), readSocket)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 13, 52, 27, 0, time.UTC)
	if want := (Socket{User: "postgres", Database: "postgres", State: "active", Addr: "192.168.1.30", Port: 5432, LocalAddr: "192.168.1.21",
		LocalPort: 58144, ConnectTime: at, RequestTime: at, Ptr: "0x555be1348e00", Link: "0x555be13401a0", RemotePID: 123}); len(servers) != 5 || servers[0] != want {
		t.Errorf("servers: %+v", servers)
	}
	clients, err := decode(parseTable(captured(t, "clients")), readSocket)
	if err != nil {
		t.Fatal(err)
	}
	if len(clients) != 6 || clients[1].Link != servers[0].Ptr || clients[4].Wait != 1503853*time.Microsecond {
		t.Errorf("clients: %+v", clients)
	}
	if clients[0].Serves() || !clients[1].Serves() || pools[0].Serves() || !pools[1].Serves() || servers[4].Serves() {
		t.Error("the console and the look-ups of passwords are taken for applications")
	}
	settings, err := decode(parseTable(captured(t, "config")), readSetting)
	if err != nil || len(settings) < 80 {
		t.Errorf("config: %+v, %v", settings, err)
	}
	if state, err := decodeState(parseTable(captured(t, "state"))); err != nil || state != (State{Active: true}) {
		t.Errorf("state: %+v, %v", state, err)
	}
}

func TestColumnsAreFoundByName(t *testing.T) {
	// Another version: one column more, others in another order.
	got, err := decode(parseTable("new\tvalue\tchangeable\tkey\tdefault\nx\t1\tyes\tserver_login_retry\t15\n"), readSetting)
	want := []Setting{{Key: "server_login_retry", Value: "1", Default: "15", Changeable: true}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	for _, row := range []struct{ sentence, from, to, want string }{
		{"a column that is not there", "sv_idle", "sv_lazy", "column sv_idle is missing"},
		{"a count that is none", "postgres\t3\t1", "postgres\tthree\t1", `column cl_active: "three" is not a whole number`},
	} {
		t.Run(row.sentence, func(t *testing.T) {
			text := captured(t, "pools")
			broken := strings.Replace(text, row.from, row.to, 1)
			if broken == text {
				t.Fatalf("%q does not occur", row.from)
			}
			if _, err := decode(parseTable(broken), readPool); err == nil || err.Error() != row.want {
				t.Errorf("error: %v, want %s", err, row.want)
			}
		})
	}
	if _, err := decodeState(parseTable("key\tvalue\nactive\tmaybe\n")); err == nil {
		t.Error("a state that is maybe active was read")
	}
	if _, err := decodeState(parseTable("key\tvalue\n")); err == nil {
		t.Error("no state at all was read as one")
	}
}

func FuzzDecode(f *testing.F) {
	for _, what := range []string{"pools", "stats", "databases", "clients", "config", "state"} {
		f.Add(captured(f, what))
	}
	f.Fuzz(func(t *testing.T, text string) {
		table := parseTable(text)
		if pools, err := decode(table, readPool); err == nil && len(pools) != len(table.Rows) {
			t.Errorf("%d pools of %d rows", len(pools), len(table.Rows))
		}
		decode(table, readStat)
		decode(table, readDatabase)
		decode(table, readSocket)
		decode(table, readSetting)
		if s, err := decodeState(table); err == nil && s == (State{}) {
			t.Error("no state, and no error")
		}
	})
}
