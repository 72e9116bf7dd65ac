package config_test

import (
	"strings"
	"testing"

	"weir/views/chain/chaintest"
	"weir/views/config"
	"weir/views/golden"
	"weir/views/story"
	"weir/views/ui"
)

func TestThePagesAreDrawnAsTheyWereLookedAt(t *testing.T) {
	for _, s := range story.Shots() {
		if strings.HasPrefix(s.Name, "configuration") {
			golden.HTML(t, s.Name, s.Content)
			golden.Plain(t, s.Content)
		}
	}
}

func TestWhatIsRenderedIsComparedWithWhatRuns(t *testing.T) {
	for _, row := range []struct {
		sentence, path, body string
		running              []config.Setting
		want                 ui.State
	}{
		{"the same text", "/x/postgresql.conf", "port = 5432", []config.Setting{{Key: "port", Value: "5432"}}, ui.OK},
		{"another text", "/x/postgresql.conf", "port = 5432", []config.Setting{{Key: "port", Value: "5433"}}, ui.Warning},
		{"quotes are none of the value", "/x/postgresql.conf", "listen_addresses = '*'", []config.Setting{{Key: "listen_addresses", Value: "*"}}, ui.OK},
		{"the same size in another unit", "/x/postgresql.conf", "shared_buffers = '1024MB'", []config.Setting{{Key: "shared_buffers", Value: "1GB"}}, ui.OK},
		{"the same time in another unit", "/x/postgresql.conf", "a = 60s", []config.Setting{{Key: "a", Value: "1min"}}, ui.OK},
		{"a time is no size", "/x/postgresql.conf", "a = 1s", []config.Setting{{Key: "a", Value: "1000B"}}, ui.Warning},
		{"a name in another case", "/x/postgresql.conf", "timezone = 'UTC'", []config.Setting{{Key: "TimeZone", Value: "UTC"}}, ui.OK},
		{"a name in another case in the file", "/x/postgresql.conf", "TimeZone = 'UTC'", []config.Setting{{Key: "timezone", Value: "UTC"}}, ui.OK},
		{"on is yes", "/x/postgresql.conf", "jit = yes", []config.Setting{{Key: "jit", Value: "on"}}, ui.OK},
		{"a number written otherwise", "/x/pgbouncer.ini", "[pgbouncer]\nserver_login_retry = 0.10", []config.Setting{{Key: "server_login_retry", Value: "0.1"}}, ui.OK},
		{"what the program does not tell", "/x/pgbouncer.ini", "[pgbouncer]\nlisten_port = 6432", nil, ui.Unknown},
		{"a file's own checksum", "/x/haproxy.cfg", "string \"sha256:00aa11bb22cc33dd\"", []config.Setting{{Key: "checksum of /x/haproxy.cfg", Value: "sha256:00aa11bb22cc33dd"}}, ui.OK},
		{"the second process of a node", "/x/haproxy-2.cfg", "sha256:00aa11bb22cc33dd", []config.Setting{{Key: "checksum of /x/haproxy-2.cfg", Value: "sha256:00aa11bb22cc33dd"}}, ui.OK},
		{"another rendering is loaded", "/x/keepalived.conf", "sha256:00aa11bb22cc33dd", []config.Setting{{Key: "checksum of /x/keepalived.conf", Value: "sha256:ffaa11bb22cc33dd"}}, ui.Warning},
		{"keepalived is dead", "/x/keepalived.conf", "sha256:00aa11bb22cc33dd", []config.Setting{{Key: "checksum of /x/haproxy.cfg", Value: "sha256:ffaa11bb22cc33dd"}}, ui.Unknown},
		{"the inventory", "/x/inventory.yaml", "", []config.Setting{{Key: "checksum of /x/inventory.yaml", Value: "sha256:e3b0c44298fc1c14"}}, ui.OK},
		{"another inventory", "/x/inventory.yaml", "a: 1", []config.Setting{{Key: "checksum of /x/inventory.yaml", Value: "sha256:e3b0c44298fc1c14"}}, ui.Warning},
		{"of two the last counts", "/x/postgresql.conf", "a = 1\na = 2", []config.Setting{{Key: "a", Value: "2"}}, ui.OK},
	} {
		lines, _ := config.Compare([]config.File{{Path: row.path, Body: row.body}}, row.running)
		if len(lines) != 1 || lines[0].State != row.want {
			t.Errorf("%s: %+v", row.sentence, lines)
		}
	}
}

