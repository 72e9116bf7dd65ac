package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// cluster answers pgbench and looks, on a synctest bubble's clock.
type cluster struct {
	ran     []string // "host: arguments"
	tps     func(argv string) float64
	latency func(argv string) float64
	fail    func(argv string) (out string, err error) // "" and nil: as usual
	look    func(since time.Duration) (Observation, error)
	looks   int // so far: one before the start, then one each second of the headline
}

func newCluster() *cluster {
	c := &cluster{
		tps:     func(string) float64 { return 1000 },
		latency: func(string) float64 { return 0.2 },
		fail:    func(string) (string, error) { return "", nil },
	}
	c.look = func(time.Duration) (Observation, error) { return healthy, nil }
	return c
}

var healthy = Observation{VIPHolder: "haproxy1", ClientPlaces: 12000, Clients: 10500}

func (c *cluster) run(ctx context.Context, argv, env []string, out io.Writer) error {
	line := strings.Join(argv, " ")
	c.ran = append(c.ran, line)
	if !slices.Contains(env, "PGPASSWORD=secret") || strings.Contains(line, "secret") {
		return fmt.Errorf("the password is not where it belongs: %s, %s", line, env)
	}
	if text, err := c.fail(line); text != "" || err != nil {
		io.WriteString(out, text)
		return err
	}
	if strings.Contains(line, " -i ") {
		return nil
	}
	if strings.Contains(line, "-c 10500") {
		<-time.After(110*time.Second + time.Second/2)
	}
	clients := argv[slices.Index(argv, "-c")+1]
	fmt.Fprintf(out, "pgbench (17.12)\nscaling factor: 50\nnumber of clients: %s\nnumber of transactions actually processed: 60000\n"+
		"number of failed transactions: 0 (0.000%%)\nlatency average = %f ms\ninitial connection time = 50000 ms\ntps = %f (without initial connection time)\n",
		clients, c.latency(line), c.tps(line))
	return nil
}

func (c *cluster) watch(context.Context) (Observation, error) {
	c.looks++
	return c.look(time.Duration(c.looks-2) * time.Second)
}

func (c *cluster) config() HeadlineConfig {
	return HeadlineConfig{
		Run: c.run, Watch: c.watch, VIP: "vip:5432", Pooler: "pgb1:6432", Direct: "pg:5433",
		User: "app", Password: "secret", Database: "bench",
		Conditions: Conditions{Cores: 2, Kernel: "6.1", FileLimit: 20000, Versions: []string{"PostgreSQL 17.12"},
			HAProxyProcesses: 2, Poolers: 3, PoolSize: 70, PoolMode: "transaction"},
	}
}

