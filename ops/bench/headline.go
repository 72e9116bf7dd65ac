package bench

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// HeadlineConfig says what to compare. Run, Watch, the three endpoints, User and Database are
// needed; a number left at 0 takes the default that stands beside it.
type HeadlineConfig struct {
	// Run runs a program on the host of the clients, with env added to its environment, until it
	// ends or ctx does. Both standard output and standard error go to out: pgbench reports on the
	// one, and its progress and errors on the other.
	Run func(ctx context.Context, argv, env []string, out io.Writer) error
	// Watch looks at the cluster: before the start, and each second of the headline run.
	Watch func(ctx context.Context) (Observation, error)

	VIP, Pooler, Direct      string // host:port of the VIP, of one PgBouncer, of PostgreSQL
	User, Password, Database string

	Scale         int           // 50
	Clients       int           // 10,500
	Threads       int           // 150
	Duration      time.Duration // 60 s, of the headline and of PostgreSQL at its best
	DirectClients []int         // 8, 16, 32, 64: tried to find the best of PostgreSQL alone
	TryFor        time.Duration // 10 s, each of those
	Rounds        int           // 3, of which the median counts, for the two smaller comparisons
	RoundTripFor  time.Duration // 5 s, each -S -c 1
	ClientsFor    time.Duration // 15 s, each TPC-B at 64 clients

	Conditions Conditions
	Progress   io.Writer // told what runs now; nil is quiet
}

// Observation is one look at the cluster.
type Observation struct {
	VIPHolder   string   `json:"vip_holder"` // "" is nobody
	PoolersDown []string `json:"poolers_down"`
	// ClientPlaces is how many clients fit: the fewer of what the holder's HAProxy processes and what
	// all poolers take. 0 is unknown.
	ClientPlaces int `json:"client_places"`
	Clients      int `json:"clients"` // connected through the VIP now
}

// Conditions are what the numbers depend on. They are printed with them.
type Conditions struct {
	Cores            int      `json:"cores"`
	Kernel           string   `json:"kernel"`
	FileLimit        int      `json:"file_limit"`        // open files one process may have
	Versions         []string `json:"versions"`          // "PostgreSQL 17.12"
	HAProxyProcesses int      `json:"haproxy_processes"` // of one node
	Poolers          int      `json:"poolers"`
	PoolSize         int      `json:"pool_size"` // of one pooler
	PoolMode         string   `json:"pool_mode"`
}

// Machine fills in what this process can see: Cores, Kernel and FileLimit.
func Machine() Conditions {
	c := Conditions{Cores: runtime.NumCPU(), Kernel: "unknown"}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		c.Kernel = strings.TrimSpace(string(release))
	}
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil {
		c.FileLimit = int(files.Max)
	}
	return c
}

// HeadlineResult is what was measured. The JSON keys are stable; times are milliseconds.
type HeadlineResult struct {
	Conditions Conditions      `json:"conditions"`
	Started    time.Time       `json:"started"`
	Took       Millis          `json:"took_ms"`
	RoundTrip  Comparison      `json:"round_trip"`   // -S, one client, ms
	Clients64  Comparison      `json:"clients_64"`   // TPC-B, tps
	Tries      []PgbenchReport `json:"direct_tries"` // TPC-B direct, by number of clients
	Direct     PgbenchReport   `json:"direct"`       // TPC-B direct at the best of them
	VIP        PgbenchReport   `json:"vip"`          // the headline
	Watched    Watched         `json:"watched"`      // during the headline
}

// Comparison holds one value per round; Median is what counts.
type Comparison struct {
	Direct []float64 `json:"direct"`
	Pooler []float64 `json:"pooler"`
	VIP    []float64 `json:"vip"`
}

// Watched is what was seen of the cluster during the headline run.
type Watched struct {
	Looks       int      `json:"looks"`
	Blind       int      `json:"blind"`                 // of Looks: got no answer
	BlindError  string   `json:"blind_error,omitempty"` // of the first
	Holders     []string `json:"holders"`               // of the VIP, each change; "nobody" is one
	Down        []string `json:"down"`                  // poolers that were DOWN at any look
	MostClients int      `json:"most_clients"`
}

