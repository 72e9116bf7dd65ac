package haproxy

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// fixture is a page of HAProxy 3.0.11 with six poolers: pgb1 frozen, pgb2 ordered to drain, pgb3 in
// maint, pgb4 killed, pgb5 ordered to drain and killed, the check of pgb6 switched off.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile("testdata/csv/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestEveryStateOfARealPageIsRead(t *testing.T) {
	for _, c := range []struct {
		page, server string
		state        State
		admin        Admin
		health       Health
		check        string
	}{
		{"haproxy-3.0.11.csv", "pgb1", UpGoingDown, Ready, Health{2, 3}, "L7TOUT"},
		{"haproxy-3.0.11.csv", "pgb2", Up, Drain, Health{}, "L7OK"},
		{"haproxy-3.0.11.csv", "pgb3", NotChecked, Maint, Health{}, ""},
		{"haproxy-3.0.11.csv", "pgb4", Down, Ready, Health{}, "L4CON"},
		{"haproxy-3.0.11.csv", "pgb5", Down, Ready, Health{}, "L4CON"}, // DOWN hides its drain
		{"haproxy-3.0.11.csv", "pgb6", NoCheck, Ready, Health{}, ""},
		{"haproxy-3.0.11.csv", "BACKEND", Up, Ready, Health{}, ""},
		{"haproxy-3.0.11-rising.csv", "pgb4", DownGoingUp, Ready, Health{1, 2}, "L7OK"},
		{"haproxy-3.0.11-rising.csv", "pgb6", Up, Ready, Health{}, "L7OK"},
	} {
		rows, err := parseStats(fixture(t, c.page))
		if err != nil {
			t.Fatal(err)
		}
		r, ok := Stats{Rows: rows}.Find("pgbouncer", c.server)
		if !ok {
			t.Fatalf("%s: pgbouncer/%s is missing", c.page, c.server)
		}
		if r.State != c.state || r.Admin != c.admin || r.Health != c.health || r.Check != c.check {
			t.Errorf("%s: %s is %s, %s, %v, check %q; want %s, %s, %v, %q",
				c.page, c.server, r.State, r.Admin, r.Health, r.Check, c.state, c.admin, c.health, c.check)
		}
	}
}

func TestNumbersOfARealPageAreRead(t *testing.T) {
	rows, err := parseStats(fixture(t, "haproxy-3.0.11.csv"))
	if err != nil {
		t.Fatal(err)
	}
	r, _ := Stats{Rows: rows}.Find("pgbouncer", "pgb1")
	want := Row{Proxy: "pgbouncer", Name: "pgb1", Kind: Server, State: UpGoingDown, Admin: Ready, Health: Health{2, 3},
		Addr: "192.168.1.21:6432", Sessions: 2, SessionsMax: 2, SessionsLimit: 2000, SessionsTotal: 9, BytesIn: 28, BytesOut: 21,
		Check: "L7TOUT", CheckDuration: 1001 * time.Millisecond, CheckFails: 1,
		LastCheck: " at step 3 of tcp-check (expect binary '5A00000005')", LastChange: 6 * time.Second}
	want.TotalTime = r.TotalTime // of sessions of a test run
	if fmt.Sprint(r) != fmt.Sprint(want) {
		t.Errorf("read\n%+v, want\n%+v", r, want)
	}
	f, _ := Stats{Rows: rows}.Find("postgres", "FRONTEND")
	if f.Kind != Frontend || f.State != Open || f.Sessions != 5 || f.SessionsLimit != 9847 || f.SessionsTotal != 49 {
		t.Errorf("frontend postgres: %+v", f)
	}
}

func TestTextWithCommasAndQuotesStaysInItsColumn(t *testing.T) {
	page := bytes.ReplaceAll(fixture(t, "haproxy-3.0.11.csv"),
		[]byte(",(tcp-check),"), []byte(`,"said ""no, never"", then died",`))
	rows, err := parseStats(page)
	if err != nil {
		t.Fatal(err)
	}
	if r, _ := (Stats{Rows: rows}).Find("pgbouncer", "pgb2"); r.LastCheck != `said "no, never", then died` || r.Addr != "192.168.1.22:6432" {
		t.Errorf("last check %q, address %q", r.LastCheck, r.Addr)
	}
}