func TestTheHeadlineComparesTheChainWithPostgreSQLAtItsBest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		c.tps = func(argv string) float64 {
			for what, tps := range map[string]float64{"-h pg -p 5433 -U app -M simple -c 16": 2000, "-c 10500": 1300,
				"-h vip -p 5432 -U app -M simple -c 64": 840} {
				if strings.Contains(argv, what) {
					return tps
				}
			}
			return 1000
		}
		c.latency = func(argv string) float64 {
			if strings.Contains(argv, "-h vip") {
				return 0.3
			}
			return 0.2
		}
		r, err := Headline(t.Context(), c.config())
		if err != nil {
			t.Fatal(err)
		}
		const once = `pgbench -h vip -p 5432 -U app -i -q -s 50 bench
pgbench -h pg -p 5433 -U app -S -n -M simple -c 1 -T 5 bench
pgbench -h pgb1 -p 6432 -U app -S -n -M simple -c 1 -T 5 bench
pgbench -h vip -p 5432 -U app -S -n -M simple -c 1 -T 5 bench
pgbench -h pg -p 5433 -U app -M simple -c 64 -j 2 -T 15 bench
pgbench -h pgb1 -p 6432 -U app -M simple -c 64 -j 2 -T 15 bench
pgbench -h vip -p 5432 -U app -M simple -c 64 -j 2 -T 15 bench
pgbench -h pg -p 5433 -U app -M simple -c 8 -j 2 -T 10 -P 10 bench
pgbench -h pg -p 5433 -U app -M simple -c 16 -j 2 -T 10 -P 10 bench
pgbench -h pg -p 5433 -U app -M simple -c 32 -j 2 -T 10 -P 10 bench
pgbench -h pg -p 5433 -U app -M simple -c 64 -j 2 -T 10 -P 10 bench
pgbench -h pg -p 5433 -U app -M simple -c 16 -j 2 -T 60 -P 10 bench
pgbench -h vip -p 5432 -U app -c 10500 -j 150 -T 60 -M simple -P 10 bench`
		if got := strings.Join(eachOnce(c.ran), "\n"); got != once {
			t.Errorf("ran\n%s\nwant\n%s", got, once)
		}
		same(t, "runs", len(c.ran), 1+9+9+4+1+1)
		const table = `
what                                                   direct  one PgBouncer  through the VIP  ratio  target         met
headline: TPC-B, 10500 clients (direct: best, 16), tps  2000    -              1300             0.65   at least 0.60  yes
failed transactions, clients that gave up              0, 0    -              0, 0             -      0, 0           yes
poolers DOWN during it                                 -       -              none             -      none           yes
VIP holder during it                                   -       -              haproxy1         -      no move        yes
TPC-B, 64 clients, tps                                 1000    1000           840              0.84   at least 0.85  no
-S, 1 client, round trip, ms                           0.200   0.200          0.300            1.50   at most 1.60   yes
`
		if got := r.String(); squeeze(got[strings.Index(got, "\n\n")+1:]) != squeeze(table) {
			t.Errorf("got\n%s", got)
		}
		same(t, "met", r.Met(), false)
		same(t, "looks", r.Watched.Looks, 111)
		same(t, "most clients", r.Watched.MostClients, 10500)
		for _, condition := range []string{"2 cores, Linux 6.1, 20000 files per process; PostgreSQL 17.12\n",
			"2 HAProxy processes a node; 3 poolers x pool_size 70, transaction pooling\n",
			"10500 clients connected in 50.00 s", "direct by clients: 8: 1000 tps 16: 2000 tps"} {
			if !strings.Contains(r.String(), condition) {
				t.Errorf("no %q in\n%s", condition, r)
			}
		}
		var back struct {
			VIP  PgbenchReport `json:"vip"`
			Rows []Row         `json:"rows"`
			Met  *bool         `json:"met"`
		}
		if err := json.Unmarshal([]byte(r.JSON()), &back); err != nil || back.VIP.TPS != 1300 || len(back.Rows) != 6 || back.Met == nil {
			t.Errorf("%v: %s", err, r.JSON())
		}
	})
}

func eachOnce(lines []string) []string {
	var out []string
	for _, line := range lines {
		if !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return out
}

func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestWhatTheClusterDidDuringTheHeadlineIsJudged(t *testing.T) {
	blind := errors.New("no answer from haproxy1")
	for _, test := range []struct {
		sentence   string
		look       func(since time.Duration) (Observation, error)
		down, held string // the two cells
		met        bool
	}{
		{"a quiet run is met", nil, "none", "haproxy1", true},
		{"one second of DOWN is seen", func(since time.Duration) (Observation, error) {
			o := healthy
			if since == 30*time.Second {
				o.PoolersDown = []string{"pgb2"}
			}
			return o, nil
		}, "pgb2", "haproxy1", false},
		{"a VIP that moves and comes back has moved", func(since time.Duration) (Observation, error) {
			o := healthy
			if since > 30*time.Second && since < 40*time.Second {
				o.VIPHolder = "haproxy2"
			}
			return o, nil
		}, "none", "haproxy1 -> haproxy2 -> haproxy1", false},
		{"a VIP that nobody holds has moved", func(since time.Duration) (Observation, error) {
			o := healthy
			if since > 30*time.Second {
				o.VIPHolder = ""
			}
			return o, nil
		}, "none", "haproxy1 -> nobody", false},
		{"a few looks without answer are told and forgiven", func(since time.Duration) (Observation, error) {
			if since == 30*time.Second || since == 31*time.Second {
				return Observation{}, blind
			}
			return healthy, nil
		}, "none (2 of 111 looks got no answer)", "haproxy1 (2 of 111 looks got no answer)", true},
		{"what was out of sight for long is not vouched for", func(since time.Duration) (Observation, error) {
			if since > 90*time.Second {
				return Observation{}, blind
			}
			return healthy, nil
		}, "none (20 of 111 looks got no answer)", "haproxy1 (20 of 111 looks got no answer)", false},
		{"who cannot see cannot vouch", func(since time.Duration) (Observation, error) {
			if since >= 0 {
				return Observation{}, blind
			}
			return healthy, nil
		}, "none (111 of 111 looks got no answer)", "unknown (111 of 111 looks got no answer)", false},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster()
				if test.look != nil {
					c.look = test.look
				}
				r, err := Headline(t.Context(), c.config())
				if err != nil {
					t.Fatal(err)
				}
				rows := r.Rows()
				same(t, "DOWN", rows[2].VIP, test.down)
				same(t, "holder", rows[3].VIP, test.held)
				same(t, "met", rows[2].Met && rows[3].Met, test.met)
			})
		})
	}
}