const (
	comparedClients = 64
	nobody          = "nobody"
)

// Headline runs the whole comparison, about eight minutes with the defaults. PostgreSQL alone comes
// first: after the headline the poolers keep their server connections for a while, and 64 direct
// clients might no longer fit into max_connections. With an error the result holds what was
// measured before it.
func Headline(ctx context.Context, cfg HeadlineConfig) (HeadlineResult, error) {
	h := &headline{cfg: cfg.withDefaults(), result: HeadlineResult{Conditions: cfg.Conditions, Started: time.Now()}}
	err := h.run(ctx)
	h.result.Took = Millis(time.Since(h.result.Started))
	return h.result, err
}

func (c HeadlineConfig) withDefaults() HeadlineConfig {
	c.Scale = cmp.Or(c.Scale, 50)
	c.Clients = cmp.Or(c.Clients, 10500)
	c.Threads = cmp.Or(c.Threads, 150)
	c.Duration = cmp.Or(c.Duration, time.Minute)
	if len(c.DirectClients) == 0 {
		c.DirectClients = []int{8, 16, 32, 64}
	}
	c.TryFor = cmp.Or(c.TryFor, 10*time.Second)
	c.Rounds = cmp.Or(c.Rounds, 3)
	c.RoundTripFor = cmp.Or(c.RoundTripFor, 5*time.Second)
	c.ClientsFor = cmp.Or(c.ClientsFor, 15*time.Second)
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	return c
}

type headline struct {
	cfg    HeadlineConfig
	result HeadlineResult
}

func (h *headline) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		h.fits, h.initialise, h.roundTrip, h.clients64, h.bestDirect, h.throughVIP,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// fits refuses to start what cannot end well: pgbench gives up all clients for one that cannot
// connect, after minutes.
func (h *headline) fits(ctx context.Context) error {
	o, err := h.cfg.Watch(ctx)
	if err != nil {
		return fmt.Errorf("start the headline: look at the cluster: %w", err)
	}
	n, files := h.cfg.Clients, h.cfg.Conditions.FileLimit
	const own = 64 // files pgbench needs besides its clients: threads, libraries, output
	switch {
	case o.VIPHolder == "":
		return errors.New("start the headline: nobody holds the VIP")
	case len(o.PoolersDown) > 0:
		return fmt.Errorf("start the headline: %s DOWN", strings.Join(o.PoolersDown, ", "))
	case o.ClientPlaces > 0 && o.ClientPlaces < n:
		return fmt.Errorf("start the headline: %d clients do not fit: the chain has places for %d; give HAProxy more files or processes and the poolers a larger max_client_conn, or ask for fewer clients", n, o.ClientPlaces)
	case files > 0 && n+h.cfg.Threads+own > files:
		return fmt.Errorf("start the headline: %d clients do not fit: pgbench may open %d files, and needs %d", n, files, n+h.cfg.Threads+own)
	}
	return nil
}

// initialise goes through the VIP, as the mission's own command does.
func (h *headline) initialise(ctx context.Context) error {
	h.say("initialise scale %d through the VIP", h.cfg.Scale)
	var out bytes.Buffer
	if err := h.cfg.Run(ctx, h.argv(h.cfg.VIP, "-i", "-q", "-s", strconv.Itoa(h.cfg.Scale)), h.env(), &out); err != nil {
		report, _ := ParsePgbench(&out)
		return fmt.Errorf("initialise pgbench through the VIP: %w%s", err, because(report))
	}
	return nil
}

func (h *headline) roundTrip(ctx context.Context) error {
	return h.compare(ctx, &h.result.RoundTrip, "one client, -S", func(r PgbenchReport) float64 { return r.LatencyAverage.float() },
		"-S", "-n", "-M", "simple", "-c", "1", "-T", seconds(h.cfg.RoundTripFor))
}

