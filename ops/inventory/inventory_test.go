package inventory

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// cluster is a valid inventory whose lines the tests below count on.
func cluster(t testing.TB) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "cluster.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// edited replaces each old by the new that follows it, and insists that old stands there.
func edited(t *testing.T, text string, oldNew ...string) string {
	t.Helper()
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(text, oldNew[i]) {
			t.Fatalf("the inventory has no %q to edit", oldNew[i])
		}
		text = strings.Replace(text, oldNew[i], oldNew[i+1], 1)
	}
	return text
}

func TestEveryMistakeIsReportedAtItsPlace(t *testing.T) {
	for _, test := range []struct {
		sentence string
		edit     []string
		want     []string // every problem, in order
	}{
		{"two nodes may not share a name",
			[]string{"name: lb2", "name: lb1"},
			[]string{`f:18: haproxy.nodes[1].name: "lb1" is the name of haproxy.nodes[0] as well`}},
		{"a pooler and the database may not share an address",
			[]string{"address: 10.0.0.30", "address: 10.0.0.22"},
			[]string{`f:32: postgres.address: 10.0.0.22 is the address of pgbouncer.poolers[1].address as well`}},
		{"the VIP lies in the network",
			[]string{"10.0.0.100", "10.0.1.100"},
			[]string{`f:4: vip.address: 10.0.1.100 is outside the network 10.0.0.0/24`}},
		{"the VIP is nobody's own address",
			[]string{"10.0.0.100", "10.0.0.11"},
			[]string{`f:18: haproxy.nodes[1].address: 10.0.0.11 is the address of vip.address as well`}},
		{"the VIP is not the broadcast address",
			[]string{"10.0.0.100", "10.0.0.255"},
			[]string{`f:4: vip.address: 10.0.0.255 is the network's own or broadcast address`}},
		{"the VIP is not the network's first address",
			[]string{"10.0.0.100", "10.0.0.0"},
			[]string{`f:4: vip.address: 10.0.0.0 is the network's own or broadcast address`}},
		{"an IPv6 address is refused",
			[]string{"10.0.0.30", "fd00::30"},
			[]string{`f:32: "fd00::30" is not an IPv4 address`}},
		{"an address that is a list is refused once, and not called missing too",
			[]string{"address: 10.0.0.30", "address: [10.0.0.30]"},
			[]string{`f:32: "" is not an IPv4 address`}},
		{"a missing address is reported at its group",
			[]string{"  address: 10.0.0.30\n", ""},
			[]string{`f:31: postgres.address: is missing`}},
		{"a missing network is reported, and not every address with it",
			[]string{"network: 10.0.0.0/24\n", ""},
			[]string{`f:1: network: is missing`}},
		{"a network without its length is refused",
			[]string{"10.0.0.0/24", "10.0.0.0"},
			[]string{`f:2: "10.0.0.0" is not an IPv4 network such as 192.168.1.0/24`}},
		{"a name in capitals is no host name",
			[]string{"name: p1", "name: P1"},
			[]string{`f:26: pgbouncer.poolers[0].name: "P1" is not a host name: lower-case letters, digits and dashes, at most 32`}},
		{"a missing name is reported",
			[]string{"{name: lb1, ", "{"},
			[]string{`f:17: haproxy.nodes[0].name: is missing`}},
		{"an unknown key is named",
			[]string{"pool_mode: ", "poolmode: "},
			[]string{`f:20: pgbouncer.pool_mode: is "", and must be one of session, transaction, statement`,
				`f:21: unknown key "poolmode"`}},
		{"an unknown key of several words is named whole",
			[]string{"cluster: shop", "cluster: shop\nmy own key: 1"},
			[]string{`f:2: unknown key "my own key"`}},
		{"a group of unknown keys is one problem",
			[]string{"poll:\n", "extra: {a: {b: {c: 1}}}\npoll:\n"},
			[]string{`f:42: unknown key "extra"`}},
		{"a word is no number",
			[]string{"max_client_conn: 1000", "max_client_conn: many"},
			[]string{`f:24: "many" stands where a whole number belongs`}},
		{"a value of several lines is reported at its line",
			[]string{"max_client_conn: 1000", "max_client_conn: \"a\\nb\""},
			[]string{"f:24: \"a\\nb\" stands where a whole number belongs"}},
		{"a fraction is no number of files",
			[]string{"20000", "20000.5"},
			[]string{`f:15: haproxy.max_files: is a fraction, and no value here may be one`}},
		{"a number beyond 64 bits is refused",
			[]string{"stats_port: 8404", "stats_port: 99999999999999999999999999"},
			[]string{`f:9: "9999999..." stands where a whole number belongs`}},
		{"a huge number that would overflow the budget is out of range",
			[]string{"pool_size: 20", "pool_size: 9223372036854775807"},
			[]string{`f:22: pgbouncer.pool_size: is 9223372036854775807, and must be from 1 to 10000`}},
		{"a yes is not true",
			[]string{"superusers_through_vip: false", "superusers_through_vip: maybe"},
			[]string{`f:37: "maybe" stands where true or false belongs`}},
		{"a list is no number",
			[]string{"router_id: 7", "router_id: [7]"},
			[]string{`f:6: a list stands where a whole number belongs`}},
		{"a group is no word",
			[]string{"cluster: shop", "cluster: {name: shop}"},
			[]string{`f:1: a group of keys stands where a word belongs`}},
		{"a word is no list of nodes",
			[]string{"    - {name: lb1, address: 10.0.0.10}\n    - {name: lb2, address: 10.0.0.11}\n", "    lb1\n"},
			[]string{`f:17: "lb1" stands where a list belongs`}},
		{"a word in a list of nodes is one problem, and does not disturb the count",
			[]string{"- {name: lb2, address: 10.0.0.11}", "- lb2"},
			[]string{`f:18: "lb2" stands where a group of keys belongs`}},
		{"a duration needs a unit",
			[]string{"advert_interval: 200ms", "advert_interval: 200"},
			[]string{`f:7: "200" is not a duration such as 200ms or 1s`}},
		{"a duration has bounds",
			[]string{"advert_interval: 200ms", "advert_interval: 20ms"},
			[]string{`f:7: vip.advert_interval: is 20ms, and must be from 100ms to 10s`}},
		{"a port has bounds",
			[]string{"port: 6432", "port: 65536"},
			[]string{`f:20: pgbouncer.port: is 65536, and must be from 1 to 65535`}},
		{"the statistics need a port of their own",
			[]string{"stats_port: 8404", "stats_port: 5432"},
			[]string{`f:9: haproxy.stats_port: is the port of the VIP as well`}},
		{"one HAProxy node cannot take over from itself",
			[]string{"    - {name: lb2, address: 10.0.0.11}\n", ""},
			[]string{`f:17: haproxy.nodes: has 1, and needs 2: one holds the VIP, the other takes over`}},
		{"no pooler at all is no chain",
			[]string{"    - name: p1\n      address: 10.0.0.21\n    - name: p2\n      address: 10.0.0.22\n", "    []\n"},
			[]string{`f:26: pgbouncer.poolers: has 0, and must have from 1 to 50`}},
		{"the poolers may not ask for more connections than there are",
			[]string{"max_connections: 75", "max_connections: 74"},
			[]string{`f:34: postgres.max_connections: is 74, and the poolers may need 75: 2 x (pool_size 20 + reserve_pool_size 3 + 2 for password look-ups) + direct_connections 20 + superuser_reserved_connections 5`}},
		{"a setting that Weir renders is refused",
			[]string{"work_mem: 8MB", "port: 5433"},
			[]string{`f:39: postgres.settings.port: is rendered by Weir: leave it out here`}},
		{"a setting that reads another file is refused",
			[]string{"work_mem: 8MB", "include_dir: conf.d"},
			[]string{`f:39: postgres.settings.include_dir: is rendered by Weir: leave it out here`}},
		{"a setting cannot break out of its quotes",
			[]string{"work_mem: 8MB", `work_mem: "8MB'\nport = 1"`},
			[]string{`f:39: postgres.settings.work_mem: may not hold a quote, a backslash or a line break`}},
		{"the name of a setting cannot either",
			[]string{"work_mem: 8MB", `"a = 1\nb": 8MB`},
			[]string{"f:39: postgres.settings.a = 1\nb: is not the name of a PostgreSQL setting"}},
		{"settings on one line are reported in the order of their names",
			[]string{"settings:\n    work_mem: 8MB", "settings: {port: 1, hba_file: x, data_directory: y}"},
			[]string{`f:38: postgres.settings.data_directory: is rendered by Weir: leave it out here`,
				`f:38: postgres.settings.hba_file: is rendered by Weir: leave it out here`,
				`f:38: postgres.settings.port: is rendered by Weir: leave it out here`}},
		{"a key that stands twice hides its group, so only that is reported",
			[]string{"port: 6432", "port: 6432\n  port: 6433"},
			[]string{`f:21: mapping key "port" already defined at line 20`}},
		{"a second document is refused",
			[]string{"timeout: 900ms", "timeout: 900ms\n---\ncluster: other"},
			[]string{`f:1: holds more than one document`}},
		{"an alias that holds itself is refused",
			[]string{"settings:\n    work_mem: 8MB", "settings: &a\n    <<: *a"},
			[]string{`f: anchor 'a' value contains itself`}},
		{"an alias without an anchor is refused",
			[]string{"cluster: shop", "cluster: *nobody"},
			[]string{`f: unknown anchor 'nobody' referenced`}},
		{"a mistake behind an alias is reported at the alias",
			[]string{"name: p1\n      address: 10.0.0.21", "name: &n p1\n      address: 10.0.0.21", "name: p2", "name: *n"},
			[]string{`f:28: pgbouncer.poolers[1].name: "p1" is the name of pgbouncer.poolers[0] as well`}},
		{"a tab for indentation is refused at its line",
			[]string{"  port: 6432", "\tport: 6432"},
			[]string{`f:20: found character that cannot start any token`}},
		{"mistakes of every kind are reported together, in the order of the file",
			[]string{"10.0.0.100", "10.9.9.9", "fall: 2", "fall: two", "pool_size: 20", "pool_size: 30",
				"superusers_through_vip", "superusers", "timeout: 900ms", "timeout: 0s"},
			[]string{
				`f:4: vip.address: 10.9.9.9 is outside the network 10.0.0.0/24`,
				`f:13: "two" stands where a whole number belongs`,
				`f:34: postgres.max_connections: is 75, and the poolers may need 95: 2 x (pool_size 30 + reserve_pool_size 3 + 2 for password look-ups) + direct_connections 20 + superuser_reserved_connections 5`,
				`f:37: unknown key "superusers"`,
				`f:44: poll.timeout: is 0s, and must be from 50ms to 1m0s`,
			}},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			inv, err := Parse("f", []byte(edited(t, cluster(t), test.edit...)))
			if inv != nil {
				t.Error("an inventory came with the problems")
			}
			if got, want := said(err), strings.Join(test.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func said(err error) string {
	if err == nil {
		return "no problem"
	}
	return err.Error()
}

func TestAFileThatIsNoInventoryIsRefused(t *testing.T) {
	const notKeys = "is empty, or not a list of keys: start from the default (weir render writes it)"
	for _, test := range []struct{ sentence, body, want string }{
		{"an empty file", "", "f: " + notKeys},
		{"nothing but a comment", "# to do\n", "f: " + notKeys},
		{"a list", "- a\n- b\n", "f: " + notKeys},
		{"a word", "weir", "f: " + notKeys},
		{"bytes that are no text", "\xff\xfe\x00", "f: "},
		{"brackets without end", "a: " + strings.Repeat("[", 100), "f:"},
		{"nesting far deeper than any inventory", strings.Repeat("[", 20000), "f:"},
		{"deep nesting under an unknown key", "a: " + strings.Repeat("{a: ", 500) + "1" + strings.Repeat("}", 500), "f:1: unknown key \"a\""},
		{"deep nesting under a known key", "postgres: {settings: " + strings.Repeat("{a: ", 500) + "1" + strings.Repeat("}", 501), "f:1: "},
		{"aliases that multiply", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n", "f:1: "},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			if _, err := Parse("f", []byte(test.body)); !strings.HasPrefix(said(err), test.want) {
				t.Errorf("got %s, want %s", said(err), test.want)
			}
		})
	}
}

func TestAValidFileIsReadAsItStands(t *testing.T) {
	inv, err := Parse("f", []byte(cluster(t)))
	if err != nil {
		t.Fatal(err)
	}
	if got := inv.VIPEndpoint(); got != "10.0.0.100:5432" {
		t.Errorf("the VIP is %s", got)
	}
	if got := inv.PostgresEndpoint(); got != "10.0.0.30:5432" {
		t.Errorf("PostgreSQL is %s", got)
	}
	if inv.VIP.AdvertInterval.Duration != 200*time.Millisecond {
		t.Errorf("advert interval is %s", inv.VIP.AdvertInterval)
	}
	if inv.Postgres.SuperusersThroughVIP {
		t.Error("superusers may pass, and the file says false")
	}
	if inv.Postgres.Settings["work_mem"] != "8MB" {
		t.Errorf("settings are %v", inv.Postgres.Settings)
	}
	if got := inv.HAProxy.Peer("lb1").Name; got != "lb2" {
		t.Errorf("the peer of lb1 is %q", got)
	}
	if got := inv.HAProxy.Peer("lb2").Name; got != "lb1" {
		t.Errorf("the peer of lb2 is %q", got)
	}
}

func TestANetworkWrittenAsAnAddressInItIsTheNetwork(t *testing.T) {
	inv, err := Parse("f", []byte(edited(t, cluster(t), "10.0.0.0/24", "10.0.0.77/24")))
	if err != nil {
		t.Fatal(err)
	}
	if inv.Network.String() != "10.0.0.0/24" {
		t.Errorf("network is %s", inv.Network)
	}
}

func TestASettingMayLookLikeANumberOrATruth(t *testing.T) {
	inv, err := Parse("f", []byte(edited(t, cluster(t), "work_mem: 8MB", "jit: off\n    wal_level: 3\n    checkpoint_completion_target: 0.9\n    plv8.start_proc: x")))
	if err != nil {
		t.Fatal(err)
	}
	if s := inv.Postgres.Settings; s["jit"] != "off" || s["wal_level"] != "3" || s["checkpoint_completion_target"] != "0.9" || s["plv8.start_proc"] != "x" {
		t.Errorf("settings are %v", s)
	}
}

func TestHostsStandInTheOrderAConnectionMeetsThem(t *testing.T) {
	inv, err := Parse("f", []byte(cluster(t)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range inv.Hosts() {
		got = append(got, h.Name+" "+h.Address.String())
	}
	want := []string{"lb1 10.0.0.10", "lb2 10.0.0.11", "p1 10.0.0.21", "p2 10.0.0.22",
		"db 10.0.0.30", "monitor 10.0.0.40", "console 10.0.0.41"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if inv.Hosts()[0].Name = "changed"; inv.HAProxy.Nodes[0].Name != "lb1" {
		t.Error("the list shares its memory with the inventory")
	}
	if got := inv.HAProxy.NodeNames(); !slices.Equal(got, []string{"lb1", "lb2"}) {
		t.Errorf("nodes are %v", got)
	}
	if got := inv.PgBouncer.PoolerNames(); !slices.Equal(got, []string{"p1", "p2"}) {
		t.Errorf("poolers are %v", got)
	}
}

func TestTheDefaultIsTheMission(t *testing.T) {
	inv := Default()
	if got := inv.VIPEndpoint(); got != "192.168.1.100:5432" {
		t.Errorf("the VIP is %s", got)
	}
	if got := inv.HAProxy.NodeNames(); !slices.Equal(got, []string{"haproxy1", "haproxy2"}) {
		t.Errorf("HAProxy nodes are %v", got)
	}
	if got := inv.PgBouncer.PoolerNames(); !slices.Equal(got, []string{"pgb1", "pgb2", "pgb3"}) {
		t.Errorf("poolers are %v", got)
	}
	p := inv.PgBouncer
	if p.Port != 6432 || p.PoolMode != "transaction" || p.PoolSize != 70 || p.MaxClientConn != 4000 {
		t.Errorf("poolers have %+v", p)
	}
}

func TestTheBudgetCountsEveryConnection(t *testing.T) {
	got := Default().Budget()
	want := Budget{Poolers: 3, ServersEach: 75, Servers: 225, Direct: 20, Superuser: 5, MaxConnections: 250, Spare: 0,
		PoolSize: 210, PoolSizeLostOne: 140, Clients: 12000, ClientsLostOne: 8000, ClientsPerPooler: 4000}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	words := "3 poolers x 75 server connections + 20 direct + 5 for superusers = 250 of max_connections 250; " +
		"12000 client places on 210 pooled connections, with one pooler lost 8000 on 140"
	if got.String() != words {
		t.Errorf("got  %s\nwant %s", got, words)
	}
}

func TestTheLastPoolerLostLeavesNothing(t *testing.T) {
	one := Inventory{PgBouncer: PgBouncer{PoolSize: 10, MaxClientConn: 100, Poolers: []Node{{Name: "p1"}}}}
	if b := one.Budget(); b.PoolSizeLostOne != 0 || b.ClientsLostOne != 0 {
		t.Errorf("with the only pooler lost: %+v", b)
	}
}

func TestTheVariableNamesTheFile(t *testing.T) {
	path := filepath.Join("testdata", "cluster.yaml")
	t.Setenv(Env, path)
	inv, err := Load()
	if err != nil || inv.Cluster != "shop" || Source() != path {
		t.Errorf("got %v from %q, %v", inv, Source(), err)
	}
	t.Setenv(Env, "")
	if inv, err = Load(); err != nil || inv.Cluster != "weir" {
		t.Errorf("without it: got %v, %v", inv, err)
	}
	t.Setenv(Env, filepath.Join(t.TempDir(), "gone.yaml"))
	if _, err = Load(); err == nil || !strings.Contains(err.Error(), "gone.yaml") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(cluster(f)))
	f.Add(defaultYAML)
	f.Fuzz(func(t *testing.T, body []byte) {
		inv, err := Parse("f", body)
		_, again := Parse("f", body)
		if said(err) != said(again) {
			t.Fatalf("two readings differ:\n%s\n%s", said(err), said(again))
		}
		if err != nil {
			problems := err.(Problems)
			if inv != nil || len(problems) == 0 {
				t.Fatalf("inventory %v with %d problems", inv, len(problems))
			}
			if !slices.IsSortedFunc(problems, func(a, b Problem) int { return a.Line - b.Line }) {
				t.Fatalf("not in the order of the file:\n%s", err)
			}
			return
		}
		if b := inv.Budget(); b.Spare < 0 || b.PoolSize < 1 {
			t.Fatalf("valid with the budget %+v", b)
		}
		if !inv.Network.Contains(inv.VIP.Address.Addr) || len(inv.Hosts()) < 6 {
			t.Fatalf("valid with VIP %s of %s and hosts %v", inv.VIP.Address, inv.Network, inv.Hosts())
		}
	})
}