func TestTheHeadlineIsNotStartedWhereItCannotEndWell(t *testing.T) {
	for _, test := range []struct {
		sentence string
		o        Observation
		err      error
		files    int
		want     string
	}{
		{"clients that do not fit into the chain", Observation{VIPHolder: "haproxy1", ClientPlaces: 9950}, nil, 20000,
			"10500 clients do not fit: the chain has places for 9950; give HAProxy more files or processes and the poolers a larger max_client_conn, or ask for fewer clients"},
		{"clients that do not fit into pgbench", healthy, nil, 10600, "10500 clients do not fit: pgbench may open 10600 files, and needs 10714"},
		{"no holder", Observation{}, nil, 20000, "nobody holds the VIP"},
		{"a pooler that is DOWN", Observation{VIPHolder: "haproxy1", PoolersDown: []string{"pgb2", "pgb3"}}, nil, 20000, "pgb2, pgb3 DOWN"},
		{"a cluster out of sight", Observation{}, errors.New("no route"), 20000, "look at the cluster: no route"},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			c := newCluster()
			c.look = func(time.Duration) (Observation, error) { return test.o, test.err }
			cfg := c.config()
			cfg.Conditions.FileLimit = test.files
			_, err := Headline(t.Context(), cfg)
			if err == nil || err.Error() != "start the headline: "+test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
			same(t, "runs", len(c.ran), 0)
		})
	}
}

func TestARunWithLossesIsToldAsWhatItIs(t *testing.T) {
	killed, toomany := fixture(t, "killed"), fixture(t, "toomany")
	status := func(n int) error { return fmt.Errorf("exit status %d", n) }
	for _, test := range []struct {
		sentence, argv, out string
		err                 error
		want                string // the error; "" is a result that is not met
	}{
		{"clients that gave up in the headline are in the result", "-c 10500", killed, status(2), ""},
		{"a headline that did not start is an error with its reason", "-c 10500", toomany, status(1),
			`run pgbench against the VIP: exit status 1: connection to server at "127.0.0.1", port 5432 failed: FATAL:  sorry, too many clients already; could not create connection for client 124`},
		{"clients that gave up spoil a baseline", "-h pg -p 5433 -U app -M simple -c 8", killed, status(2),
			"TPC-B direct, 8 clients: 0 transactions failed and 2 clients gave up: "},
		{"failed transactions spoil a baseline though pgbench ends well", "-h pgb1 -p 6432 -U app -M simple -c 64", fixture(t, "failed"), nil,
			"64 clients, TPC-B, one PgBouncer: 19857 transactions failed and 0 clients gave up"},
		{"an error after a good report is an error", "-S", fixture(t, "select"), status(137), "one client, -S, direct: run pgbench against direct: exit status 137"},
		{"a program that says nothing is an error", "-S", "\n", nil, "one client, -S, direct: run pgbench against direct: pgbench gave no report"},
		{"an initialisation that fails is an error with its reason", " -i ", fixture(t, "password"), status(1),
			"initialise pgbench through the VIP: exit status 1: connection to server at"},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster()
				c.fail = func(argv string) (string, error) {
					if strings.Contains(argv, test.argv) {
						return test.out, test.err
					}
					return "", nil
				}
				r, err := Headline(t.Context(), c.config())
				if test.want == "" {
					same(t, "error", err, nil)
					same(t, "gave up", r.VIP.Aborted, 2)
					same(t, "met", r.Rows()[1].Met, false)
					return
				}
				if err == nil || !strings.HasPrefix(err.Error(), test.want) {
					t.Errorf("got %v, want %s", err, test.want)
				}
				same(t, "met", r.Met(), false)
			})
		})
	}
}

func TestACancelledHeadlineEndsWithItsContext(t *testing.T) {
	c := newCluster()
	ctx, cancel := context.WithCancel(t.Context())
	c.fail = func(argv string) (string, error) {
		if strings.Contains(argv, "-S") {
			cancel()
			return "", errors.New("signal: killed")
		}
		return "", nil
	}
	if _, err := Headline(ctx, c.config()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTheMedianIsInTheMiddle(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1}, 5}, {[]float64{9, 1, 2}, 2}} {
		same(t, fmt.Sprint(test.values), Median(test.values), test.want)
	}
}

func TestThisMachineKnowsItself(t *testing.T) {
	if c := Machine(); c.Cores < 1 || c.FileLimit < 256 || c.Kernel == "" || c.Kernel == "unknown" {
		t.Errorf("got %+v", c)
	}
}