func (h *headline) clients64(ctx context.Context) error {
	return h.compare(ctx, &h.result.Clients64, "64 clients, TPC-B", func(r PgbenchReport) float64 { return r.TPS },
		"-M", "simple", "-c", strconv.Itoa(comparedClients), "-j", h.threads(comparedClients), "-T", seconds(h.cfg.ClientsFor))
}

// compare takes the places in turns, so that what the machine does meanwhile meets all of them.
func (h *headline) compare(ctx context.Context, c *Comparison, what string, value func(PgbenchReport) float64, args ...string) error {
	for round := range h.cfg.Rounds {
		for _, place := range []struct {
			name, endpoint string
			values         *[]float64
		}{{"direct", h.cfg.Direct, &c.Direct}, {"one PgBouncer", h.cfg.Pooler, &c.Pooler}, {"the VIP", h.cfg.VIP, &c.VIP}} {
			h.say("%s, %s, round %d of %d", what, place.name, round+1, h.cfg.Rounds)
			report, err := h.pgbench(ctx, place.name, place.endpoint, args...)
			if err == nil {
				err = flawless(report)
			}
			if err != nil {
				return fmt.Errorf("%s, %s: %w", what, place.name, err)
			}
			*place.values = append(*place.values, value(report))
		}
	}
	return nil
}

// bestDirect finds the number of clients at which PostgreSQL alone does most, then takes that as
// long as the headline takes.
func (h *headline) bestDirect(ctx context.Context) error {
	for _, n := range h.cfg.DirectClients {
		report, err := h.direct(ctx, n, h.cfg.TryFor)
		if err != nil {
			return err
		}
		h.result.Tries = append(h.result.Tries, report)
	}
	best := slices.MaxFunc(h.result.Tries, func(a, b PgbenchReport) int { return cmp.Compare(a.TPS, b.TPS) })
	var err error
	h.result.Direct, err = h.direct(ctx, best.Clients, h.cfg.Duration)
	return err
}

func (h *headline) direct(ctx context.Context, clients int, d time.Duration) (PgbenchReport, error) {
	h.say("TPC-B direct, %d clients, %s", clients, d)
	report, err := h.pgbench(ctx, "direct", h.cfg.Direct,
		"-M", "simple", "-c", strconv.Itoa(clients), "-j", h.threads(clients), "-T", seconds(d), "-P", "10")
	if err == nil {
		err = flawless(report)
	}
	if err != nil {
		return report, fmt.Errorf("TPC-B direct, %d clients: %w", clients, err)
	}
	return report, nil
}

func (h *headline) throughVIP(ctx context.Context) (err error) {
	h.say("TPC-B through the VIP, %d clients, %s after all have connected", h.cfg.Clients, h.cfg.Duration)
	stop := h.watch(ctx)
	h.result.VIP, err = h.pgbench(ctx, "the VIP", h.cfg.VIP,
		"-c", strconv.Itoa(h.cfg.Clients), "-j", strconv.Itoa(h.cfg.Threads), "-T", seconds(h.cfg.Duration), "-M", "simple", "-P", "10")
	h.result.Watched = stop()
	return err
}

// watch looks at the cluster at once and then each second, until stop.
func (h *headline) watch(ctx context.Context) (stop func() Watched) {
	ctx, cancel := context.WithCancel(ctx)
	seen := make(chan Watched)
	go func() {
		w := Watched{Holders: []string{}, Down: []string{}}
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			look, done := context.WithTimeout(ctx, 5*time.Second)
			o, err := h.cfg.Watch(look)
			done()
			if ctx.Err() == nil { // a look that stop cut short says nothing
				w.add(o, err)
			}
			select {
			case <-ctx.Done():
				seen <- w
				return
			case <-tick.C:
			}
		}
	}()
	return func() Watched {
		cancel()
		return <-seen
	}
}

func (w *Watched) add(o Observation, err error) {
	w.Looks++
	if err != nil {
		w.Blind++
		w.BlindError = cmp.Or(w.BlindError, err.Error())
		return
	}
	holder := cmp.Or(o.VIPHolder, nobody)
	if n := len(w.Holders); n == 0 || w.Holders[n-1] != holder {
		w.Holders = append(w.Holders, holder)
	}
	for _, name := range o.PoolersDown {
		if !slices.Contains(w.Down, name) {
			w.Down = append(w.Down, name)
		}
	}
	w.MostClients = max(w.MostClients, o.Clients)
}