func TestAPageThatIsNotWholeIsRefused(t *testing.T) {
	page := string(fixture(t, "haproxy-3.0.11.csv"))
	lines := strings.SplitAfter(page, "\n")
	for _, c := range []struct{ name, page, want string }{
		{"an HTML page", string(fixture(t, "page.html")), "HTML"},
		{"nothing", "", "middle of a line"},
		{"the header only", lines[0], "no backend"},
		{"half a line", page[:len(page)/2], "middle of a line"},
		{"servers without their backend", strings.ReplaceAll(page, "pgbouncer,BACKEND,", "elsewhere,BACKEND,"), "backend pgbouncer is missing"},
		{"a line cut short but ended", strings.Join(lines[:3], "") + "pgbouncer,pgb2,0\n", "wrong number of fields"},
		{"two columns less", strings.Replace(strings.Replace(page, "chkdown", "chkup", 1), ",addr,", ",address,", 1), "column missing: addr, chkdown"},
		{"a word for a number", strings.Replace(page, "pgbouncer,pgb1,0,0,2", "pgbouncer,pgb1,0,0,two", 1), "pgbouncer/pgb1: column scur"},
		{"a state nobody knows", strings.Replace(page, "UP 2/3", "SIDEWAYS", 1), `pgbouncer/pgb1: unknown status "SIDEWAYS"`},
	} {
		rows, err := parseStats([]byte(c.page))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
		if rows != nil {
			t.Errorf("%s: %d rows beside the error", c.name, len(rows))
		}
	}
}

func TestTwoProcessesAreReadAsOneNode(t *testing.T) {
	a := []Row{
		{Proxy: "pgbouncer", Name: "pgb1", Kind: Server, State: Up, Admin: Ready, Sessions: 10, SessionsLimit: 2000, CheckDowns: 1, CheckFails: 3, LastChange: time.Hour, LastCheck: "fine"},
		{Proxy: "pgbouncer", Name: "pgb2", Kind: Server, State: Up, Admin: Ready},
		{Proxy: "hold", Name: "self", Kind: Server, State: NoCheck, Admin: Ready},
	}
	b := []Row{
		{Proxy: "pgbouncer", Name: "pgb1", Kind: Server, State: Down, Admin: Ready, Sessions: 7, SessionsLimit: 2000, CheckDowns: 2, CheckFails: 4, LastChange: time.Second, LastCheck: "refused"},
		{Proxy: "pgbouncer", Name: "pgb2", Kind: Server, State: Up, Admin: Ready},
	}
	got := merge([][]Row{a, b})
	if len(got) != 3 {
		t.Fatalf("%d rows, want 3", len(got))
	}
	r := got[0]
	if r.State != Down || r.LastCheck != "refused" || r.Sessions != 17 || r.SessionsLimit != 4000 || r.CheckDowns != 3 || r.LastChange != time.Second {
		t.Errorf("pgb1 merged: %+v", r)
	}
	if !slices.Equal(r.Downs, []int64{1, 2}) || !slices.Equal(r.Fails, []int64{3, 4}) || r.CheckFails != 7 {
		t.Errorf("pgb1: processes counted DOWN %v and failed checks %v, %d in all", r.Downs, r.Fails, r.CheckFails)
	}
	want := []Opinion{{"haproxy", Up, Ready, Health{}}, {"haproxy-2", Down, Ready, Health{}}}
	if !slices.Equal(r.Disagree, want) {
		t.Errorf("pgb1: opinions %v, want %v", r.Disagree, want)
	}
	if got[1].Disagree != nil || got[2].Disagree != nil {
		t.Errorf("processes that agree are shown to disagree: %v, %v", got[1].Disagree, got[2].Disagree)
	}
}

func FuzzStats(f *testing.F) {
	f.Add(fixture(f, "haproxy-3.0.11.csv"))
	f.Add(fixture(f, "haproxy-3.0.11-rising.csv"))
	f.Add(fixture(f, "page.html"))
	f.Fuzz(func(t *testing.T, page []byte) {
		rows, err := parseStats(page)
		if err != nil {
			if rows != nil {
				t.Fatalf("rows beside the error %v", err)
			}
			return
		}
		for _, r := range rows {
			if r.Proxy == "" || r.Name == "" || stateNames[r.State] == "" || adminNames[r.Admin] == "" {
				t.Fatalf("half a row: %+v", r)
			}
		}
		merge([][]Row{rows, rows})
	})
}

// BenchmarkStats reads a node with 50 poolers.
func BenchmarkStats(b *testing.B) {
	lines := strings.SplitAfter(string(fixture(b, "haproxy-3.0.11.csv")), "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "pgbouncer,pgb1,") })
	page := strings.Join(lines[:i], "")
	for n := range 50 {
		page += strings.Replace(lines[i], ",pgb1,", fmt.Sprintf(",pgb%d,", n+1), 1)
	}
	page += strings.Join(lines[i+6:], "")
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseStats([]byte(page)); err != nil {
			b.Fatal(err)
		}
	}
}