func TestOnlySettingsAreCompared(t *testing.T) {
	lines, _ := config.Compare([]config.File{{Path: "/x/pgbouncer.ini", Body: "; a = 1\n[databases]\n* = host=x\n[peers]\n1 = host=y\n[pgbouncer]\n# b = 2\npool_mode = transaction\n"},
		{Path: "/x/userlist.txt", Body: "\"a\" = \"b\"\n"}}, nil)
	if len(lines) != 1 || lines[0].Key != "pool_mode" {
		t.Errorf("%+v", lines)
	}
}

func TestWhatRunsOtherwiseThanByDefaultAndIsInNoFileIsShown(t *testing.T) {
	_, extra := config.Compare(nil, []config.Setting{{Key: "a", Value: "1", Default: "1"}, {Key: "b", Value: "2", Default: "1"}})
	if len(extra) != 1 || extra[0].Key != "b" {
		t.Errorf("%+v", extra)
	}
}

func TestTheListOfHostsSaysWhereSomethingDiffersFirst(t *testing.T) {
	html := golden.Render(t, config.List(story.ConfigHosts(chaintest.Healthy().View())))
	at := func(text string) int { return strings.Index(html, text) }
	if at(">pgb2<") < 0 || at(">pgb2<") > at(">haproxy2<") {
		t.Error("pgb2, which differs, is not the first")
	}
	for _, said := range []string{"1 setting differs", "does not answer", "as rendered"} {
		if at(said) < 0 {
			t.Errorf("does not say %q", said)
		}
	}
}

func TestAReloadSaysWhatItWouldChange(t *testing.T) {
	same := story.Config()
	same.Files = []config.File{{Path: "/etc/pgbouncer/pgbouncer.ini", Body: "[pgbouncer]\nlisten_port = 6432\n"}}
	for _, row := range []struct{ got, want string }{
		{strings.Join(story.Config().Rereads(), "|"), "pgb2 runs with default_pool_size = 20, and its rendered file says 70: if that file is on the host, this changes."},
		{strings.Join(same.Rereads(), "|"), "pgb2 has the settings of the inventory already. Its users, databases and rules of access are not compared."},
		{strings.Join(config.Model{Host: config.Host{Name: "pgb3"}}.Rereads(), "|"), "What pgb3 runs with now is not known."},
	} {
		if row.got != row.want {
			t.Errorf("%q, want %q", row.got, row.want)
		}
	}
}

func TestWhatRunsAsRenderedIsFolded(t *testing.T) {
	html := golden.Render(t, config.Content(story.Config()))
	before, after, folded := strings.Cut(html, "4 settings as rendered")
	if !folded || !strings.Contains(before, ">default_pool_size<") || !strings.Contains(after, ">listen_port<") || strings.Contains(before, ">listen_port<") {
		t.Error(html)
	}
}

func TestTheBudgetSaysWhatAPoolerLostMeansForTheClientsOfNow(t *testing.T) {
	full := chaintest.Healthy()
	full.Snapshot.Poolers[0].View.Value.Pools[0].ClActive = 7000
	one := chaintest.Healthy()
	one.Inventory.PgBouncer.Poolers = one.Inventory.PgBouncer.Poolers[:1]
	for _, row := range []struct {
		sentence string
		chain    *chaintest.Chain
		state    ui.State
		has      string
	}{
		{"they fit", chaintest.Healthy(), ui.OK, "fit"},
		{"they do not", full, ui.Warning, "turned away"},
		{"nobody knows", chaintest.Nothing(), ui.Unknown, "not known"},
		{"there is one pooler only", one, ui.Warning, "nobody is served"},
	} {
		if state, said := config.Lost(row.chain.View()); state != row.state || !strings.Contains(said, row.has) {
			t.Errorf("%s: %s %s", row.sentence, state, said)
		}
	}
}