// pgbench runs one measure. A report comes back without error also when pgbench says that clients
// gave up: the caller judges.
func (h *headline) pgbench(ctx context.Context, place, endpoint string, args ...string) (PgbenchReport, error) {
	var out bytes.Buffer
	runErr := h.cfg.Run(ctx, h.argv(endpoint, args...), h.env(), &out)
	if ctx.Err() != nil {
		return PgbenchReport{}, ctx.Err()
	}
	report, err := ParsePgbench(&out)
	if err != nil {
		return report, fmt.Errorf("run pgbench against %s: %w%s", place, cmp.Or(runErr, err), because(report))
	}
	if runErr != nil && report.Aborted == 0 && !report.Incomplete {
		return report, fmt.Errorf("run pgbench against %s: %w", place, runErr)
	}
	return report, nil
}

// because adds the last error pgbench printed: it says what the exit status does not.
func because(r PgbenchReport) string {
	if len(r.Errors) == 0 {
		return ""
	}
	return ": " + strings.Join(r.Errors, "; ")
}

// flawless refuses a baseline with losses: a rate that leaves work undone compares with nothing.
func flawless(r PgbenchReport) error {
	if r.Failed > 0 || r.Aborted > 0 || r.Incomplete {
		return fmt.Errorf("%d transactions failed and %d clients gave up%s", r.Failed, r.Aborted, because(r))
	}
	return nil
}

func (h *headline) argv(endpoint string, args ...string) []string {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		host = endpoint
	}
	argv := append([]string{"pgbench", "-h", host, "-p", cmp.Or(port, "5432"), "-U", h.cfg.User}, args...)
	return append(argv, h.cfg.Database)
}

func (h *headline) env() []string { return []string{"PGPASSWORD=" + h.cfg.Password, "LC_ALL=C"} }

// threads are one per core where pgbench's own cost must not count against PostgreSQL.
func (h *headline) threads(clients int) string {
	return strconv.Itoa(min(clients, cmp.Or(h.cfg.Conditions.Cores, 2)))
}

func (h *headline) say(format string, args ...any) { fmt.Fprintf(h.cfg.Progress, format+"\n", args...) }

func seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(d.Round(time.Second)/time.Second)))
}

// Row is one line of the table; its texts are for people.
type Row struct {
	What   string `json:"what"`
	Direct string `json:"direct"`
	Pooler string `json:"pooler"`
	VIP    string `json:"vip"`
	Ratio  string `json:"ratio"` // of VIP to direct
	Target string `json:"target"`
	Met    bool   `json:"met"`
}

// Rows are the targets of the design that the headline decides.
func (r HeadlineResult) Rows() []Row {
	vip, w := r.VIP, r.Watched
	moves := cmp.Or(strings.Join(w.Holders, " -> "), "unknown")
	return []Row{
		r.tpsRow(),
		{What: "failed transactions, clients that gave up", Direct: lost(r.Direct), VIP: lost(vip), Target: "0, 0",
			Met: vip.Processed > 0 && flawless(vip) == nil},
		{What: "poolers DOWN during it", VIP: cmp.Or(strings.Join(w.Down, ", "), "none") + w.blindness(), Target: "none",
			Met: w.saw() && len(w.Down) == 0},
		{What: "VIP holder during it", VIP: moves + w.blindness(), Target: "no move",
			Met: w.saw() && len(w.Holders) == 1 && w.Holders[0] != nobody},
		r.Clients64.row("TPC-B, 64 clients, tps", "%.0f", "at least 0.85", func(ratio float64) bool { return ratio >= 0.85 }),
		r.RoundTrip.row("-S, 1 client, round trip, ms", "%.3f", "at most 1.60", func(ratio float64) bool { return ratio <= 1.6 }),
	}
}

func (r HeadlineResult) tpsRow() Row {
	row := Row{
		What:   fmt.Sprintf("headline: TPC-B, %d clients (direct: best, %d), tps", r.VIP.Clients, r.Direct.Clients),
		Direct: fmt.Sprintf("%.0f", r.Direct.TPS), VIP: fmt.Sprintf("%.0f", r.VIP.TPS), Target: "at least 0.60",
	}
	if r.Direct.TPS > 0 {
		ratio := r.VIP.TPS / r.Direct.TPS
		row.Ratio, row.Met = fmt.Sprintf("%.2f", ratio), ratio >= 0.6
	}
	return row
}

func (c Comparison) row(what, format, target string, met func(ratio float64) bool) Row {
	direct, pooler, vip := Median(c.Direct), Median(c.Pooler), Median(c.VIP)
	row := Row{What: what, Target: target,
		Direct: fmt.Sprintf(format, direct), Pooler: fmt.Sprintf(format, pooler), VIP: fmt.Sprintf(format, vip)}
	if direct > 0 && vip > 0 {
		row.Ratio, row.Met = fmt.Sprintf("%.2f", vip/direct), met(vip/direct)
	}
	return row
}

func lost(r PgbenchReport) string { return fmt.Sprintf("%d, %d", r.Failed, r.Aborted) }

// saw reports whether the looks can vouch for the cluster: absence is not health.
func (w Watched) saw() bool { return w.Looks > 0 && w.Blind*10 <= w.Looks }

func (w Watched) blindness() string {
	if w.Blind == 0 && w.Looks > 0 {
		return ""
	}
	return fmt.Sprintf(" (%d of %d looks got no answer)", w.Blind, w.Looks)
}

// Median is the middle value, or the mean of the two in the middle; 0 of none.
func Median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	if n == 0 {
		return 0
	}
	return (v[(n-1)/2] + v[n/2]) / 2
}

// Met reports whether every target was reached.
func (r HeadlineResult) Met() bool {
	return !slices.ContainsFunc(r.Rows(), func(row Row) bool { return !row.Met })
}

// String is the conditions and the table.
func (r HeadlineResult) String() string {
	var b strings.Builder
	c := r.Conditions
	fmt.Fprintf(&b, "%d cores, Linux %s, %d files per process; %s\n", c.Cores, c.Kernel, c.FileLimit, strings.Join(c.Versions, ", "))
	fmt.Fprintf(&b, "%d HAProxy processes a node; %d poolers x pool_size %d, %s pooling\n", c.HAProxyProcesses, c.Poolers, c.PoolSize, c.PoolMode)
	fmt.Fprintf(&b, "pgbench %s, scale %d, %s\n", r.VIP.Version, r.VIP.Scale, r.Started.UTC().Format("2006-01-02 15:04 UTC"))
	fmt.Fprintf(&b, "the headline's %d clients connected in %s; latency %s, stddev %s; at most %d seen connected\n",
		r.VIP.Clients, r.VIP.InitialConnection, r.VIP.LatencyAverage, r.VIP.LatencyStddev, r.Watched.MostClients)
	b.WriteString("direct by clients:")
	for _, try := range r.Tries {
		fmt.Fprintf(&b, " %d: %.0f tps", try.Clients, try.TPS)
	}
	b.WriteString("\n\n")
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tdirect\tone PgBouncer\tthrough the VIP\tratio\ttarget\tmet")
	for _, row := range r.Rows() {
		met := "no"
		if row.Met {
			met = "yes"
		}
		cells := []string{row.What, row.Direct, row.Pooler, row.VIP, row.Ratio, row.Target, met}
		for i := range cells {
			cells[i] = cmp.Or(cells[i], "-")
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	t.Flush()
	return b.String()
}

// JSON is the result with its rows, indented, for a file.
func (r HeadlineResult) JSON() string {
	b, err := json.MarshalIndent(struct {
		HeadlineResult
		Rows []Row `json:"rows"`
		Met  bool  `json:"met"`
	}{r, r.Rows(), r.Met()}, "", "  ")
	if err != nil {
		panic(err) // numbers and strings only: ParsePgbench lets no other number in
	}
	return string(b)
}
